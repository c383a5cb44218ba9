//! Asynchronous kernel timer.
//!
//! tokio's own timers have a resolution of one millisecond, and a wait of more than 64 ms costs them additional wake-ups.
//! A timerfd is exact to the microsecond and wakes the process once.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timerfd on the monotonic clock. It serves one wait at a time.
#[derive(Debug)]
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Creates a timer in the current tokio runtime. Fails if no file descriptor is left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: `AsyncFd` owns the descriptor, which is neither replaced nor closed while it is registered.
        #[expect(unsafe_code, reason = "registers a file descriptor with the runtime")]
        let registered = unsafe { AsyncFd::register(descriptor) };
        Ok(Self(registered?))
    }

    /// Waits for `duration`. A wait that is dropped before its end has no effect on the next one.
    pub async fn sleep(&mut self, duration: Duration) {
        // Zero would disarm the timer. The maximum, 136 years, can be added to every time.
        let duration = duration.clamp(Duration::from_nanos(1), Duration::from_secs(u32::MAX.into()));
        let end = Instant::now() + duration;
        if self.wait_until(end, duration).await.is_err() {
            // The kernel does not refuse to set a valid timer. tokio's timer is less exact, and good enough for that case.
            tokio::time::sleep_until(end.into()).await;
        }
    }

    async fn wait_until(&self, end: Instant, duration: Duration) -> io::Result<()> {
        let value = Timespec::try_from(duration).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        loop {
            // Setting the timer resets its counter, so there is no need to read it. The event may be that of an
            // earlier wait which was dropped.
            self.0.readable().await?.clear_ready();
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn each_wait_takes_at_least_its_duration() {
        run(async {
            let mut timer = Timer::new().unwrap();
            for micros in [0, 1, 300, 5000] {
                let (begin, duration) = (Instant::now(), Duration::from_micros(micros));
                timer.sleep(duration).await;
                assert!(begin.elapsed() >= duration, "{:?} of {duration:?}", begin.elapsed());
            }
        });
    }

    #[test]
    fn dropped_wait_does_not_shorten_the_next() {
        run(async {
            let mut timer = Timer::new().unwrap();
            for _ in 0..20 {
                tokio::select! {
                    biased;
                    () = timer.sleep(Duration::from_micros(50)) => {}
                    // Longer than the wait, without giving it an opportunity to end.
                    () = async { std::thread::sleep(Duration::from_micros(200)) } => {}
                }
                let (begin, duration) = (Instant::now(), Duration::from_millis(3));
                timer.sleep(duration).await;
                assert!(begin.elapsed() >= duration, "{:?}", begin.elapsed());
            }
        });
    }
}
