//! Timeouts of a connection.
//!
//! hyper's own header timeout also runs while a connection is idle, so that it cannot differ from the idle timeout.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::Limits;
use crate::io::{ConnectionState, Phase};

/// Limits the time that a connection spends in one [`Phase`].
pub(crate) struct Timeouts<'a> {
    limits: &'a Limits,
    state: &'a ConnectionState,
    accepted: Instant,
    /// Phase with its number, and whether the server was closing, for which `deadline` was computed.
    current: Option<((Phase, u32), bool)>,
    deadline: Option<Instant>,
    /// Fires at the deadline or earlier. A deadline that moves back, as after each request, leaves the timer alone.
    timer: Pin<Box<Sleep>>,
}

impl<'a> Timeouts<'a> {
    /// Starts the timeouts of a connection that was just accepted.
    pub(crate) fn new(limits: &'a Limits, state: &'a ConnectionState) -> Self {
        let timer = Box::pin(sleep(limits.idle_timeout));
        Self { limits, state, accepted: Instant::now(), current: None, deadline: None, timer }
    }

    /// Returns the phase whose timeout has expired.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, closing: bool) -> Poll<Phase> {
        let (phase, number) = self.state.phase();
        if self.current != Some(((phase, number), closing)) {
            self.current = Some(((phase, number), closing));
            self.deadline = self.deadline(phase, closing);
            if let Some(deadline) = self.deadline
                && deadline < self.timer.deadline()
            {
                self.timer.as_mut().reset(deadline);
            }
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            match self.deadline {
                Some(deadline) if deadline <= now => return Poll::Ready(phase),
                Some(deadline) => self.timer.as_mut().reset(deadline),
                None => self.timer.as_mut().reset(now + Duration::from_hours(1)),
            }
        }
    }

    /// Returns the end of a phase that starts now. `None` is never.
    fn deadline(&self, phase: Phase, closing: bool) -> Option<Instant> {
        match phase {
            Phase::Busy => None,
            Phase::Header => Instant::now().checked_add(self.limits.header_timeout),
            Phase::Stalled => Instant::now().checked_add(self.limits.stall_timeout),
            // A client that was accepted late gets as much time for its first request as the others had.
            Phase::Idle if closing && self.state.is_fresh() => self.accepted.checked_add(self.limits.linger),
            Phase::Idle if closing => Some(Instant::now()),
            Phase::Idle => Instant::now().checked_add(self.limits.idle_timeout),
        }
    }
}
