//! Who sends which request, and when.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};
use std::time::Duration;

use timer::Timer;
use tokio::sync::Notify;

use super::Common;
use crate::pace::{Pace, due_before};
use crate::recorder::Send;

/// What was due before the end may be sent so long after it: a generator that is a little late sends all that it was
/// told to.
const GRACE: Duration = Duration::from_secs(1);

/// For a time as short as this it is not slept: to set a timer, sleep, and be woken takes the processor about as long, and is
/// less punctual. Answers are looked for meanwhile. It comes to that at 20,000 requests in each second and above.
const AWAKE: Duration = Duration::from_micros(50);

/// A request that is to be sent now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Its number, of all threads' requests.
    pub(super) number: u64,
    /// When it should have been sent.
    pub(super) due: Duration,
    /// Why it is sent now.
    pub(super) send: Send,
}

/// The requests of one thread: of two threads each has every second one.
pub(super) struct Turns {
    next: Cell<u64>,
    step: u64,
    most: u64,
    end: Duration,
    pace: Option<Pace>,
    over: Cell<bool>,
    /// Connections that wait for a request to be due.
    idle: RefCell<VecDeque<Waker>>,
    /// Whether somebody waits for one of them to wait.
    is_awaited: Cell<bool>,
    joined: Notify,
    ended: Notify,
}

impl Turns {
    pub(super) fn new(common: &Common, number: u32) -> Self {
        let plan = &common.plan;
        Self {
            next: Cell::new(number.into()),
            step: plan.threads.into(),
            most: plan.requests.unwrap_or(u64::MAX),
            end: plan.duration.unwrap_or(Duration::MAX),
            pace: plan.pace(),
            over: Cell::new(false),
            idle: RefCell::default(),
            is_awaited: Cell::new(false),
            joined: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Nothing more is sent.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.ended.notify_one();
        self.idle.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// How many are due before `now`, and before the end, and have not been sent.
    pub(super) fn unsent(&self, now: Duration) -> u64 {
        let count = |pace| due_before(pace, self.next.get(), self.step, self.most, self.end.min(now));
        self.pace.map_or(0, count)
    }

    /// The next request, when it is due; nothing when there is none any more.
    pub(super) async fn next(&self, common: &Common, now: Duration) -> Option<Turn> {
        let Some(pace) = self.pace else {
            let number = self.next.get();
            if self.over.get() || number >= self.most || now >= self.end {
                self.end();
                return None;
            }
            self.next.set(number + self.step);
            return Some(Turn { number, due: now, send: Send::Free });
        };
        let mut now = now;
        let mut was_idle = false;
        poll_fn(|context| {
            let number = self.next.get();
            let due = pace.due(number);
            if self.over.get() || number >= self.most || due >= self.end {
                self.end();
                return Poll::Ready(None);
            }
            if was_idle {
                now = common.elapsed();
            }
            if now >= self.end.saturating_add(GRACE) {
                self.end();
                return Poll::Ready(None);
            }
            if due <= now {
                self.next.set(number + self.step);
                // Where others are idle it is not for want of connections that it is sent only now.
                let is_punctual = was_idle || !self.idle.borrow().is_empty();
                let send = if is_punctual { Send::Due } else { Send::Waited };
                return Poll::Ready(Some(Turn { number, due, send }));
            }
            was_idle = true;
            self.idle.borrow_mut().push_back(context.waker().clone());
            if self.is_awaited.get() {
                self.joined.notify_one();
            }
            Poll::Pending
        })
        .await
    }

    /// Wakes as many of those that wait as requests are due, until the last one.
    pub(super) async fn wake(&self, common: &Common) -> io::Result<()> {
        let Some(pace) = self.pace else { return Ok(()) };
        let mut timer = Timer::new()?;
        while !self.over.get() {
            if self.idle.borrow().is_empty() {
                self.is_awaited.set(true);
                tokio::select! {
                    () = self.joined.notified() => {}
                    () = self.ended.notified() => {}
                }
                self.is_awaited.set(false);
                continue;
            }
            let due = pace.due(self.next.get());
            if due >= self.end || self.next.get() >= self.most {
                self.end();
                break;
            }
            let now = common.elapsed();
            let left = due.saturating_sub(now);
            if !left.is_zero() && left <= AWAKE {
                tokio::task::yield_now().await;
                continue;
            }
            if !left.is_zero() {
                tokio::select! {
                    () = timer.sleep(left) => {}
                    () = self.ended.notified() => break,
                }
            }
            let now = common.elapsed();
            let dues =
                (0..).map(|turn| pace.due(self.next.get() + turn * self.step)).take_while(|due| *due <= now);
            let wakers: Vec<_> = {
                let mut idle = self.idle.borrow_mut();
                let count = dues.take(idle.len()).count();
                idle.drain(..count).collect()
            };
            wakers.into_iter().for_each(Waker::wake);
            // They have their turn before it is looked at again who is still idle.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
