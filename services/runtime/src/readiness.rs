//! Readiness: the service is ready once every latch is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Readiness of a service for requests. It is ready once every [`Latch`] is dropped, until the drain begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Shared>);

/// Keeps a [`Readiness`] unready until it is dropped.
#[derive(Debug)]
#[must_use = "a latch has no effect after it is dropped"]
pub struct Latch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    latches: AtomicUsize,
    draining: AtomicBool,
}

/// Stage in the life of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// A latch is still held.
    Starting,
    /// Ready for requests.
    Serving,
    /// The drain has begun.
    Draining,
}

impl ReadinessState {
    /// Returns the state as one lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

impl Readiness {
    /// Creates another latch.
    pub fn latch(&self) -> Latch {
        self.0.latches.fetch_add(1, Ordering::Relaxed);
        Latch(Arc::clone(&self.0))
    }

    /// Whether the service is ready for requests.
    pub fn is_ready(&self) -> bool {
        self.state() == ReadinessState::Serving
    }

    /// Returns the current state.
    pub fn state(&self) -> ReadinessState {
        if self.is_draining() {
            ReadinessState::Draining
        } else if self.0.latches.load(Ordering::Acquire) == 0 {
            ReadinessState::Serving
        } else {
            ReadinessState::Starting
        }
    }

    /// Whether the drain has begun. A drain cannot be reverted.
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
