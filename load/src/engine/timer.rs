//! Waking at a time, to the microsecond: tokio's own timers are exact to the millisecond.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's.
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// One that belongs to the runtime that this is called in.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned, always the same one, and closed only after it is no longer registered.
        #[expect(unsafe_code, reason = "a descriptor is registered with the runtime")]
        let registered = unsafe { AsyncFd::register(descriptor) };
        Ok(Self(registered?))
    }

    /// Waits for a time that is not none.
    pub(super) async fn sleep(&self, time: Duration) -> io::Result<()> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: never, it_value: value },
        )?;
        // It is set anew before it is waited for again, so there is nothing to read.
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
