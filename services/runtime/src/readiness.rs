//! Readiness as a type: ready is who holds no latch any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether a service is fit for requests: as soon as all latches are dropped, and until its drain begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Shared>);

/// Keeps a [`Readiness`] from being ready for as long as it is held.
#[derive(Debug)]
#[must_use = "a latch that is dropped at once holds nothing back"]
pub struct Latch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    latches: AtomicUsize,
    draining: AtomicBool,
}

/// How far a service has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// A latch is still held.
    Starting,
    /// Requests are welcome.
    Serving,
    /// The drain has begun.
    Draining,
}

impl ReadinessState {
    /// In one lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

impl Readiness {
    /// One more thing to wait for.
    pub fn latch(&self) -> Latch {
        self.0.latches.fetch_add(1, Ordering::Relaxed);
        Latch(Arc::clone(&self.0))
    }

    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.state() == ReadinessState::Serving
    }

    /// How far the service has got.
    pub fn state(&self) -> ReadinessState {
        if self.is_draining() {
            ReadinessState::Draining
        } else if self.0.latches.load(Ordering::Acquire) == 0 {
            ReadinessState::Serving
        } else {
            ReadinessState::Starting
        }
    }

    /// Whether the drain has begun; there is no way back.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.0.latches.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_latch_is_dropped() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let (first, second) = (readiness.latch(), readiness.clone().latch());
        drop(first);
        assert!(!readiness.is_ready());
        drop(second);
        assert!(readiness.is_ready());
    }

    #[test]
    fn draining_is_unready_for_good() {
        let readiness = Readiness::default();
        readiness.drain();
        drop(readiness.latch());
        assert!(!readiness.is_ready());
    }
}
