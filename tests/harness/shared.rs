//! A resource that all tests of a process share: created for the first user and dropped with the last handle.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

/// Slot for a shared resource, for a `static`.
pub struct Shared<T: 'static>(Mutex<Option<Arc<T>>>);

/// Keeps a shared resource alive.
pub struct SharedHandle<T: 'static> {
    shared: &'static Shared<T>,
    value: Option<Arc<T>>,
}

impl<T> Shared<T> {
    /// Creates an empty slot.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns the resource if it exists and `is_usable`, and otherwise one that `create` makes. Blocks while another
    /// thread creates it.
    pub fn get(
        &'static self,
        is_usable: impl FnOnce(&T) -> bool,
        create: impl FnOnce() -> Result<T>,
    ) -> Result<SharedHandle<T>> {
        let mut value = self.lock();
        if !value.as_deref().is_some_and(is_usable) {
            *value = Some(Arc::new(create()?));
        }
        Ok(SharedHandle { shared: self, value: value.clone() })
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

impl<T> Deref for SharedHandle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("only drop takes it")
    }
}

impl<T> Drop for SharedHandle<T> {
    fn drop(&mut self) {
        // Keeps the lock until the resource is gone: the next one must not be created while this one holds, for example,
        // the same addresses.
        let mut shared = self.shared.lock();
        self.value = None;
        if shared.as_ref().is_some_and(|value| Arc::strong_count(value) == 1) {
            *shared = None;
        }
    }
}
