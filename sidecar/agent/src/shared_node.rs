//! The node, shared by the task that watches the engine and those that publish to the hubs.

use std::cell::{Ref, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tracing::{debug, warn};

use crate::node::{Node, Settings};

pub(crate) struct SharedNode {
    node: RefCell<Node>,
    /// Notified after each update.
    pub(crate) changed: watch::Sender<()>,
    /// Notified when a publisher needs a list of the containers' addresses.
    pub(crate) list_wanted: Notify,
}

impl SharedNode {
    pub(crate) fn new(settings: Settings) -> Self {
        let node = RefCell::new(Node::new(settings));
        Self { node, changed: watch::Sender::new(()), list_wanted: Notify::new() }
    }

    /// Borrows the node. The borrow must not be held across an await.
    pub(crate) fn read(&self) -> Ref<'_, Node> {
        self.node.borrow()
    }

    /// Updates the node, logs its messages and notifies the publishers. `update` takes the time in nanoseconds of Unix time.
    pub(crate) fn update<T>(&self, update: impl FnOnce(&mut Node, u64) -> T) -> T {
        let mut node = self.node.borrow_mut();
        let outcome = update(&mut node, now());
        for message in node.take_messages() {
            if message.is_warning {
                warn!("{}", message.text);
            } else {
                debug!("{}", message.text);
            }
        }
        self.changed.send_replace(());
        outcome
    }
}

/// Nanoseconds of Unix time.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
