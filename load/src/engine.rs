//! Sends what a plan says, and counts what comes of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::exchange::preflight;
use crate::fault::Fault;
use crate::over_time::LatencyOverTime;
use crate::plan::{Http, Plan};
use crate::recorder::Recorder;
use crate::report::{Class, Ended, Report};
use crate::summary::{self, Course};

mod deadline;
mod gate;
mod lane;
mod turns;
mod worker;

use gate::Gate;
use worker::Worker;

/// How the load is to be ended before its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// Nothing more is sent; what is under way is awaited.
    Drain,
    /// Nothing more is awaited.
    Now,
}

/// Has the load ended before its time.
#[derive(Clone, Debug, Default)]
pub struct Stopper {
    stop: Arc<watch::Sender<Stop>>,
    /// When it was used first.
    at: Arc<OnceLock<Instant>>,
}

impl Stopper {
    /// One that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the load, if it is not ended so already: first politely, and when called again at once.
    pub fn stop(&self) {
        self.at.get_or_init(Instant::now);
        self.stop.send_modify(|stop| {
            *stop = if *stop == Stop::No { Stop::Drain } else { Stop::Now };
        });
    }
}

/// So long after a second an answer of the next one is likely to have come, by which threads see that it is over.
const SETTLED: Duration = Duration::from_millis(20);

/// What threads have in common.
pub(crate) struct Common {
    pub(crate) plan: Plan,
    /// How each host is spoken to.
    pub(crate) spoken: Vec<Http>,
    started: OnceLock<Instant>,
    /// Where all threads meet before the load.
    gate: Gate,
    /// When the latest good answer was there, in nanoseconds since the start.
    latest: AtomicU64,
    over_time: Mutex<LatencyOverTime>,
    stopper: Stopper,
}

impl Common {
    /// When the load started.
    pub(crate) fn started(&self) -> Instant {
        *self.started.get_or_init(Instant::now)
    }

    /// For how long it has been sent.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started().elapsed()
    }

    /// Tells when the load is to be ended.
    pub(crate) fn stop(&self) -> watch::Receiver<Stop> {
        self.stopper.stop.subscribe()
    }

    /// When the load ended, or will: no later than this. What is answered afterwards is answered, and says nothing of the
    /// time for which nobody did.
    pub(crate) fn end(&self) -> Duration {
        let stopped = self.stopper.at.get().map(|at| at.saturating_duration_since(self.started()));
        [self.plan.duration, stopped].into_iter().flatten().min().unwrap_or(Duration::MAX)
    }

    /// Notes a good answer, and says when the one before it was there, whichever thread had it. Of two threads one may be
    /// held up between looking at the clock and this, so that a gap seems longer by as much.
    pub(crate) fn answered(&self, at: Duration) -> Duration {
        let at = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.latest.fetch_max(at, Ordering::Relaxed))
    }

    pub(crate) fn over_time(&self) -> MutexGuard<'_, LatencyOverTime> {
        lock(&self.over_time)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds out how each host is spoken to, by connecting to it once, or why it cannot be.
pub fn check(plan: &Plan) -> Result<Vec<Http>, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fault::io("starting to connect", &error))?;
    let spoken = runtime.block_on(preflight(plan, plan.timeout));
    // A name's resolution that nobody waits for any more is not waited for.
    runtime.shutdown_background();
    spoken
}

/// Sends load until it has ended. `observe` is shown what has come of it so far, each time that `every` is over.
pub fn run(
    plan: Plan,
    spoken: Vec<Http>,
    stopper: &Stopper,
    every: Duration,
    mut observe: impl FnMut(&Report),
) -> Result<Report, Fault> {
    let running = Running::start(plan, spoken, stopper)?;
    let mut next = running.common.started() + every + SETTLED;
    while !running.wait(next)? {
        observe(&running.so_far());
        next += every;
    }
    running.finish()
}

/// Load that is being sent. Dropped, it ends at once.
pub struct Running {
    common: Arc<Common>,
    /// What each thread has counted.
    recorders: Vec<Arc<Mutex<Recorder>>>,
    threads: Vec<JoinHandle<()>>,
    /// Of each thread that has ended. Nobody is left to send one when all have, also without a word: a thread that panics
    /// has said so itself.
    outcomes: Receiver<Result<(), Fault>>,
    started_at: SystemTime,
    /// The processor time that had been used before.
    used: Duration,
}

impl Running {
    /// Starts to send. That fails if this machine has no thread left.
    pub fn start(plan: Plan, spoken: Vec<Http>, stopper: &Stopper) -> Result<Self, Fault> {
        let common = Arc::new(Common {
            spoken,
            started: OnceLock::new(),
            gate: Gate::default(),
            plan,
            latest: AtomicU64::new(0),
            over_time: Mutex::default(),
            stopper: stopper.clone(),
        });
        let (done, outcomes) = mpsc::channel();
        let mut recorders = Vec::new();
        let mut threads = Vec::new();
        for number in 0..common.plan.threads {
            let recorder = Arc::new(Mutex::new(Recorder::new(common.plan.gap)));
            recorders.push(Arc::clone(&recorder));
            let (shared, done) = (Arc::clone(&common), done.clone());
            let work = move || {
                let outcome = Worker::run(&shared, number, &recorder);
                // Whoever waits for it has given up only if this program ends, or does not want to know.
                let _ = done.send(outcome);
            };
            match thread::Builder::new().name(format!("load-{number}")).spawn(work) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    // Those that are there already go home.
                    common.gate.open(false);
                    return Err(Fault::io("starting a thread", &error));
                }
            }
        }
        common.gate.wait_for(common.plan.threads);
        common.started();
        common.gate.open(true);
        Ok(Self { common, recorders, threads, outcomes, started_at: SystemTime::now(), used: cpu_time() })
    }

    /// What has come of it so far. Its end is now, even if all has been sent.
    pub fn so_far(&self) -> Report {
        self.report(Ended::Running, self.common.elapsed())
    }

    /// How many good answers there are so far.
    pub fn ok(&self) -> u64 {
        self.recorders.iter().map(|recorder| lock(recorder).ok).sum()
    }

    /// Waits until all has ended, and is true then; false when it is `until` before that. An error means that nothing
    /// could be sent.
    pub fn wait(&self, until: Instant) -> Result<bool, Fault> {
        loop {
            match self.outcomes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(outcome) => outcome?,
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
            }
        }
    }

    /// Waits until all has ended, for as long as it takes, and says what has come of it.
    pub fn finish(mut self) -> Result<Report, Fault> {
        while let Ok(outcome) = self.outcomes.recv() {
            outcome?;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                return Err(Fault::new(Class::Local, "a thread that sends load has panicked"));
            }
        }
        let (plan, of_all) = (&self.common.plan, || self.recorders.iter().map(|recorder| lock(recorder)));
        let all_sent = plan
            .requests
            .is_some_and(|requests| of_all().map(|recorder| recorder.requests()).sum::<u64>() >= requests);
        if all_sent {
            let last = of_all().map(|recorder| recorder.last_done).max().unwrap_or_default();
            return Ok(self.report(Ended::Requests, last));
        }
        let end = self.common.end();
        Ok(if plan.duration == Some(end) {
            // All that was due may have been answered a little before.
            self.report(Ended::Duration, end)
        } else {
            self.report(Ended::Interrupted, end.min(self.common.elapsed()))
        })
    }

    fn report(&self, ended: Ended, elapsed: Duration) -> Report {
        let Common { plan, spoken, latest, .. } = &*self.common;
        let mut sum = Recorder::new(plan.gap);
        for recorder in &self.recorders {
            sum.merge(&lock(recorder));
        }
        let course = Course {
            ended,
            elapsed,
            // By a clock that is before 1970 it was then.
            started_at: self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu_time().saturating_sub(self.used),
            latest: Duration::from_nanos(latest.load(Ordering::Relaxed)),
        };
        summary::report(plan, spoken, sum, &self.common.over_time(), &course)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            // Nobody wants to know what comes of it.
            self.common.stopper.stop();
            self.common.stopper.stop();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The processor time that this program has used.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
