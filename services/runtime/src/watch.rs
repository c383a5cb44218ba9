//! The watch on a client's time.
//!
//! hyper's own time-out for headers runs while a connection is idle too, which would make both the same, and it sets
//! up a timer for each request. This watch has one timer for each connection, and moves it only to ring sooner.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::Limits;
use crate::progress::{Phase, Progress};

/// Watches how long one connection stays in one [`Phase`].
pub(crate) struct Watch<'a> {
    limits: &'a Limits,
    progress: &'a Progress,
    accepted: Instant,
    /// What the deadline was set for: the phase with its number, and whether the server was closing.
    seen: ((Phase, u32), bool),
    /// When the phase has lasted too long, if ever.
    deadline: Option<Instant>,
    /// Rings at the deadline or sooner.
    bell: Pin<Box<Sleep>>,
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
            deadline: accepted.checked_add(limits.idle_timeout),
            bell: Box::pin(sleep(limits.idle_timeout)),
        }
    }

    /// Ready with the phase that has lasted too long.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, closing: bool) -> Poll<Phase> {
        let (phase, number) = self.progress.phase();
        if self.seen != ((phase, number), closing) {
            self.seen = ((phase, number), closing);
            self.deadline = self.deadline(phase, closing);
            if let Some(deadline) = self.deadline
                && deadline < self.bell.deadline()
            {
                self.bell.as_mut().reset(deadline);
            }
        }
        while self.bell.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            match self.deadline {
                Some(deadline) if deadline <= now => return Poll::Ready(phase),
                Some(deadline) => self.bell.as_mut().reset(deadline),
                None => self.bell.as_mut().reset(now + Duration::from_hours(1)),
            }
        }
        Poll::Pending
    }

    fn deadline(&self, phase: Phase, closing: bool) -> Option<Instant> {
        let now = Instant::now();
        match phase {
            Phase::Busy => None,
            Phase::Header => now.checked_add(self.limits.header_timeout),
            Phase::Stalled => now.checked_add(self.limits.stall_timeout),
            // Whoever was let in late has as long for the first request as the others had.
            Phase::Idle if closing && self.progress.is_fresh() => {
                self.accepted.checked_add(self.limits.linger)
            }
            Phase::Idle if closing => Some(now),
            Phase::Idle => now.checked_add(self.limits.idle_timeout),
        }
    }
}
