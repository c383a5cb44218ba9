//! Simulated sidecars, which register instances over a connection of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use protocol::Routing;
use serde_json::{Value, json};
use tokio::select;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::{Connection, Network};

/// Number of instances of each service.
pub(super) const INSTANCES: usize = 10;
/// Heartbeat interval until the task is confirmed, as of real sidecars, and the pause after an error.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(1);
/// Time for a response, in addition to the time for which the hub holds it.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for routers to acknowledge a withdrawal.
const WITHDRAWAL: Duration = Duration::from_secs(10);

/// What all sidecars have in common.
pub(super) struct Shared {
    /// The hubs. Routers poll the first one.
    pub(super) hubs: Vec<SocketAddr>,
    pub(super) token: String,
    /// Number of failed requests and lost connections.
    pub(super) errors: AtomicUsize,
    /// Number of instances that were started, which gives each its ID and its address.
    pub(super) started: AtomicUsize,
}

impl Shared {
    pub(super) fn new(hubs: Vec<SocketAddr>, token: String) -> Self {
        Self { hubs, token, errors: AtomicUsize::new(0), started: AtomicUsize::new(0) }
    }
}

/// A healthy task and its sidecar. Dropping it closes the connections.
pub(super) struct Sidecar {
    /// Place among all tasks, which determines its service.
    pub(super) place: usize,
    /// Its server in Traefik's configuration.
    pub(super) url: String,
    /// For each hub.
    leases: Vec<Lease>,
}

/// A lease that a task of its own keeps.
struct Lease {
    granted: Option<oneshot::Receiver<Instant>>,
    confirmed: Option<oneshot::Receiver<Instant>>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Sidecar {
    /// Starts a task of the service at `place`, with a new ID and a new address.
    pub(super) fn start(shared: &Arc<Shared>, network: &Network, place: usize) -> Self {
        let number = shared.started.fetch_add(1, Ordering::Relaxed);
        let [_, high, middle, low] = u32::try_from(number).unwrap_or_default().to_be_bytes();
        let address = IpAddr::from(Ipv4Addr::new(10, high, middle, low));
        let service = format!("demo_service-{:04}", place / INSTANCES);
        let slot = place % INSTANCES + 1;
        let path = format!("/v1/instances/{service}.{slot}.ffkef7x4l1njjxei{number:09}");
        let body = registration(&service, slot, number, address).to_string();
        let keep = |hub: &SocketAddr| {
            let (granted_sender, granted) = oneshot::channel();
            let (confirmed_sender, confirmed) = oneshot::channel();
            let (end, end_receiver) = oneshot::channel();
            let keeper = Keeper {
                shared: Arc::clone(shared),
                hub: *hub,
                network: network.clone(),
                path: path.clone(),
                body: body.clone(),
                granted: Some(granted_sender),
                confirmed: Some(confirmed_sender),
                end: end_receiver,
                interval: FIRST_HEARTBEAT,
            };
            let task = tokio::spawn(keeper.run());
            Lease { granted: Some(granted), confirmed: Some(confirmed), end: Some(end), task }
        };
        let leases = shared.hubs.iter().map(keep).collect();
        Self { place, url: format!("\"http://{address}:8080\""), leases }
    }

    /// Waits for the first lease of each hub, and returns when the last one arrived.
    pub(super) async fn leased(&mut self) -> Result<Instant> {
        let mut last = arrival(self.leases[0].granted.take()).await?;
        for lease in &mut self.leases[1..] {
            last = last.max(arrival(lease.granted.take()).await?);
        }
        Ok(last)
    }

    /// Waits until all routers have acknowledged the task, and returns when the lease that says so arrived.
    pub(super) async fn confirmed(&mut self) -> Result<Instant> {
        arrival(self.leases[0].confirmed.take()).await
    }

    /// Withdraws the task from all hubs, and waits for the acknowledgement of all routers.
    pub(super) async fn withdraw(mut self) -> Result<()> {
        self.leases.iter_mut().for_each(|lease| drop(lease.end.take()));
        for lease in &mut self.leases {
            timeout(WITHDRAWAL + RESPONSE_TIMEOUT, &mut lease.task)
                .await
                .context("waiting for a withdrawal")??;
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn arrival(receiver: Option<oneshot::Receiver<Instant>>) -> Result<Instant> {
    let arrival = receiver.context("the lease was waited for before")?;
    timeout(Duration::from_mins(2), arrival)
        .await
        .context("waiting for a lease")?
        .context("the sidecar ended")
}

/// A registration as sidecars of the demo send it.
fn registration(service: &str, slot: usize, number: usize, address: IpAddr) -> Value {
    let name = service.trim_start_matches("demo_");
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    json!({
        "service": service,
        "host": format!("{number:012x}"),
        "node": format!("node-{}", slot % 3 + 1),
        "slot": slot.to_string(),
        "address": address,
        "port": 8080,
        "started": u64::try_from(started).unwrap_or_default(),
        "health": "healthy",
        "labels": {
            "com.docker.stack.image": "registry.example.com/service:1",
            "com.docker.stack.namespace": "demo",
            "traefik.enable": "true",
            format!("traefik.http.routers.{name}.rule"): format!("Host(`{name}.example.com`) && PathPrefix(`/`)"),
            format!("traefik.http.services.{name}.loadbalancer.server.port"): "8080",
        },
    })
}

/// The task that keeps a lease.
struct Keeper {
    shared: Arc<Shared>,
    hub: SocketAddr,
    network: Network,
    path: String,
    body: String,
    granted: Option<oneshot::Sender<Instant>>,
    confirmed: Option<oneshot::Sender<Instant>>,
    end: oneshot::Receiver<()>,
    interval: Duration,
}

impl Keeper {
    async fn run(mut self) {
        while let Err(error) = self.hold().await {
            if self.shared.errors.fetch_add(1, Ordering::Relaxed) == 0 {
                eprintln!("first error of a sidecar: {error:#}");
            }
            sleep(FIRST_HEARTBEAT).await;
        }
    }

    /// Keeps the lease on one connection, until the task is withdrawn.
    async fn hold(&mut self) -> Result<()> {
        let mut connection = self.connect().await?;
        loop {
            let sent = Instant::now();
            let path = format!("{}?wait={}ms", self.path, self.interval.as_millis());
            let lease = timeout(self.interval + RESPONSE_TIMEOUT, connection.send("PUT", &path, &self.body));
            let lease = select! {
                lease = lease => lease.context("waiting for a lease")??,
                _ = &mut self.end => return self.withdraw(self.connect().await?).await,
            };
            let now = Instant::now();
            let lease: protocol::Lease = serde_json::from_slice(&lease).context("reading a lease")?;
            // Nobody may wait for it.
            self.granted.take().map(|granted| granted.send(now));
            match lease.routing {
                Routing::Confirmed => drop(self.confirmed.take().map(|confirmed| confirmed.send(now))),
                Routing::Pending => {}
                other => bail!("a task is {other:?}"),
            }
            if self.confirmed.is_none() {
                self.interval = Duration::from_millis(lease.ttl_ms / 3);
            }
            select! {
                () = sleep_until(sent + self.interval) => {}
                _ = &mut self.end => return self.withdraw(connection).await,
                () = connection.closed() => bail!("the hub closed a connection"),
            }
        }
    }

    async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.network, self.hub, &self.shared.token).await
    }

    async fn withdraw(&self, mut connection: Connection) -> Result<()> {
        let path = format!("{}?wait={}ms", self.path, WITHDRAWAL.as_millis());
        connection.send("DELETE", &path, "").await.map(drop)
    }
}
