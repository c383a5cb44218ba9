//! What all tests of a process share: made for the first that asks, gone with the last that holds it.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

/// Where something shared is kept, as a `static`.
pub struct Shared<T: 'static>(Mutex<Option<Arc<T>>>);

/// A hold on something shared.
pub struct Hold<T: 'static> {
    shared: &'static Shared<T>,
    value: Option<Arc<T>>,
}

impl<T> Shared<T> {
    /// Holds nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What is there, if it is still `fit` for use, or else what `make` makes now. Whoever comes meanwhile waits.
    pub fn hold(
        &'static self,
        fit: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Hold<T>> {
        let mut value = self.lock();
        if !value.as_deref().is_some_and(fit) {
            *value = Some(Arc::new(make()?));
        }
        Ok(Hold { shared: self, value: value.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Hold<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("it is taken only by drop")
    }
}

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        // The lock is held until the value has gone: nobody is to make the next one while this one holds what there is
        // but one of.
        let mut shared = self.shared.lock();
        self.value = None;
        if shared.as_ref().is_some_and(|value| Arc::strong_count(value) == 1) {
            *shared = None;
        }
    }
}
