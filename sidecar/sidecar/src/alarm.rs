//! The waits of an idle sidecar, which are all that wakes it.
//!
//! tokio's timers wake it more often: what is more than 64 ms away is sorted in again when that time is near, which
//! takes a wake-up of its own, for each probe and each heartbeat. A timer of the kernel takes one.

use std::io;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::time::{Instant, sleep_until};
use tracing::error;

use crate::descriptor::Descriptor;

/// A timer of the kernel, for one wait after the other.
pub(crate) struct Alarm(Descriptor);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Descriptor::new(timerfd_create(TimerfdClockId::Monotonic, flags)?).map(Self)
    }

    /// Waits until then.
    pub(crate) async fn at(&mut self, time: Instant) {
        let pause = time.saturating_duration_since(Instant::now());
        if let Err(error) = self.wait(pause).await {
            error!(%error, "waiting for a timer");
            sleep_until(time).await;
        }
    }

    /// Waits for so long.
    pub(crate) async fn after(&mut self, pause: Duration) {
        self.at(Instant::now() + pause).await;
    }

    async fn wait(&mut self, pause: Duration) -> io::Result<()> {
        // Set to nothing it would be off.
        let pause = Timespec::try_from(pause.max(Duration::from_nanos(1))).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: pause };
        // What was left of a wait that was given up is over with that.
        timerfd_settime(self.0.file(), TimerfdTimerFlags::empty(), &once)?;
        self.0.read::<8>().await.map(drop)
    }
}
