//! Readiness as a type: ready is who holds no latch any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether a service is fit for requests: as soon as all latches are dropped, and until its drain begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<State>);

/// Keeps a [`Readiness`] from being ready for as long as it is held.
#[derive(Debug)]
#[must_use = "a latch that is dropped at once holds nothing back"]
pub struct Latch(Arc<State>);

#[derive(Debug, Default)]
struct State {
    latches: AtomicUsize,
    draining: AtomicBool,
}

impl Readiness {
    /// One more thing to wait for.
    pub fn latch(&self) -> Latch {
        self.0.latches.fetch_add(1, Ordering::Relaxed);
        Latch(Arc::clone(&self.0))
    }

    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.is_draining() && self.0.latches.load(Ordering::Acquire) == 0
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
