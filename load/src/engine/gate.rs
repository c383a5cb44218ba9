//! Where threads wait for each other before the load.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::lock;

/// Opens when all are there, unless there is no load after all.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    arrived: u32,
    open: Option<bool>,
}

/// One who has not arrived yet. Dropped, it counts as there: whoever panics on the way must not keep the others waiting.
pub(super) struct Coming<'a>(&'a Gate);

impl Gate {
    /// Somebody who will arrive.
    pub(super) fn coming(&self) -> Coming<'_> {
        Coming(self)
    }

    /// Waits until so many have arrived.
    pub(super) fn wait_for(&self, count: u32) {
        drop(self.wait(|state| state.arrived < count));
    }

    /// Lets all go on, to send or not to.
    pub(super) fn open(&self, sends: bool) {
        lock(&self.state).open = Some(sends);
        self.changed.notify_all();
    }

    fn wait(&self, while_so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = lock(&self.state);
        self.changed.wait_while(state, |state| while_so(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming<'_> {
    /// Is there, and waits until the gate opens: whether there is anything to send.
    pub(super) fn arrive(self) -> bool {
        let gate = self.0;
        drop(self);
        gate.wait(|state| state.open.is_none()).open == Some(true)
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).arrived += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn all_wait_for_the_last_one_and_for_the_word() {
        for sends in [true, false] {
            let gate = Gate::default();
            thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(|| gate.coming().arrive()));
                gate.wait_for(3);
                gate.open(sends);
                assert_eq!(threads.map(|thread| thread.join().unwrap()), [sends; 3]);
            });
        }
    }

    #[test]
    fn one_who_never_comes_keeps_nobody_waiting() {
        let gate = Gate::default();
        drop(gate.coming());
        // So that it is seen to be wrong, and not waited for.
        assert_eq!(lock(&gate.state).arrived, 1);
        gate.wait_for(1);
    }
}
