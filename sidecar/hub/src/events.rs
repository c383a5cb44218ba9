//! `GET /v1/events`: all instances, then each change, as server-sent events.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::channel::{Channel, SendError};
use protocol::{Instance, InstanceId};
use runtime::{Body, Bytes, HeaderValue, Response, header};
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::time::timeout;

/// Number of events that are kept for slow subscribers. The stream of a slower one ends.
const BUFFERED: usize = 1024;

/// Time between events after which a comment is sent. It detects a lost connection at both ends.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Detects changes and sends them to subscribers.
pub(crate) struct Events {
    known: BTreeMap<InstanceId, Instance>,
    /// Sends changes as text.
    sender: Sender<Bytes>,
}

impl Default for Events {
    fn default() -> Self {
        Self { known: BTreeMap::new(), sender: Sender::new(BUFFERED) }
    }
}

impl Events {
    /// Subscribes to changes of `instances`, the current ones.
    pub(crate) fn subscribe(&mut self, instances: &[Instance]) -> Receiver<Bytes> {
        if !self.has_subscribers() {
            self.known = instances.iter().map(|instance| (instance.id.clone(), instance.clone())).collect();
        }
        self.sender.subscribe()
    }

    /// Returns whether there are subscribers. If not, changes need not be detected.
    pub(crate) fn has_subscribers(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Sends the differences from the last call.
    pub(crate) fn publish(&mut self, instances: &[Instance]) {
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

    fn send(&self, event: &str, data: &impl Serialize) {
        // It fails without subscribers.
        let _ = self.sender.send(format(event, data));
    }
}

/// Responds with `instances`, then with `changes`. The stream ends if the client is too slow, so that it starts over.
pub(crate) fn stream(instances: Vec<Instance>, mut changes: Receiver<Bytes>) -> Response {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        for instance in &instances {
            sender.send_data(format("instance", instance)).await?;
        }
        loop {
            let data = match timeout(KEEP_ALIVE, changes.recv()).await {
                Ok(Ok(event)) => event,
                Ok(Err(_)) => break,
                Err(_) => Bytes::from_static(b": keep-alive\n\n"),
            };
            sender.send_data(data).await?;
        }
        // An error means that the client is gone.
        Ok::<_, SendError>(())
    });
    let mut response = Response::new(Body::stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn format(event: &str, data: &impl Serialize) -> Bytes {
    format!("event: {event}\ndata: {}\n\n", serde_json::to_string(data).unwrap_or_default()).into()
}
