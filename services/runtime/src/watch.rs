//! The watch on a client's time.
//!
//! hyper's own time-out for headers runs while a connection is idle too, which would make both the same, and it sets
//! up a timer for each request. This watch has one timer for each connection, and moves it only to ring sooner.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep};

use crate::Limits;
use crate::progress::{Phase, Progress};

/// By what part of the idle time-out an idle connection may outlast it.
const SLACK: u32 = 8;

/// Watches how long one connection stays in one [`Phase`].
pub(crate) struct Watch<'a> {
    limits: &'a Limits,
    progress: &'a Progress,
    accepted: Instant,
    /// What the deadline was set for: the phase with its number, and whether the server was closing.
    seen: ((Phase, u32), bool),
    deadline: Deadline,
    /// Rings at the deadline or sooner.
    bell: Pin<Box<Sleep>>,
    /// Whether it rings soon enough for [`Deadline::Unreckoned`].
    is_near: bool,
    /// Whether it wakes the task.
    is_set: bool,
}

/// When the phase has lasted too long.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    Never,
    At(Instant),
    /// An idle time-out after the bell rings next. After most answers another request comes long before that, and no
    /// clock has been read in vain.
    Unreckoned,
}

impl<'a> Watch<'a> {
    /// For a connection just accepted.
    pub(crate) fn new(limits: &'a Limits, progress: &'a Progress) -> Self {
        let accepted = Instant::now();
        Self {
            limits,
            progress,
            accepted,
            seen: (progress.phase(), false),
            deadline: after(accepted, limits.idle_timeout),
            bell: Box::pin(sleep(limits.idle_timeout / SLACK)),
            is_near: true,
            is_set: false,
        }
    }

    /// Ready with the phase that has lasted too long.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, closing: bool) -> Poll<Phase> {
        let (phase, number) = self.progress.phase();
        if self.seen != ((phase, number), closing) {
            self.seen = ((phase, number), closing);
            self.deadline = self.deadline(phase, closing);
        }
        // Polling is needed only to be woken by it.
        if self.is_set && !self.bell.is_elapsed() {
            return Poll::Pending;
        }
        // A task that has had its turn is told to come again whatever it asks, and the bell does not hear of it.
        self.is_set = has_budget_remaining();
        while self.bell.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if matches!(self.deadline, Deadline::Unreckoned) {
                self.deadline = after(now, self.limits.idle_timeout);
            }
            match self.deadline {
                Deadline::At(deadline) if deadline <= now => return Poll::Ready(phase),
                Deadline::At(deadline) => self.reset(deadline),
                Deadline::Never | Deadline::Unreckoned => self.reset(now + Duration::from_hours(1)),
            }
            self.is_set = has_budget_remaining();
        }
        Poll::Pending
    }

    fn deadline(&mut self, phase: Phase, closing: bool) -> Deadline {
        let deadline = match phase {
            Phase::Busy => Deadline::Never,
            Phase::Header => after(Instant::now(), self.limits.header_timeout),
            Phase::Stalled => after(Instant::now(), self.limits.stall_timeout),
            // Whoever was let in late has as long for the first request as the others had.
            Phase::Idle if closing && self.progress.is_fresh() => after(self.accepted, self.limits.linger),
            Phase::Idle if closing => Deadline::At(Instant::now()),
            Phase::Idle => {
                if !self.is_near
                    && let Deadline::At(near) = after(Instant::now(), self.limits.idle_timeout / SLACK)
                {
                    self.reset(near);
                    self.is_near = true;
                }
                Deadline::Unreckoned
            }
        };
        if let Deadline::At(deadline) = deadline
            && deadline < self.bell.deadline()
        {
            self.reset(deadline);
        }
        deadline
    }

    fn reset(&mut self, deadline: Instant) {
        self.bell.as_mut().reset(deadline);
        self.is_near = false;
        self.is_set = false;
    }
}

fn after(begin: Instant, time: Duration) -> Deadline {
    begin.checked_add(time).map_or(Deadline::Never, Deadline::At)
}
