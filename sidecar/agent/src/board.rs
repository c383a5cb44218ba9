//! Where those who ask the engine and those who tell the hub meet.

use std::cell::{Ref, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::node::{Node, Settings};

/// The node, as far as it is known.
pub(crate) struct Board {
    node: RefCell<Node>,
    changed: Notify,
    list: Notify,
}

impl Board {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { node: RefCell::new(Node::new(settings)), changed: Notify::new(), list: Notify::new() }
    }

    /// The node as it is now. Not to be kept while anything is waited for.
    pub(crate) fn read(&self) -> Ref<'_, Node> {
        self.node.borrow()
    }

    /// Changes it, and has the hub told what follows. The change gets the time, in nanoseconds of Unix time.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Node, u64) -> T) -> T {
        let mut node = self.node.borrow_mut();
        let outcome = change(&mut node, now());
        for remark in node.take_remarks() {
            if remark.is_warning {
                warn!("{}", remark.text);
            } else {
                debug!("{}", remark.text);
            }
        }
        self.changed.notify_one();
        outcome
    }

    /// Returns once it has been changed since the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Has containers listed for their addresses.
    pub(crate) fn want_list(&self) {
        self.list.notify_one();
    }

    /// Returns once somebody wants that.
    pub(crate) async fn list_wanted(&self) {
        self.list.notified().await;
    }
}

/// The time, in nanoseconds of Unix time.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
