//! `GET /v1/events`: who is there, then each change, as server-sent events. `instance` carries an instance as the list
//! has it, `gone` an ID in quotes.

use std::time::Duration;

use http_body_util::channel::Channel;
use protocol::Instance;
use runtime::{Body, Bytes, HeaderValue, Response, header};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::events::Event;

/// A line without meaning that often: it shows the follower that the hub is there, and the hub whether the follower is.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers with `instances`, then with what `changes` brings. Ends when the follower falls too far behind, so that it
/// starts over.
pub(crate) fn follow(instances: Vec<Instance>, mut changes: Receiver<Event>) -> Response {
    let (mut sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        for instance in &instances {
            sender.send_data(written("instance", instance)).await?;
        }
        loop {
            let line = match timeout(KEEP_ALIVE, changes.recv()).await {
                Ok(Ok(event)) => line(&event),
                Ok(Err(_)) => break,
                Err(_) => Bytes::from_static(b": nothing new\n\n"),
            };
            sender.send_data(line).await?;
        }
        // An error is a follower that has left.
        Ok::<_, http_body_util::channel::SendError>(())
    });
    let mut response = Response::new(Body::stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn line(event: &Event) -> Bytes {
    match event {
        Event::Instance(instance) => written("instance", instance),
        Event::Gone(id) => written("gone", id),
    }
}

fn written(name: &str, data: &impl Serialize) -> Bytes {
    format!("event: {name}\ndata: {}\n\n", serde_json::to_string(data).unwrap_or_default()).into()
}
