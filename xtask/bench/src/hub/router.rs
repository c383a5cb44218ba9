//! A simulated router, which polls without a pause and tells when a document arrived.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use memchr::memmem;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Connection, Network};
use super::sidecars::Shared;

const POLL: &str = "/traefik?wait=30s&throttle=0ms&router=bench";
/// Time for which the request for a beacon stays open. The hub delays its response for longer.
const BEACON: Duration = Duration::from_secs(5);
/// Limit for each wait.
const LIMIT: Duration = Duration::from_secs(30);

/// A router. Dropping it ends the polls.
pub(super) struct Router {
    documents: watch::Receiver<Arc<Document>>,
    task: JoinHandle<()>,
}

/// A response to a poll.
pub(super) struct Document {
    arrived: Instant,
    json: Vec<u8>,
}

impl Router {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (sender, documents) =
            watch::channel(Arc::new(Document { arrived: Instant::now(), json: Vec::new() }));
        let shared = Arc::clone(shared);
        let task = tokio::spawn(async move {
            while let Err(error) = poll(&shared, &sender).await {
                eprintln!("polling as a router: {error:#}");
                sleep(Duration::from_millis(100)).await;
            }
        });
        Self { documents, task }
    }

    /// Waits until a document contains `text`, and returns when it arrived.
    pub(super) fn contains(&self, text: String) -> impl Future<Output = Result<Instant>> + use<> {
        let documents = self.documents.clone();
        async move {
            let finder = memmem::Finder::new(text.as_bytes());
            arrival(documents, |document| finder.find(&document.json).is_some())
                .await
                .with_context(|| format!("waiting for {text} in Traefik's configuration"))
        }
    }

    /// Waits until a document has at most `count` servers, and returns when it arrived.
    pub(super) async fn has_at_most(&self, count: usize) -> Result<Instant> {
        // Each router adds the beacon.
        let servers = |document: &Document| memmem::find_iter(&document.json, "\"url\":").count();
        arrival(self.documents.clone(), |document| servers(document) <= count + 1)
            .await
            .with_context(|| format!("waiting until Traefik's configuration has {count} servers"))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn arrival(
    mut documents: watch::Receiver<Arc<Document>>,
    is_it: impl Fn(&Document) -> bool,
) -> Result<Instant> {
    let found = documents.wait_for(|document| !document.json.is_empty() && is_it(document));
    Ok(timeout(LIMIT, found).await.context("no such document in time")??.arrived)
}

async fn poll(shared: &Shared, documents: &watch::Sender<Arc<Document>>) -> Result<()> {
    let network = Network::default();
    let mut connection = Connection::open(&network, shared.hubs[0], &shared.token).await?;
    loop {
        let json = connection.send("GET", POLL, "").await?;
        let arrived = Instant::now();
        let beacon = memmem::find(&json, b"/traefik/beacon?").map(|start| &json[start..]);
        let beacon = beacon.and_then(|rest| rest.split(|byte| *byte == b'"').next());
        let path = String::from_utf8_lossy(beacon.context("a document without a beacon")?).into_owned();
        documents.send_replace(Arc::new(Document { arrived, json }));
        let (hub, token) = (shared.hubs[0], shared.token.clone());
        tokio::spawn(async move {
            let request = async {
                let mut connection = Connection::open(&Network::default(), hub, &token).await?;
                connection.send("GET", &path, "").await
            };
            // It acknowledges the document even without a response.
            drop(timeout(BEACON, request).await);
        });
    }
}
