//! Sends the requests of a [`Plan`] and records their results.
//!
//! Each thread runs a [`Worker`]: a single-threaded tokio runtime with its share of the connections. The worker's
//! [`schedule`] hands out slots; a [`virtual_user`] takes a slot, sends a request over its HTTP/1.1 or HTTP/2 connection, and
//! records the result in the thread's [`Recorder`]. Threads do not wait for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::error::RequestError;
use crate::plan::{HttpVersion, Plan};
use crate::recorder::Recorder;
use crate::report::{EndReason, ErrorClass, Report};
use crate::summary::{self, RunInfo};
use crate::timeline::LatencySeries;

mod codec;
mod connect;
mod http1;
mod http2;
mod progress;
mod schedule;
mod virtual_user;
mod worker;

use worker::Worker;

/// Requested end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// The run continues.
    #[default]
    No,
    /// No more requests are sent; requests in flight are completed.
    Drain,
    /// Requests in flight are abandoned.
    Now,
}

/// Handle that stops a run early.
#[derive(Clone, Debug, Default)]
pub struct Stopper {
    stop: Arc<watch::Sender<Stop>>,
    /// Time of the first call.
    at: Arc<OnceLock<Instant>>,
}

impl Stopper {
    /// Creates a handle that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the run: requests in flight are completed after the first call, and abandoned after the second.
    pub fn stop(&self) {
        self.at.get_or_init(Instant::now);
        self.stop.send_modify(|stop| {
            *stop = if *stop == Stop::No { Stop::Drain } else { Stop::Now };
        });
    }
}

/// Connects once to each host, without a request, and returns the version of HTTP for each.
pub fn negotiate(plan: &Plan) -> Result<Vec<HttpVersion>, RequestError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RequestError::io("starting the runtime", &error))?;
    let versions = runtime.block_on(connect::negotiate(plan));
    // A DNS lookup that has timed out may still block a thread.
    runtime.shutdown_background();
    versions
}

/// Delay of an interim report after a full second: by then each thread has usually seen a response of the next second and
/// closed the last one.
const INTERIM_DELAY: Duration = Duration::from_millis(20);

/// Sends requests until the run ends. Calls `observe` with an interim report after each `interval`.
pub fn run(
    plan: Plan,
    versions: Vec<HttpVersion>,
    stopper: &Stopper,
    interval: Duration,
    mut observe: impl FnMut(&Report),
) -> Result<Report, RequestError> {
    let running = Running::start(plan, versions, stopper)?;
    let mut next = running.state.started() + interval + INTERIM_DELAY;
    while !running.wait_until(next)? {
        observe(&running.so_far());
        next += interval;
    }
    running.finish()
}

/// A run in progress. Dropping it abandons the run.
pub struct Running {
    state: Arc<RunState>,
    /// One recorder per thread.
    recorders: Vec<Arc<Mutex<Recorder>>>,
    threads: Vec<JoinHandle<()>>,
    /// Results of threads. Disconnected when all threads have ended, including those that panicked.
    outcomes: Receiver<Result<(), RequestError>>,
    started_at: SystemTime,
    /// Processor time used by the process before the run.
    cpu_before: Duration,
}

impl Running {
    /// Starts the threads. Returns once all of them send.
    pub fn start(plan: Plan, versions: Vec<HttpVersion>, stopper: &Stopper) -> Result<Self, RequestError> {
        let state = Arc::new(RunState {
            plan,
            versions,
            started: OnceLock::new(),
            latest_ok: AtomicU64::new(0),
            latencies: Mutex::default(),
            stopper: stopper.clone(),
        });
        let (done, outcomes) = mpsc::channel();
        let (ready, all_ready) = mpsc::channel();
        let (mut recorders, mut threads, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..state.plan.threads {
            let recorder =
                Arc::new(Mutex::new(Recorder::new(state.plan.outage_threshold, state.plan.targets.len())));
            recorders.push(Arc::clone(&recorder));
            let (start, started) = mpsc::channel();
            starts.push(start);
            let (state, done, ready) = (Arc::clone(&state), done.clone(), ready.clone());
            let work = move || {
                let outcome = Worker::run(&state, number, &recorder, ready, &started);
                let _ = done.send(outcome);
            };
            // If this fails, dropping `starts` ends the threads that wait for the start.
            let thread = thread::Builder::new().name(format!("load-{number}")).spawn(work);
            threads.push(thread.map_err(|error| RequestError::io("starting a thread", &error))?);
        }
        drop(ready);
        // Disconnected when each thread has dropped its sender: after preparing, failing to, or a panic.
        let _: Result<(), _> = all_ready.recv();
        state.started();
        for start in starts {
            let _ = start.send(());
        }
        Ok(Self {
            state,
            recorders,
            threads,
            outcomes,
            started_at: SystemTime::now(),
            cpu_before: cpu_time(),
        })
    }

    /// Returns an interim report, which ends now.
    pub fn so_far(&self) -> Report {
        self.report(EndReason::Running, self.state.elapsed())
    }

    /// Number of successful requests so far.
    pub fn ok(&self) -> u64 {
        self.recorders.iter().map(|recorder| lock(recorder).ok).sum()
    }

    /// Waits until the run has ended (`true`) or `deadline` is reached (`false`). An error means that a thread could not
    /// start sending.
    pub fn wait_until(&self, deadline: Instant) -> Result<bool, RequestError> {
        loop {
            match self.outcomes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(outcome) => outcome?,
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
            }
        }
    }

    /// Waits until the run has ended, and returns its report.
    pub fn finish(mut self) -> Result<Report, RequestError> {
        while let Ok(outcome) = self.outcomes.recv() {
            outcome?;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                return Err(RequestError::new(ErrorClass::Local, "a load thread panicked"));
            }
        }
        let plan = &self.state.plan;
        let recorders = || self.recorders.iter().map(|recorder| lock(recorder));
        let sent = recorders().map(|recorder| recorder.requests() - recorder.unsent()).sum::<u64>();
        let all_sent = plan.requests.is_some_and(|requests| sent >= requests);
        if all_sent {
            let last = recorders().map(|recorder| recorder.last_done).max().unwrap_or_default();
            return Ok(self.report(EndReason::Requests, last));
        }
        let end = self.state.end();
        Ok(if plan.duration == Some(end) {
            // The last response may have come a little before the end.
            self.report(EndReason::Duration, end)
        } else {
            self.report(EndReason::Interrupted, end.min(self.state.elapsed()))
        })
    }

    fn report(&self, ended: EndReason, elapsed: Duration) -> Report {
        let RunState { plan, versions, latest_ok, .. } = &*self.state;
        let mut sum = Recorder::new(plan.outage_threshold, plan.targets.len());
        for recorder in &self.recorders {
            sum.merge(&lock(recorder));
        }
        let info = RunInfo {
            ended,
            elapsed,
            started_at: self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu_time().saturating_sub(self.cpu_before),
            latest_ok: Duration::from_nanos(latest_ok.load(Ordering::Relaxed)),
        };
        summary::report(plan, versions, sum, &self.state.latencies(), &info)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.state.stopper.stop();
            self.state.stopper.stop();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// State shared by all threads of a run.
struct RunState {
    plan: Plan,
    /// Version of HTTP for each host.
    versions: Vec<HttpVersion>,
    started: OnceLock<Instant>,
    /// Time of the latest successful response, in nanoseconds since the start.
    latest_ok: AtomicU64,
    latencies: Mutex<LatencySeries>,
    stopper: Stopper,
}

impl RunState {
    /// Start of the run.
    fn started(&self) -> Instant {
        *self.started.get_or_init(Instant::now)
    }

    /// Time since the start.
    fn elapsed(&self) -> Duration {
        self.started().elapsed()
    }

    /// Subscribes to the requested end of the run.
    fn stop(&self) -> watch::Receiver<Stop> {
        self.stopper.stop.subscribe()
    }

    /// Latest possible end of the run. Responses after it are counted, but do not extend outages.
    fn end(&self) -> Duration {
        let stopped = self.stopper.at.get().map(|at| at.saturating_duration_since(self.started()));
        [self.plan.duration, stopped].into_iter().flatten().min().unwrap_or(Duration::MAX)
    }

    /// Notes a successful response and returns the time of the previous one, of any thread. A thread that is preempted
    /// between reading the clock and this call makes an outage seem longer by that delay.
    fn note_ok(&self, at: Duration) -> Duration {
        let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.latest_ok.fetch_max(at, Ordering::Relaxed))
    }

    fn latencies(&self) -> MutexGuard<'_, LatencySeries> {
        lock(&self.latencies)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processor time used by this process.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_to_prepare_ends_the_run_with_an_error() {
        let mut plan = Plan::new(vec!["https://invalid..name/".parse().unwrap()]);
        plan.tls = Some(Arc::new(crate::tls::config(None, true).unwrap()));
        plan.threads = 3;
        let running = Running::start(plan, vec![HttpVersion::Http1], &Stopper::new()).unwrap();
        let error = running.finish().unwrap_err();
        assert_eq!(error.class, ErrorClass::Tls, "{error}");
        assert!(error.text.starts_with("invalid TLS server name invalid..name: "), "{error}");
    }

    #[test]
    fn dropped_run_ends_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut plan = Plan::new(vec![url.parse().unwrap()]);
        (plan.threads, plan.timeout) = (2, Duration::from_mins(10));
        let running = Running::start(plan, vec![HttpVersion::Http1], &Stopper::new()).unwrap();
        let begin = Instant::now();
        // The requests are never answered.
        drop(running);
        assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    }
}
