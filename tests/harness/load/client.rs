//! The clients of one load, and what they share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ureq::Agent;

use super::report::{Tally, Times};
use super::{Failure, LoadOptions, Report};
use crate::http::{Answer, agent};

pub(super) struct Shared {
    url: String,
    options: LoadOptions,
    started: Instant,
    started_at: SystemTime,
    /// The next request's number.
    ticket: AtomicU64,
    tally: Mutex<Tally>,
    end: Mutex<Option<End>>,
    ended: Condvar,
}

/// How the load ended. Requests may still be under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) at: Duration,
    pub(super) cut_short: bool,
}

impl Shared {
    pub(super) fn new(url: String, options: LoadOptions) -> Self {
        Self {
            url,
            options,
            started: Instant::now(),
            started_at: SystemTime::now(),
            ticket: AtomicU64::new(0),
            tally: Mutex::default(),
            end: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Asks until the load ends.
    pub(super) fn client(&self) {
        let agent = agent(self.options.timeout, self.options.keep_alive);
        let mut previous = None;
        while self.end().is_none() {
            let ticket = self.ticket.fetch_add(1, Ordering::Relaxed);
            let due = self.options.pace.due(ticket, previous, self.started.elapsed());
            if !self.wait_until(due) {
                return;
            }
            let began = self.started.elapsed();
            if ticket >= self.options.most_requests || began >= self.options.longest {
                self.end_now(true);
                return;
            }
            let outcome = self.ask(&agent);
            let times = Times { due, began, ended: self.started.elapsed() };
            self.tally().count(times, outcome);
            previous = Some(due);
        }
    }

    /// Ends the load, unless it has ended.
    pub(super) fn end_now(&self, cut_short: bool) {
        self.end().get_or_insert_with(|| End { at: self.started.elapsed(), cut_short });
        self.ended.notify_all();
    }

    pub(super) fn report(&self) -> Report {
        let End { at, cut_short } =
            self.end().unwrap_or_else(|| End { at: self.started.elapsed(), cut_short: false });
        // Clients wait no longer than copying takes.
        let tally = self.tally().clone();
        tally.report(self.started_at, at, cut_short)
    }

    pub(super) fn end(&self) -> MutexGuard<'_, Option<End>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `due`, and is true then; false as soon as the load has ended before that. A client that is only slow
    /// to wake keeps its request, or a limit on requests would be reached with some of them missing.
    fn wait_until(&self, due: Duration) -> bool {
        let end = self.end();
        let left = due.saturating_sub(self.started.elapsed());
        let waited = self.ended.wait_timeout_while(end, left, |end| end.is_none());
        let (end, _) = waited.unwrap_or_else(PoisonError::into_inner);
        end.is_none_or(|end| due <= end.at)
    }

    /// The instance that answered, or the class of failure and what it said.
    fn ask(&self, agent: &Agent) -> Result<String, (Failure, String)> {
        let mut request = agent.get(&self.url);
        if !self.options.keep_alive {
            request = request.header("connection", "close");
        }
        let answer =
            request.call().and_then(Answer::read).map_err(|error| (classify(&error), error.to_string()))?;
        if answer.status != 200 {
            let by = answer.served_by().unwrap_or("Traefik");
            return Err((
                Failure::Status(answer.status),
                format!("{} from {by}: {:?}", answer.status, answer.body),
            ));
        }
        match answer.served_by() {
            Some(instance) if answer.body.starts_with(self.options.body) => Ok(instance.to_owned()),
            instance => Err((Failure::Wrong, format!("200 from {instance:?}: {:?}", answer.body))),
        }
    }
}

fn classify(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut,
        ureq::Error::ConnectionFailed => Failure::Refused,
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Failure::TimedOut,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Failure::Cut,
            _ => Failure::Other,
        },
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_before_the_load_ended_is_still_asked_for() {
        let shared = Shared::new(String::new(), LoadOptions::default());
        shared.end_now(true);
        let end = shared.end().unwrap().at;
        assert!(shared.wait_until(end));
        assert!(!shared.wait_until(end + Duration::from_nanos(1)));
    }
}
