//! Constant load, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ureq::Agent;

use crate::http::{Answer, agent};

/// How many failures keep their text.
const SHOWN: usize = 5;

/// How load is made.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Clients at a time, each with its own connections.
    pub threads: usize,
    /// Pause between two requests of one client, beyond which it does not catch up.
    pub interval: Duration,
    /// Whether a client keeps its connection, or makes a new one for each request.
    pub keep_alive: bool,
    /// After this a request has failed.
    pub timeout: Duration,
    /// What a body must begin with.
    pub body: &'static str,
    /// Load that is not stopped ends after so many requests, and counts as cut short.
    pub most_requests: u64,
    /// Load that is not stopped ends after this time, and counts as cut short.
    pub longest: Duration,
}

impl Default for LoadOptions {
    /// Four clients that ask ping 200 times a second each.
    fn default() -> Self {
        Self {
            threads: 4,
            interval: Duration::from_millis(5),
            keep_alive: true,
            timeout: Duration::from_secs(2),
            body: "Pong from ",
            most_requests: 1_000_000,
            longest: Duration::from_mins(5),
        }
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listened.
    Refused,
    /// The connection was cut.
    Cut,
    /// No whole answer in time.
    TimedOut,
    /// An answer with another status than 200.
    Status(u16),
    /// An answer with another body than asked for, or without `x-served-by`.
    Wrong,
    /// Anything else.
    Other,
}

/// What came of the load.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests that were answered as they should.
    pub ok: u64,
    /// Requests that were not, by class.
    pub failed: BTreeMap<Failure, u64>,
    /// When the first failures happened, since the start, and what they said.
    pub first_failures: Vec<(Duration, String)>,
    /// When the last failure happened, since the start.
    pub last_failure: Option<Duration>,
    /// Good answers by the instance that gave them.
    pub by_instance: BTreeMap<String, u64>,
    /// The longest that a good answer took.
    pub slowest: Duration,
    /// How long the load lasted.
    pub elapsed: Duration,
    /// Whether a limit ended the load before it was stopped.
    pub cut_short: bool,
}

impl Report {
    /// All failures.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// An error, with everything that was counted, unless there was load to the end and not one request failed.
    pub fn no_failures(&self) -> Result<()> {
        if self.failures() > 0 || self.ok == 0 || self.cut_short {
            bail!("load did not pass: {self}");
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, failed, by_instance, slowest, elapsed, .. } = self;
        write!(f, "{ok} requests answered, {} failed {failed:?} in {elapsed:.1?}, ", self.failures())?;
        write!(f, "the slowest in {slowest:.1?}, by instance {by_instance:?}")?;
        if self.cut_short {
            write!(f, "; cut short by a limit")?;
        }
        for (at, text) in &self.first_failures {
            write!(f, "\n  at {at:.3?}: {text}")?;
        }
        Ok(())
    }
}

/// Load that is under way. Dropped, it ends.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    url: String,
    options: LoadOptions,
    started: Instant,
    stop: AtomicBool,
    report: Mutex<Report>,
}

impl Load {
    /// Starts to ask for `url`.
    pub fn start(url: impl Into<String>, options: LoadOptions) -> Self {
        let shared = Arc::new(Shared {
            url: url.into(),
            started: Instant::now(),
            stop: AtomicBool::new(false),
            report: Mutex::default(),
            options,
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.client())
        };
        let threads = (0..shared.options.threads).map(client).collect();
        Self { shared, threads }
    }

    /// What has come of it so far.
    pub fn so_far(&self) -> Report {
        let mut report = self.shared.report().clone();
        report.elapsed = self.shared.started.elapsed();
        report
    }

    /// Waits until `count` more requests have been answered well than at the time of the call, so that whatever
    /// happened before has been under load. Failures do not count.
    pub fn wait_for_more(&self, count: u64, timeout: Duration) -> Result<()> {
        let wanted = self.so_far().ok + count;
        crate::eventually(timeout, || {
            let report = self.so_far();
            if report.ok < wanted {
                Err(format!("{} of {wanted} requests: {report}", report.ok))
            } else {
                Ok(())
            }
        })
    }

    /// Ends it, waiting for requests that are under way.
    pub fn stop(mut self) -> Report {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that panicked has said so; its requests are missing, which is a failure too.
            if thread.join().is_err() {
                self.shared.report().cut_short = true;
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn client(&self) {
        let agent = agent(self.options.timeout, self.options.keep_alive);
        let mut next = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            if self.is_over() {
                self.report().cut_short = true;
                return;
            }
            let began = Instant::now();
            let outcome = self.ask(&agent);
            self.count(began, outcome);
            next = (next + self.options.interval).max(Instant::now());
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn is_over(&self) -> bool {
        let report = self.report();
        report.ok + report.failures() >= self.options.most_requests
            || self.started.elapsed() >= self.options.longest
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

    fn count(&self, began: Instant, outcome: Result<String, (Failure, String)>) {
        let mut report = self.report();
        match outcome {
            Ok(instance) => {
                report.ok += 1;
                report.slowest = report.slowest.max(began.elapsed());
                *report.by_instance.entry(instance).or_default() += 1;
            }
            Err((class, text)) => {
                *report.failed.entry(class).or_default() += 1;
                report.last_failure = Some(self.started.elapsed());
                if report.first_failures.len() < SHOWN {
                    report.first_failures.push((self.started.elapsed(), text));
                }
            }
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
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
    use crate::Loopback;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    const LONG: Duration = Duration::from_secs(20);

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        address
    }

    fn load(answer: &'static str, most_requests: u64) -> Report {
        let options = LoadOptions { threads: 1, keep_alive: false, most_requests, ..LoadOptions::default() };
        let load = Load::start(format!("http://{}/", answering(answer)), options);
        crate::eventually(LONG, || load.so_far().cut_short).unwrap();
        load.stop()
    }

    #[test]
    fn good_answers_are_counted_by_instance() {
        let answer = "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 12\r\n\r\nPong from a\n";
        let options = LoadOptions { threads: 2, keep_alive: false, ..LoadOptions::default() };
        let load = Load::start(format!("http://{}/", answering(answer)), options);
        load.wait_for_more(5, LONG).unwrap();
        let report = load.stop();
        report.no_failures().unwrap();
        assert_eq!(report.by_instance["a"], report.ok);
    }

    #[test]
    fn every_kind_of_failure_is_one() {
        let failures = |answer| load(answer, 2).failed.into_keys().collect::<Vec<_>>();
        assert_eq!(failures("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"), [Failure::Status(502)]);
        assert_eq!(
            failures("HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 2\r\n\r\nno"),
            [Failure::Wrong]
        );
        assert_eq!(failures("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nPong from a\n"), [Failure::Wrong]);
        assert_eq!(
            failures("HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 12\r\n\r\nPong"),
            [Failure::Cut]
        );

        let nobody = Loopback::new().free().unwrap();
        let load = Load::start(format!("http://{nobody}/"), LoadOptions::default());
        crate::eventually(LONG, || load.so_far().failures() > 0).unwrap();
        assert_eq!(load.stop().failed.into_keys().collect::<Vec<_>>(), [Failure::Refused]);
    }

    #[test]
    fn load_that_a_limit_has_ended_does_not_pass() {
        let answer = "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 12\r\n\r\nPong from a\n";
        let report = load(answer, 3);
        assert_eq!((report.ok, report.failures()), (3, 0));
        assert!(report.no_failures().unwrap_err().to_string().contains("cut short"));
    }
}
