//! `GET /v1/events`: state of the hub, latest events, and all instances, then each change, as server-sent events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::channel::{Channel, SendError, Sender as BodySender};
use protocol::{Instance, InstanceId, Status};
use runtime::{Body, Bytes, HeaderValue, Response, header};
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::timeout;

use crate::hub::{Hub, now};
use crate::journal::Journal;
use crate::limits::Permit;

/// Number and size of the events that are kept for slow subscribers. The stream of a slower one ends.
const BUFFERED: usize = 1024;
const BUFFERED_BYTES: usize = 4 << 20;

/// Number of instances that are sent at once.
const CHUNK: usize = 32;

/// Time between events after which a comment is sent. It detects a lost connection at both ends.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Detects changes and sends them to subscribers.
pub(crate) struct Events {
    known: BTreeMap<InstanceId, Instance>,
    /// Last status that was sent, without its time.
    status: Option<Status>,
    /// Number of the first event of the journal that has not been sent.
    next: u64,
    /// Sends changes as text.
    sender: Sender<Bytes>,
    /// Size of the events since no subscriber had any left to read.
    buffered: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self { known: BTreeMap::new(), status: None, next: 0, sender: Sender::new(BUFFERED), buffered: 0 }
    }
}

impl Events {
    /// Subscribes to changes of `instances`, the current ones, and to events beginning with number `next`.
    pub(crate) fn subscribe(&mut self, instances: &[Instance], next: u64) -> Receiver<Bytes> {
        if !self.has_subscribers() {
            self.next = next;
            self.known = instances.iter().map(|instance| (instance.id.clone(), instance.clone())).collect();
        }
        self.sender.subscribe()
    }

    /// Returns whether there are subscribers. If not, changes need not be detected, and nothing is kept for them.
    pub(crate) fn has_subscribers(&mut self) -> bool {
        let has_subscribers = self.sender.receiver_count() > 0;
        if !has_subscribers && !self.known.is_empty() {
            *self = Self::default();
        }
        has_subscribers
    }

    /// Sends the differences from the last call.
    pub(crate) fn publish(&mut self, instances: &[Instance], status: &Status, journal: &Journal) {
        let timeless = Some(Status { now: 0, ..status.clone() });
        if self.status != timeless {
            self.send("status", status);
            self.status = timeless;
        }
        for event in journal.since(self.next) {
            self.send("event", event);
        }
        self.next = journal.count();
        let mut gone = std::mem::take(&mut self.known);
        for instance in instances {
            if gone.remove(&instance.id).as_ref() != Some(instance) {
                self.send("instance", instance);
            }
            self.known.insert(instance.id.clone(), instance.clone());
        }
        for id in gone.into_keys() {
            self.send("gone", &id);
        }
    }

    fn send(&mut self, event: &str, data: &impl Serialize) {
        let event = format(event, data);
        if self.sender.is_empty() {
            self.buffered = 0;
        }
        self.buffered += event.len();
        if self.buffered > BUFFERED_BYTES {
            // All streams end, so that the others of them start over.
            (self.sender, self.buffered) = (Sender::new(BUFFERED), 0);
        }
        // It fails without subscribers.
        let _ = self.sender.send(event);
    }
}

/// Responds with the state of the hub, the latest events and all instances, then with their changes. The stream ends if the
/// client is too slow, so that it starts over.
pub(crate) fn stream(hub: Arc<Hub>, permit: Permit) -> Response {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        let _permit = permit;
        let (start, changes) = {
            let state = &mut *hub.state();
            let (instances, status) = (state.instances(), state.status(now()));
            let journal = &state.registry.journal;
            let changes = state.events.subscribe(&instances, journal.count());
            let events = journal.since(0).map(|event| format("event", event));
            let start: Vec<u8> = std::iter::once(format("status", &status)).chain(events).flatten().collect();
            (start, changes)
        };
        sender.send_data(start.into()).await?;
        send_instances(&hub, &mut sender).await?;
        send_changes(changes, &mut sender).await
    });
    let mut response = Response::new(Body::stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Sends all instances, a few at a time: a client that reads slowly must not keep all of them in memory. A change meanwhile is
/// sent again, among the changes.
async fn send_instances(hub: &Hub, sender: &mut BodySender<Bytes>) -> Result<(), SendError> {
    let mut last = None;
    loop {
        let chunk: Vec<Instance> = hub.state().instances_after(last.as_ref()).take(CHUNK).collect();
        let text: Vec<u8> = chunk.iter().flat_map(|instance| format("instance", instance)).collect();
        let Some(instance) = chunk.into_iter().next_back() else { return Ok(()) };
        last = Some(instance.id);
        sender.send_data(text.into()).await?;
    }
}

/// Sends changes until there are no more, or the client is gone, which is an error.
async fn send_changes(mut changes: Receiver<Bytes>, sender: &mut BodySender<Bytes>) -> Result<(), SendError> {
    loop {
        let data = match timeout(KEEP_ALIVE, changes.recv()).await {
            Ok(Ok(event)) => event,
            Ok(Err(_)) => return Ok(()),
            Err(_) => Bytes::from_static(b": keep-alive\n\n"),
        };
        sender.send_data(data).await?;
    }
}

fn format(event: &str, data: &impl Serialize) -> Bytes {
    format!("event: {event}\ndata: {}\n\n", serde_json::to_string(data).unwrap_or_default()).into()
}
