//! Slots of one thread: which request is sent next, and when.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};
use std::time::Duration;

use timer::Timer;
use tokio::sync::Notify;

use super::RunState;
use crate::pace::{Pace, due_before};
use crate::recorder::SendRecord;

/// Time after the end of the run in which requests that were due before it may still be sent.
const GRACE: Duration = Duration::from_secs(1);

/// Waits of up to this are busy: setting a timer, sleeping and waking takes about as long and is less exact. Responses are
/// read meanwhile. This applies to rates of 20,000/s and more.
const BUSY_WAIT: Duration = Duration::from_micros(50);

/// A request to send now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Number of the request, counted over all threads.
    pub(super) number: u64,
    /// Due time of the request.
    pub(super) due: Duration,
    /// Reason for the time of sending.
    pub(super) record: SendRecord,
}

/// Hands out the slots of one thread. Request numbers are dealt to threads in turn.
pub(super) struct Schedule {
    next: Cell<u64>,
    step: u64,
    limit: u64,
    end: Duration,
    pace: Option<Pace>,
    over: Cell<bool>,
    /// Whether requests are late because the thread did not run. Reset when it has caught up.
    behind: Cell<bool>,
    /// Virtual users that wait for a due time.
    idle: RefCell<VecDeque<Waker>>,
    /// Whether `wake_users` waits for an idle virtual user.
    wants_idle: Cell<bool>,
    became_idle: Notify,
    ended: Notify,
}

impl Schedule {
    pub(super) fn new(state: &RunState, thread: u32) -> Self {
        let plan = &state.plan;
        Self {
            next: Cell::new(thread.into()),
            step: plan.threads.into(),
            limit: plan.requests.unwrap_or(u64::MAX),
            end: plan.duration.unwrap_or(Duration::MAX),
            pace: plan.pace(),
            over: Cell::new(false),
            behind: Cell::new(false),
            idle: RefCell::default(),
            wants_idle: Cell::new(false),
            became_idle: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Ends the schedule: no more slots are handed out.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.ended.notify_one();
        self.idle.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Notes that the thread has not run since `ran`. If all requests that were due by then had been sent, later ones are late
    /// for this reason, until the thread has caught up.
    pub(super) fn fall_behind(&self, ran: Duration) {
        if self.pace.is_some_and(|pace| pace.due(self.next.get()) >= ran) {
            self.behind.set(true);
        }
    }

    /// Requests that were due and have not been sent: seconds of the run, each with the number of requests due in it. If
    /// the run was stopped early, only requests that had [`GRACE`] before that are included.
    pub(super) fn unsent(&self, stopped: Duration) -> Vec<(u64, u64)> {
        let Some(pace) = self.pace else { return Vec::new() };
        let end = self.end.min(stopped.saturating_sub(GRACE));
        let due = |end| due_before(pace, self.next.get(), self.step, self.limit, end);
        let (all, mut counted, mut seconds) = (due(end), 0, Vec::new());
        let first = pace.due(self.next.get()).as_secs();
        for second in (first..).take_while(|_| all > 0) {
            let until = due(end.min(Duration::from_secs(second + 1)));
            seconds.push((second, until - counted));
            counted = until;
            if counted == all {
                break;
            }
        }
        seconds
    }

    /// Waits for the next slot. Returns `None` when the schedule has ended.
    pub(super) async fn next(&self, state: &RunState, now: Duration) -> Option<Slot> {
        let Some(pace) = self.pace else {
            let number = self.next.get();
            if self.over.get() || number >= self.limit || now >= self.end {
                self.end();
                return None;
            }
            self.next.set(number + self.step);
            return Some(Slot { number, due: now, record: SendRecord::Immediate });
        };
        let mut now = now;
        let mut was_idle = false;
        poll_fn(|context| {
            let number = self.next.get();
            let due = pace.due(number);
            if self.over.get() || number >= self.limit || due >= self.end {
                self.end();
                return Poll::Ready(None);
            }
            if was_idle {
                now = state.elapsed();
            }
            if now >= self.end.saturating_add(GRACE) {
                self.end();
                return Poll::Ready(None);
            }
            if due <= now {
                self.next.set(number + self.step);
                // If others are idle, the request did not wait for a connection.
                let had_connection = was_idle || self.behind.get() || !self.idle.borrow().is_empty();
                let record = if had_connection { SendRecord::Scheduled } else { SendRecord::Waited };
                return Poll::Ready(Some(Slot { number, due, record }));
            }
            was_idle = true;
            self.behind.set(false);
            self.idle.borrow_mut().push_back(context.waker().clone());
            if self.wants_idle.get() {
                self.became_idle.notify_one();
            }
            Poll::Pending
        })
        .await
    }

    /// Wakes one idle virtual user per due request, until the schedule ends.
    pub(super) async fn wake_users(&self, state: &RunState) -> io::Result<()> {
        let Some(pace) = self.pace else { return Ok(()) };
        let mut timer = Timer::new()?;
        while !self.over.get() {
            if self.idle.borrow().is_empty() {
                self.wants_idle.set(true);
                tokio::select! {
                    () = self.became_idle.notified() => {}
                    () = self.ended.notified() => {}
                }
                self.wants_idle.set(false);
                continue;
            }
            let due = pace.due(self.next.get());
            if due >= self.end || self.next.get() >= self.limit {
                self.end();
                break;
            }
            let left = due.saturating_sub(state.elapsed());
            if !left.is_zero() && left <= BUSY_WAIT {
                tokio::task::yield_now().await;
                continue;
            }
            if !left.is_zero() {
                tokio::select! {
                    () = timer.sleep(left) => {}
                    () = self.ended.notified() => break,
                }
            }
            let now = state.elapsed();
            let due_times = (0..)
                .map(|index| pace.due(self.next.get() + index * self.step))
                .take_while(|due| *due <= now);
            let wakers: Vec<_> = {
                let mut idle = self.idle.borrow_mut();
                let count = due_times.take(idle.len()).count();
                idle.drain(..count).collect()
            };
            wakers.into_iter().for_each(Waker::wake);
            // Lets them take their slots before the next look at `idle`.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
