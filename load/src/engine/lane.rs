//! One after the other, requests and their answers.

use std::rc::Rc;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep, timeout};

use super::Stop;
use super::deadline::Deadline;
use super::worker::{Prepared, Worker};
use crate::exchange::{One, Shared};
use crate::fault::Fault;
use crate::plan::Http;
use crate::recorder::{Answer, Times};
use crate::report::Class;

/// After a failure to connect, whoever sends as fast as it is answered waits so long: otherwise nothing but failures to
/// connect would be seen, and as many as the processor has time for.
const PAUSE: Duration = Duration::from_millis(10);

/// So long connections are waited for before the load.
const PATIENCE: Duration = Duration::from_secs(1);

/// One who sends a request, waits for the answer, and sends the next.
pub(super) struct Lane {
    worker: Rc<Worker>,
    /// The number of its connection, of all threads' connections.
    number: usize,
    /// Its connections, by host, where HTTP/1.1 is spoken.
    own: Vec<Option<One>>,
    /// Those that it shares with others.
    shared: Rc<[Shared]>,
    /// The name of the instance that answered last.
    name: Vec<u8>,
}

impl Lane {
    pub(super) fn new(worker: &Rc<Worker>, number: usize, shared: &Rc<[Shared]>) -> Self {
        let own = worker.dialers.iter().map(|_| None).collect();
        Self { worker: Rc::clone(worker), number, own, shared: Rc::clone(shared), name: Vec::new() }
    }

    /// Connects to all hosts, so that the first requests do not take longer than others. What is not there after a while is
    /// left for later, when it is needed.
    pub(super) async fn connect(mut self) -> Self {
        let within = self.worker.common.plan.timeout.min(PATIENCE);
        let connected = async {
            for origin in 0..self.own.len() {
                if self.worker.common.spoken[origin] == Http::One {
                    self.own[origin] = self.one(origin).await.ok();
                } else {
                    let (worker, dialer) = (&self.worker, &self.worker.dialers[origin]);
                    let opened = || worker.recorder().opened();
                    drop(self.shared[origin].get(dialer, self.number, opened).await);
                }
            }
        };
        // Either way.
        let _ = timeout(within, connected).await;
        self
    }

    /// Waits, and then sends until there is nothing more to send.
    pub(super) async fn run(mut self, wait: Duration) {
        let worker = Rc::clone(&self.worker);
        let common = &worker.common;
        let plan = &common.plan;
        let mut stop = common.stop();
        if !wait.is_zero() {
            tokio::select! {
                () = sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop != Stop::No) => {}
            }
        }
        let mut deadline = Deadline::new(plan.timeout);
        let mut done = common.elapsed();
        while let Some(turn) = worker.turns.next(common, done).await {
            let url = plan.turns[usize::try_from(turn.number % plan.turns.len() as u64).unwrap_or(0)];
            worker.begin();
            let began = Instant::now();
            let sent = began.into_std().saturating_duration_since(common.started());
            let exchanged = deadline.within(began, self.exchange(url)).await;
            done = common.elapsed();
            let outcome = exchanged.unwrap_or_else(|| {
                let text = format_args!("no whole answer within {:?}", plan.timeout);
                Err(Fault::new(Class::Timeout, text))
            });
            let pauses = plan.rate.is_none() && outcome.as_ref().is_err_and(|fault| is_no_way(fault.class));
            let due = if plan.rate.is_some() { turn.due } else { sent };
            worker.end(turn, Times { due, sent, done }, url, outcome, &self.name);
            if pauses {
                sleep(PAUSE).await;
                done = common.elapsed();
            }
        }
    }

    async fn exchange(&mut self, target: usize) -> Result<Answer, Fault> {
        let worker = Rc::clone(&self.worker);
        let (plan, origin) = (&worker.common.plan, worker.common.plan.origin_of[target]);
        let dialer = &worker.dialers[origin];
        match &worker.requests[target] {
            Prepared::One(request) => {
                // It is put back only when all went well.
                let mut one = self.one(origin).await?;
                let to_head = plan.method == Method::HEAD;
                let exchanged = one.exchange(request, to_head, &plan.instance, &mut self.name).await?;
                let (answer, stays) = exchanged;
                if stays && plan.keep_alive {
                    self.own[origin] = Some(one);
                }
                Ok(answer)
            }
            Prepared::Two(template) => {
                let alone;
                let shared = if plan.keep_alive {
                    &self.shared[origin]
                } else {
                    alone = Shared::default();
                    &alone
                };
                let mut two = shared.get(dialer, self.number, || worker.recorder().opened()).await?;
                two.exchange(template, &plan.instance, &mut self.name).await
            }
        }
    }

    /// A connection to a host: the one that is there, or else a new one.
    async fn one(&mut self, origin: usize) -> Result<One, Fault> {
        if let Some(mut one) = self.own[origin].take() {
            if !one.is_over().await {
                return Ok(one);
            }
            self.worker.recorder().closed_idle();
        }
        let stream = self.worker.dialers[origin].connect(self.number).await?;
        self.worker.recorder().opened();
        Ok(One::new(stream))
    }
}

/// Whether that is a failure to connect.
fn is_no_way(class: Class) -> bool {
    matches!(class, Class::Refused | Class::Dns | Class::Unreachable | Class::Local)
}
