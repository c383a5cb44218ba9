//! A thread that sends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet, spawn_local};

use super::lane::Lane;
use super::turns::{Turn, Turns};
use super::{Common, Stop, lock};
use crate::exchange::{Dialer, Shared, Template};
use crate::fault::Fault;
use crate::http1;
use crate::pace::begin;
use crate::plan::Http;
use crate::recorder::{Answer, Recorder, Times, histogram, record};

/// A thread that sends, with all of its connections.
pub(super) struct Worker {
    pub(super) common: Arc<Common>,
    pub(super) turns: Turns,
    recorder: Arc<Mutex<Recorder>>,
    /// For each host.
    pub(super) dialers: Vec<Dialer>,
    /// For each target, how it is asked for.
    pub(super) requests: Vec<Prepared>,
    under_way: Cell<u64>,
    /// When it was told to send no more.
    ended: Cell<Option<Duration>>,
    /// A second, and how long its good answers took.
    second: RefCell<(u64, Histogram<u32>)>,
}

/// What is needed to send.
type Prepare = (Runtime, LocalSet, Rc<Worker>, Vec<(Lane, Duration)>);

/// At a rate, connections are made beforehand that are needed for the requests of so many seconds.
const SOON: f64 = 0.1;

/// A request that is ready to be sent.
pub(super) enum Prepared {
    One(Vec<u8>),
    Two(Box<Template>),
}

impl Worker {
    /// Sends one thread's part until it is done.
    pub(super) fn run(
        common: &Arc<Common>,
        number: u32,
        recorder: &Arc<Mutex<Recorder>>,
    ) -> Result<(), Fault> {
        let coming = common.gate.coming();
        let prepared = Self::prepare(common, number, recorder);
        // Whoever cannot send must not keep the others waiting.
        let sends = coming.arrive();
        let (runtime, local, worker, lanes) = prepared?;
        if !sends {
            return Ok(());
        }
        let outcome = local.block_on(&runtime, worker.clone().send(lanes));
        // Whatever is under way is dropped with its connections.
        drop(local);
        worker.close_second();
        worker.recorder().abandoned(worker.under_way.get());
        worker.recorder().unsent(worker.turns.unsent(worker.ended.get().unwrap_or(Duration::MAX)));
        runtime.shutdown_background();
        outcome
    }

    /// All that can be done before the load.
    fn prepare(common: &Arc<Common>, number: u32, recorder: &Arc<Mutex<Recorder>>) -> Result<Prepare, Fault> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Fault::io("starting to send", &error))?;
        let (worker, local) = (Rc::new(Self::new(common, number, recorder)?), LocalSet::new());
        let lanes = local.block_on(&runtime, worker.lanes(number));
        Ok((runtime, local, worker, lanes))
    }

    fn new(common: &Arc<Common>, number: u32, recorder: &Arc<Mutex<Recorder>>) -> Result<Self, Fault> {
        let plan = &common.plan;
        let hosts = plan.origins.iter().zip(&common.spoken);
        let dialers = hosts.map(|(origin, http)| Dialer::new(origin, plan.tls.as_ref(), *http));
        let requests = plan.targets.iter().zip(&plan.origin_of).map(|(target, origin)| {
            Ok(match common.spoken[*origin] {
                Http::One => Prepared::One(http1::request(
                    plan.method.as_str(),
                    &target.path,
                    &target.authority,
                    &plan.fields,
                    plan.keep_alive,
                    &plan.body,
                )),
                Http::Two => Prepared::Two(Box::new(Template::new(plan, target)?)),
            })
        });
        Ok(Self {
            common: Arc::clone(common),
            turns: Turns::new(common, number),
            recorder: Arc::clone(recorder),
            dialers: dialers.collect::<Result<_, Fault>>()?,
            requests: requests.collect::<Result<_, Fault>>()?,
            under_way: Cell::new(0),
            ended: Cell::new(None),
            second: RefCell::new((0, histogram())),
        })
    }

    /// All who send, each with when it begins. At a rate, those are connected that will be needed soon.
    async fn lanes(self: &Rc<Self>, number: u32) -> Vec<(Lane, Duration)> {
        let plan = &self.common.plan;
        let soon =
            plan.rate.filter(|_| plan.keep_alive && plan.ramp.is_zero()).map_or(0.0, |rate| rate * SOON);
        let mut connecting = JoinSet::new();
        let mut lanes = Vec::new();
        for connection in (number..plan.connections).step_by(plan.threads as usize) {
            let shared: Rc<[Shared]> = plan.origins.iter().map(|_| Shared::default()).collect();
            let ramp = if plan.rate.is_none() { plan.ramp } else { Duration::ZERO };
            let begin = begin(connection, plan.connections, ramp);
            for _ in 0..plan.streams {
                let lane = Lane::new(self, connection as usize, &shared);
                if f64::from(connection) < soon {
                    connecting.spawn_local(lane.connect());
                } else {
                    lanes.push((lane, begin));
                }
            }
        }
        let connected = connecting.join_all().await.into_iter().map(|lane| (lane, Duration::ZERO));
        // They are the first to have their turn.
        connected.chain(lanes).collect()
    }

    /// Sends by all connections, until they are done or nobody wants to wait for them.
    async fn send(self: Rc<Self>, senders: Vec<(Lane, Duration)>) -> Result<(), Fault> {
        let mut lanes = JoinSet::new();
        for (lane, begin) in senders {
            lanes.spawn_local(lane.run(begin));
        }
        let this = Rc::clone(&self);
        let waking = spawn_local(async move { this.turns.wake(&this.common).await });
        let done = async {
            while lanes.join_next().await.is_some() {}
            // It is over when there is nothing to send any more.
            match waking.await {
                Ok(Err(error)) => Err(Fault::io("setting a timer", &error)),
                _ => Ok(()),
            }
        };
        let mut stop = self.common.stop();
        let stopped = async {
            // Whoever could stop it is there as long as it runs: it has one itself.
            let _ = stop.wait_for(|stop| *stop != Stop::No).await;
            self.ended.set(Some(self.common.elapsed()));
            self.turns.end();
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

    /// A request is under way.
    pub(super) fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    /// It is no longer.
    pub(super) fn end(
        &self,
        turn: Turn,
        times: Times,
        url: usize,
        outcome: Result<Answer, Fault>,
        name: &[u8],
    ) {
        self.under_way.set(self.under_way.get() - 1);
        if outcome.as_ref().is_ok_and(|answer| answer.status < 400) {
            let second = times.done.as_secs();
            if second != self.second.borrow().0 {
                self.close_second();
                self.second.borrow_mut().0 = second;
            }
            record(&mut self.second.borrow_mut().1, times.done.saturating_sub(times.due));
        }
        let gap = |at| (self.common.answered(at), at.min(self.common.end()));
        self.recorder().end(times, turn.send, url, outcome, name, gap);
    }

    /// Hands over how long a second's answers took.
    fn close_second(&self) {
        let (second, latencies) = &mut *self.second.borrow_mut();
        if !latencies.is_empty() {
            self.common.over_time().add(*second, latencies);
            latencies.reset();
        }
    }
}
