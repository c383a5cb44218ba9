//! What has changed among the instances, for those who follow.

use std::collections::BTreeMap;

use protocol::{Instance, InstanceId};
use tokio::sync::broadcast;

/// For followers that are slow; one that falls further behind is told to start over.
const KEPT: usize = 1024;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An instance is new, or something about it is.
    Instance(Box<Instance>),
    /// An instance has gone.
    Gone(InstanceId),
}

/// Finds out what has changed, and tells.
pub(crate) struct Events {
    known: BTreeMap<InstanceId, Instance>,
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { known: BTreeMap::new(), sender: broadcast::Sender::new(KEPT) }
    }
}

impl Events {
    /// Everything that changes from `now` on.
    pub(crate) fn subscribe(&mut self, now: Vec<Instance>) -> broadcast::Receiver<Event> {
        if !self.has_followers() {
            self.known = now.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
        }
        self.sender.subscribe()
    }

    /// Whether anybody follows: otherwise nothing is compared.
    pub(crate) fn has_followers(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells what is different from the last time.
    pub(crate) fn publish(&mut self, instances: &[Instance]) {
        let mut gone = std::mem::take(&mut self.known);
        for instance in instances {
            if gone.remove(&instance.id).as_ref() != Some(instance) {
                self.send(Event::Instance(Box::new(instance.clone())));
            }
            self.known.insert(instance.id.clone(), instance.clone());
        }
        for id in gone.into_keys() {
            self.send(Event::Gone(id));
        }
    }

    fn send(&self, event: Event) {
        // Fails when nobody follows.
        let _ = self.sender.send(event);
    }
}
