//! One thread of a run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::sleep;

use super::connect::Connector;
use super::http2::{SharedHttp2, Template};
use super::schedule::Schedule;
use super::virtual_user::VirtualUser;
use super::{RunState, Stop, codec, lock};
use crate::error::RequestError;
use crate::pace::connection_start;
use crate::plan::HttpVersion;
use crate::recorder::{Attempt, Recorder, Response, histogram, record};

/// One thread of a run, with its connections.
pub(super) struct Worker {
    pub(super) state: Arc<RunState>,
    pub(super) schedule: Schedule,
    recorder: Arc<Mutex<Recorder>>,
    /// One per host.
    pub(super) connectors: Vec<Connector>,
    /// One per URL.
    pub(super) requests: Vec<PreparedRequest>,
    in_flight: Cell<u64>,
    /// Latest time at which the thread is known to have run.
    ran: Cell<Duration>,
    /// Time at which the run was stopped early.
    stopped: Cell<Option<Duration>>,
    /// The current second, and the latencies of its successful responses.
    second: RefCell<(u64, Histogram<u32>)>,
}

/// A request in the form in which it is sent.
pub(super) enum PreparedRequest {
    Http1(Vec<u8>),
    Http2(Box<Template>),
}

/// Virtual users, each with its start time.
type Users = Vec<(VirtualUser, Duration)>;

/// At a rate, connections for the requests of this many seconds are opened before the run.
const CONNECT_AHEAD: f64 = 0.1;

/// Maximum time between two calls of [`Worker::note_progress`], if the thread runs.
const HEARTBEAT: Duration = Duration::from_millis(10);

/// Pause of the thread after which late requests are due to the load generator.
const BEHIND: Duration = Duration::from_millis(20);

/// Pause of the thread that is reported.
const STALL: Duration = Duration::from_millis(100);

impl Worker {
    /// Prepares, waits for the start, and sends this thread's part of the requests. `ready` is dropped when the thread is
    /// prepared; if `start` is disconnected, nothing is sent.
    pub(super) fn run(
        state: &Arc<RunState>,
        thread: u32,
        recorder: &Arc<Mutex<Recorder>>,
        ready: Sender<()>,
        start: &Receiver<()>,
    ) -> Result<(), RequestError> {
        let prepared = Self::prepare(state, thread, recorder);
        drop(ready);
        let is_started = start.recv().is_ok();
        let (runtime, local, worker, users) = prepared?;
        if !is_started {
            return Ok(());
        }
        let outcome = local.block_on(&runtime, worker.clone().send(users));
        // Drops requests in flight, with their connections.
        drop(local);
        worker.close_second();
        worker.recorder().abandoned += worker.in_flight.get();
        let unsent = worker.schedule.unsent(worker.stopped.get().unwrap_or(Duration::MAX));
        for (second, count) in unsent {
            worker.recorder().add_unsent(second, count);
        }
        runtime.shutdown_background();
        outcome
    }

    fn prepare(
        state: &Arc<RunState>,
        thread: u32,
        recorder: &Arc<Mutex<Recorder>>,
    ) -> Result<(Runtime, LocalSet, Rc<Self>, Users), RequestError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| RequestError::io("starting the runtime", &error))?;
        let (worker, local) = (Rc::new(Self::new(state, thread, recorder)?), LocalSet::new());
        let users = local.block_on(&runtime, worker.users(thread));
        Ok((runtime, local, worker, users))
    }

    fn new(
        state: &Arc<RunState>,
        thread: u32,
        recorder: &Arc<Mutex<Recorder>>,
    ) -> Result<Self, RequestError> {
        let plan = &state.plan;
        let hosts = plan.origins.iter().zip(&state.versions);
        let connectors = hosts.map(|(origin, version)| Connector::new(plan, origin, *version, &[*version]));
        let requests = plan.targets.iter().zip(&plan.origin_of).map(|(target, origin)| {
            Ok(match state.versions[*origin] {
                HttpVersion::Http1 => PreparedRequest::Http1(codec::request(
                    plan.method.as_str(),
                    &target.path,
                    &target.authority,
                    &plan.headers,
                    plan.keep_alive,
                    &plan.body,
                )),
                HttpVersion::Http2 => PreparedRequest::Http2(Box::new(Template::new(plan, target)?)),
            })
        });
        Ok(Self {
            state: Arc::clone(state),
            schedule: Schedule::new(state, thread),
            recorder: Arc::clone(recorder),
            connectors: connectors.collect::<Result<_, RequestError>>()?,
            requests: requests.collect::<Result<_, RequestError>>()?,
            in_flight: Cell::new(0),
            ran: Cell::new(Duration::ZERO),
            stopped: Cell::new(None),
            second: RefCell::new((0, histogram())),
        })
    }

    /// Creates the virtual users. At a rate, opens the connections that are needed soon.
    async fn users(self: &Rc<Self>, thread: u32) -> Users {
        let plan = &self.state.plan;
        let needed_soon = plan
            .rate
            .filter(|_| plan.keep_alive && plan.ramp.is_zero())
            .map_or(0.0, |rate| rate * CONNECT_AHEAD);
        let ramp = if plan.rate.is_none() { plan.ramp } else { Duration::ZERO };
        let (mut connecting, mut users) = (JoinSet::new(), Vec::new());
        for connection in (thread..plan.connections).step_by(plan.threads as usize) {
            let shared: Rc<[SharedHttp2]> = plan.origins.iter().map(|_| SharedHttp2::default()).collect();
            for _ in 0..plan.streams {
                let user = VirtualUser::new(self, connection as usize, &shared);
                if f64::from(connection) < needed_soon {
                    connecting.spawn_local(user.connect());
                } else {
                    users.push((user, connection_start(connection, plan.connections, ramp)));
                }
            }
        }
        // Connected users come first, so that they take the first slots.
        let connected = connecting.join_all().await.into_iter().map(|user| (user, Duration::ZERO));
        connected.chain(users).collect()
    }

    /// Runs all virtual users until they are done or the run is abandoned.
    async fn send(self: Rc<Self>, users: Users) -> Result<(), RequestError> {
        let mut tasks = JoinSet::new();
        for (user, start) in users {
            tasks.spawn_local(user.run(start));
        }
        let this = Rc::clone(&self);
        let heartbeat = spawn_local(async move {
            loop {
                sleep(HEARTBEAT).await;
                this.note_progress(this.state.elapsed());
            }
        });
        let this = Rc::clone(&self);
        let waking = spawn_local(async move { this.schedule.wake_users(&this.state).await });
        let done = async {
            while tasks.join_next().await.is_some() {}
            heartbeat.abort();
            match waking.await {
                Ok(Err(error)) => Err(RequestError::io("creating a timer", &error)),
                _ => Ok(()),
            }
        };
        let mut stop = self.state.stop();
        let stopped = async {
            let _ = stop.wait_for(|stop| *stop != Stop::No).await;
            self.stopped.set(Some(self.state.elapsed()));
            self.schedule.end();
            let _ = stop.wait_for(|stop| *stop == Stop::Now).await;
        };
        tokio::select! {
            outcome = done => outcome,
            () = stopped => Ok(()),
        }
    }

    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    /// Compares the clock with the progress of the thread: if it has not run for long, the load generator has stalled.
    pub(super) fn note_progress(&self, now: Duration) {
        let ran = self.ran.replace(now);
        let paused = now.saturating_sub(ran);
        if paused > BEHIND {
            self.schedule.fall_behind(ran);
        }
        if paused > STALL {
            self.recorder().add_stall(ran, now);
        }
    }

    /// Counts a request as in flight.
    pub(super) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Records the result of a request. `name` is the instance that responded.
    pub(super) fn end(&self, attempt: Attempt<'_>, outcome: Result<Response, RequestError>, name: &[u8]) {
        let times = attempt.times;
        self.in_flight.set(self.in_flight.get() - 1);
        if outcome.as_ref().is_ok_and(|response| response.is_ok) {
            let second = times.done.as_secs();
            if second != self.second.borrow().0 {
                self.close_second();
                self.second.borrow_mut().0 = second;
            }
            record(&mut self.second.borrow_mut().1, times.done.saturating_sub(times.due));
        }
        let gap = |at| (self.state.note_ok(at), at.min(self.state.end()));
        self.recorder().record(attempt, outcome, name, gap);
    }

    /// Adds the latencies of the current second to those of all threads.
    fn close_second(&self) {
        let (second, latencies) = &mut *self.second.borrow_mut();
        if !latencies.is_empty() {
            self.state.latencies().add(*second, latencies);
            latencies.reset();
        }
    }
}
