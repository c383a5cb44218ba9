//! Sends what a plan says, and counts what comes of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::exchange::preflight;
use crate::fault::Fault;
use crate::over_time::LatencyOverTime;
use crate::plan::{Http, Plan};
use crate::recorder::Recorder;
use crate::report::{Ended, Report};
use crate::summary::{self, Course};

mod deadline;
mod lane;
mod timer;
mod turns;
mod worker;

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
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<Stop>>);

impl Stopper {
    /// One that has not been used.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Stop::No)))
    }

    /// Ends the load, if it is not ended so already: first politely, and when called again at once.
    pub fn stop(&self) {
        self.0.send_modify(|stop| {
            *stop = if *stop == Stop::No { Stop::Drain } else { Stop::Now };
        });
    }

    fn is_stopped(&self) -> bool {
        *self.0.borrow() != Stop::No
    }
}

impl Default for Stopper {
    fn default() -> Self {
        Self::new()
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
    /// Where all threads, and the one that waits for them, meet before the load.
    ready: Barrier,
    /// When the latest good answer was there, in nanoseconds since the start.
    latest: AtomicU64,
    over_time: Mutex<LatencyOverTime>,
    pub(crate) stop: watch::Receiver<Stop>,
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

    /// Waits until all are ready, and starts the load.
    pub(crate) fn start(&self) {
        self.ready.wait();
        self.started();
        // Nobody is to find that it has been going on for a while.
        self.ready.wait();
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
    let common = Arc::new(Common {
        spoken,
        started: OnceLock::new(),
        ready: Barrier::new(plan.threads as usize + 1),
        plan,
        latest: AtomicU64::new(0),
        over_time: Mutex::default(),
        stop: stopper.0.subscribe(),
    });
    let (done, ended) = mpsc::channel();
    let mut recorders = Vec::new();
    let mut threads = Vec::new();
    for number in 0..common.plan.threads {
        let recorder = Arc::new(Mutex::new(Recorder::new(common.plan.gap)));
        recorders.push(Arc::clone(&recorder));
        let (common, done) = (Arc::clone(&common), done.clone());
        let work = move || {
            let outcome = Worker::run(&common, number, &recorder);
            // Whoever waits for it has given up only if this program ends.
            let _ = done.send(outcome);
        };
        let thread = thread::Builder::new().name(format!("load-{number}")).spawn(work);
        threads.push(thread.map_err(|error| Fault::io("starting a thread", &error))?);
    }
    drop(done);
    common.start();
    let started_at = SystemTime::now();
    let used = clock_gettime(ClockId::ProcessCPUTime);

    let report = |ended, until: Option<Duration>| {
        let mut sum = Recorder::new(common.plan.gap);
        for recorder in &recorders {
            sum.merge(&lock(recorder));
        }
        let now = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(now)
            .unwrap_or_default()
            .saturating_sub(Duration::try_from(used).unwrap_or_default());
        let course = Course {
            ended,
            elapsed: until.unwrap_or_else(|| common.elapsed()),
            started_at,
            cpu,
            latest: Duration::from_nanos(common.latest.load(Ordering::Relaxed)),
        };
        summary::report(&common.plan, &common.spoken, sum, &common.over_time(), &course)
    };
    let mut next = common.started() + every + SETTLED;
    let mut interrupted = None;
    let mut left = threads.len();
    while left > 0 {
        match ended.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(outcome) => {
                outcome?;
                left -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {
                observe(&report(Ended::Running, None));
                next += every;
            }
            // A thread that panicked has said so; what it has counted is there.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if interrupted.is_none() && stopper.is_stopped() {
            interrupted = Some(common.elapsed());
        }
    }
    for thread in threads {
        if thread.join().is_err() {
            return Err(Fault::new(crate::report::Class::Local, "a thread that sends load has panicked"));
        }
    }
    let last = recorders.iter().map(|recorder| lock(recorder).last_done).max().unwrap_or_default();
    let all_sent = common.plan.requests.is_some_and(|requests| {
        recorders.iter().map(|recorder| lock(recorder).requests()).sum::<u64>() >= requests
    });
    Ok(match (all_sent, common.plan.duration) {
        (true, _) => report(Ended::Requests, Some(last)),
        (false, Some(duration)) if !stopper.is_stopped() => report(Ended::Duration, Some(duration)),
        _ => report(Ended::Interrupted, Some(interrupted.unwrap_or_else(|| common.elapsed()))),
    })
}
