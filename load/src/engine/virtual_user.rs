//! A virtual user: sends one request after the other.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::Stop;
use super::http1::Http1;
use super::http2::SharedHttp2;
use super::progress::Progress;
use super::worker::{PreparedRequest, Worker};
use crate::error::RequestError;
use crate::plan::HttpVersion;
use crate::recorder::{Attempt, Response, Seen, Times};
use crate::report::ErrorClass;

/// Pause of a closed loop after a failure to connect, so that it does not spin.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Time limit for opening a connection before the run.
const CONNECT_AHEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends a request, waits for the response, and sends the next. With HTTP/2, several users share a connection.
pub(super) struct VirtualUser {
    worker: Rc<Worker>,
    /// Number of its connection, counted over all threads.
    connection: usize,
    /// HTTP/1.1 connections, by host.
    own: Vec<Option<Http1>>,
    /// HTTP/2 connections, by host.
    shared: Rc<[SharedHttp2]>,
    /// Name of the instance that responded last.
    name: Vec<u8>,
    /// Instances that have responded over the connection that was used last.
    seen: Rc<Cell<Seen>>,
    progress: Progress,
}

impl VirtualUser {
    pub(super) fn new(worker: &Rc<Worker>, connection: usize, shared: &Rc<[SharedHttp2]>) -> Self {
        let own = worker.connectors.iter().map(|_| None).collect();
        Self {
            worker: Rc::clone(worker),
            connection,
            own,
            shared: Rc::clone(shared),
            name: Vec::new(),
            seen: Rc::default(),
            progress: Progress::default(),
        }
    }

    /// Connects to all hosts, so that the first requests take no longer than others. A connection that fails or takes too
    /// long is opened again when it is needed.
    pub(super) async fn connect(mut self) -> Self {
        let limit = self.worker.state.plan.timeout.min(CONNECT_AHEAD_TIMEOUT);
        let connected = async {
            for origin in 0..self.own.len() {
                if self.worker.state.versions[origin] == HttpVersion::Http1 {
                    self.own[origin] = self.http1(origin).await.ok();
                } else {
                    drop(
                        self.shared[origin].get(&self.worker, origin, self.connection, &self.progress).await,
                    );
                }
            }
        };
        let _ = timeout(limit, connected).await;
        self
    }

    /// Waits for `start`, then sends until the schedule ends.
    pub(super) async fn run(mut self, start: Duration) {
        let worker = Rc::clone(&self.worker);
        let (state, plan) = (&worker.state, &worker.state.plan);
        let mut stop = state.stop();
        if !start.is_zero() {
            tokio::select! {
                () = sleep(start) => {}
                _ = stop.wait_for(|stop| *stop != Stop::No) => {}
            }
        }
        let mut deadline = Deadline::new(plan.timeout);
        let mut done = state.elapsed();
        while let Some(slot) = worker.schedule.next(state, done).await {
            let url = plan.order[usize::try_from(slot.number % plan.order.len() as u64).unwrap_or(0)];
            worker.begin();
            let began = Instant::now();
            let sent = began.into_std().saturating_duration_since(state.started());
            self.progress.begin(began.into_std());
            let outcome = deadline.limit(began, self.send(url)).await;
            done = state.elapsed();
            worker.note_progress(done);
            let outcome = outcome.unwrap_or_else(|| {
                let text = format_args!("no complete response within {:?}: {}", plan.timeout, self.progress);
                Err(RequestError::new(ErrorClass::Timeout, text))
            });
            let pauses =
                plan.rate.is_none() && outcome.as_ref().is_err_and(|error| is_connect_error(error.class));
            let due = if plan.rate.is_some() { slot.due } else { sent };
            let times = Times { due, sent, done };
            let attempt = Attempt { times, send: slot.record, url, connection: &self.seen };
            worker.end(attempt, outcome, &self.name);
            if pauses {
                sleep(RETRY_PAUSE).await;
                done = state.elapsed();
            }
        }
    }

    async fn send(&mut self, url: usize) -> Result<Response, RequestError> {
        let worker = Rc::clone(&self.worker);
        let (plan, origin) = (&worker.state.plan, worker.state.plan.origin_of[url]);
        match &worker.requests[url] {
            PreparedRequest::Http1(request) => {
                let mut http1 = self.http1(origin).await?;
                self.seen = Rc::clone(&http1.seen);
                let (response, reusable) = http1.send(request, plan, &mut self.name, &self.progress).await?;
                if reusable && plan.keep_alive {
                    self.own[origin] = Some(http1);
                }
                Ok(response)
            }
            PreparedRequest::Http2(template) => {
                let single_use;
                let shared = if plan.keep_alive {
                    &self.shared[origin]
                } else {
                    single_use = SharedHttp2::default();
                    &single_use
                };
                let mut may_retry = true;
                loop {
                    let mut http2 = shared.get(&worker, origin, self.connection, &self.progress).await?;
                    self.seen = Rc::clone(&http2.seen);
                    match http2.send(template, plan, &mut self.name, &self.progress).await {
                        Err(failure) if failure.is_unprocessed && may_retry => {
                            may_retry = false;
                            worker.recorder().retried += 1;
                            shared.replace(&http2);
                        }
                        outcome => return outcome.map_err(|failure| failure.error),
                    }
                }
            }
        }
    }

    /// Returns the idle HTTP/1.1 connection to a host, or opens one.
    async fn http1(&mut self, origin: usize) -> Result<Http1, RequestError> {
        if let Some(mut http1) = self.own[origin].take() {
            if !http1.is_closed().await {
                return Ok(http1);
            }
            self.worker.recorder().closed_idle += 1;
        }
        let stream = self.worker.connectors[origin].connect(self.connection, &self.progress).await?;
        self.worker.recorder().add_connection(stream.connect, stream.tls);
        Ok(Http1::new(stream))
    }
}

fn is_connect_error(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Refused | ErrorClass::Dns | ErrorClass::Unreachable | ErrorClass::Local)
}

/// Time limit of one request after the other. The timer is reset only when it fires, so a request that is answered in time
/// costs no timer operation.
struct Deadline {
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(timeout: Duration) -> Self {
        Self { timeout, sleep: Box::pin(sleep_until(Instant::now() + timeout)) }
    }

    /// Runs `future`, and returns `None` if it is not ready within the time limit since `began`.
    async fn limit<T>(&mut self, began: Instant, future: impl Future<Output = T>) -> Option<T> {
        let end = began + self.timeout;
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while self.sleep.as_mut().poll(context).is_ready() {
                if Instant::now() >= end {
                    return Poll::Ready(None);
                }
                self.sleep.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_the_whole_time_limit() {
        const TIMEOUT: Duration = Duration::from_secs(10);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut deadline = Deadline::new(TIMEOUT);
            for seconds in [9, 9, 0, 9] {
                let request = async {
                    sleep(Duration::from_secs(seconds)).await;
                    seconds
                };
                assert_eq!(deadline.limit(Instant::now(), request).await, Some(seconds));
            }
            let began = Instant::now();
            assert_eq!(deadline.limit(began, std::future::pending::<()>()).await, None);
            let took = began.elapsed();
            assert!(took >= TIMEOUT && took < TIMEOUT + Duration::from_millis(10), "{took:?}");
        });
    }
}
