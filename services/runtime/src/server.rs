//! Serving a listener until shutdown, and the drain.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use cli::{LogLimit, reason};
use http::HeaderValue;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::access_log::AccessLog;
use crate::connection::{ConnectionContext, serve};
use crate::descriptors::LOOPBACK_CONNECTIONS;
use crate::faults::Faults;
use crate::listener::{Accepted, Listener};
use crate::metrics::Metrics;
use crate::{Connection, Context, Limits, Peer, Readiness, Service};

/// Outcome of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Number of requests that were answered during the drain.
    pub drained: u64,
    /// Number of requests that were aborted at its end.
    pub aborted: u64,
}

/// Serves until `shutdown` resolves, then drains. The output of `shutdown` is another future; when that one resolves, the
/// drain ends at once.
///
/// The drain:
/// 1. The service becomes unready, and each response carries `connection: close`.
/// 2. For [`linger`](crate::Limits::linger) connections are still accepted and idle ones kept, because routers may not
///    know about the shutdown yet.
/// 3. The listener closes, after the connections in its queue are accepted. Idle connections are closed.
/// 4. In-flight requests are answered, at most until [`grace`](crate::Limits::grace) after the start of the drain.
pub async fn run<S, H>(
    listener: Listener,
    service: S,
    context: &Context,
    shutdown: impl Future<Output = H>,
) -> DrainReport
where
    S: Service,
    H: Future,
{
    run_with(Listeners { http: listener, tcp: None }, service, context, shutdown).await
}

/// As [`run`], with a listener for the service's [TCP port](Service::tcp_port).
pub(crate) async fn run_with<S, H>(
    listeners: Listeners,
    service: S,
    context: &Context,
    shutdown: impl Future<Output = H>,
) -> DrainReport
where
    S: Service,
    H: Future,
{
    let server = Arc::new(context.server(service));
    let mut listeners = listeners;
    let mut connections = Connections::new(Arc::clone(&server), context.max_connections());
    let abort = connections.accept_until(&mut listeners, shutdown).await;

    server.readiness.drain();
    let answered_before = server.metrics.answered();
    tracing::info!(in_flight = server.metrics.in_flight(), "draining");
    server.service.on_drain();
    let drain = async {
        connections.accept_until(&mut listeners, sleep(server.limits.linger)).await;
        connections.accept_last(Port::Http, listeners.http);
        if let Some(tcp) = listeners.tcp {
            connections.accept_last(Port::Tcp, tcp);
        }
        connections.closing.send_replace(true);
        connections.join_all().await;
    };
    tokio::select! {
        () = drain => {}
        () = sleep(server.limits.grace) => {}
        _ = abort => {}
    }
    let aborted = server.metrics.in_flight();
    connections.tasks.shutdown().await;
    DrainReport { drained: server.metrics.answered() - answered_before, aborted }
}

/// The listeners of a service.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) http: Listener,
    /// Listener for connections without HTTP.
    pub(crate) tcp: Option<Listener>,
}

/// The port of a service that a client is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Http,
    Tcp,
}

/// State shared by all connections of a server.
#[derive(Debug)]
pub(crate) struct Server<S> {
    pub(crate) service: Arc<S>,
    /// Value of the header `x-served-by`.
    pub(crate) served_by: HeaderValue,
    /// Value of the header `x-instance`: task and node, if they are known.
    pub(crate) instance: Option<HeaderValue>,
    pub(crate) limits: Limits,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) threads: Threads,
    pub(crate) faults: Arc<Faults>,
    pub(crate) access_log: AccessLog,
}

/// Open connections, one task each. The calling thread accepts all of them and assigns them to the threads in turn.
struct Connections<S> {
    server: Arc<Server<S>>,
    tasks: JoinSet<()>,
    /// Maximum number of `tasks`.
    max: usize,
    /// For messages about connections beyond the maximum.
    log_limit: LogLimit,
    closing: watch::Sender<bool>,
    /// Index of the thread that gets the next connection; 0 is the calling thread.
    next_thread: usize,
}

impl<S: Service> Connections<S> {
    fn new(server: Arc<Server<S>>, max: u32) -> Self {
        Self {
            server,
            tasks: JoinSet::new(),
            max: max as usize,
            log_limit: LogLimit::new(),
            closing: watch::Sender::new(false),
            next_thread: 0,
        }
    }

    /// Accepts connections until `end` resolves.
    async fn accept_until<T>(&mut self, listeners: &mut Listeners, end: impl Future<Output = T>) -> T {
        let Listeners { http, tcp } = listeners;
        let counters = Arc::clone(&self.server.metrics.threads()[0]);
        let mut end = pin!(end);
        loop {
            tokio::select! {
                output = &mut end => return output,
                Some(_) = self.tasks.join_next() => {}
                (socket, peer) = http.accept(&counters) => self.spawn(Port::Http, socket, peer),
                Some((socket, peer)) = async { Some(tcp.as_mut()?.accept(&counters).await) } => {
                    self.spawn(Port::Tcp, socket, peer);
                }
            }
        }
    }

    /// Stops listening, and accepts the connections in the kernel's queue.
    fn accept_last(&mut self, port: Port, listener: Listener) {
        match listener.close() {
            Ok(queue) => queue.into_iter().for_each(|(socket, peer)| self.spawn(port, socket, peer)),
            Err(error) => tracing::warn!("accepting the last connections: {}", reason(&error)),
        }
    }

    /// Returns whether the maximum permits another connection.
    fn admits(&mut self, peer: Peer) -> bool {
        let max = if peer.is_loopback() { self.max + LOOPBACK_CONNECTIONS } else { self.max };
        if self.tasks.len() >= max {
            // Some of them may have ended.
            while self.tasks.try_join_next().is_some() {}
        }
        self.tasks.len() < max
    }

    /// Serves a connection on the next thread, or closes it if there are too many. The client can try another server at once;
    /// in the kernel's queue it would wait.
    fn spawn(&mut self, port: Port, socket: Accepted, peer: Peer) {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        if !self.admits(peer) {
            self.server.metrics.threads()[0].connection_rejected();
            if let Some(more) = self.log_limit.admit() {
                let message = "connection closed: too many are open; --max-connections is the maximum of the service's port";
                tracing::warn!(%peer, max = self.max, more, "{message}");
            }
            return;
        }
        let counters = self.server.metrics.threads();
        let thread = self.next_thread;
        self.next_thread = (thread + 1) % counters.len();
        let other = thread.checked_sub(1).map(|other| &self.server.threads.others()[other]);
        let socket = match (other, socket) {
            (Some(_), Accepted::Registered(stream)) => stream.unregister(),
            (_, socket) => Ok(socket),
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!("passing a connection to its thread: {}", reason(&error)),
        };
        let connection = Connection::new(NEXT_ID.fetch_add(1, Ordering::Relaxed), peer);
        let context =
            ConnectionContext::new(Arc::clone(&self.server), connection, Arc::clone(&counters[thread]));
        let task = serve(socket, port, context, self.closing.subscribe());
        match other {
            None => self.tasks.spawn(task),
            Some(other) => self.tasks.spawn_on(task, other),
        };
    }

    /// Waits until all connections are closed.
    async fn join_all(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Serving threads besides the one that calls [`run`]. They end when the last clone of this value is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads {
    others: Arc<[Handle]>,
    /// Sends nothing: the threads wait for it to be dropped.
    _alive: Option<watch::Sender<()>>,
}

impl Threads {
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let alive = watch::Sender::new(());
        let others =
            (0..count).map(|_| start_thread(alive.subscribe())).collect::<io::Result<Arc<[Handle]>>>()?;
        Ok(Self { others, _alive: Some(alive) })
    }

    pub(crate) fn others(&self) -> &[Handle] {
        &self.others
    }
}

fn start_thread(mut alive: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = new_runtime()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("serve".to_owned()).spawn(move || {
        block_on(&runtime, Box::pin(async { while alive.changed().await.is_ok() {} }));
    })?;
    Ok(handle)
}

/// Creates a runtime for one thread.
pub(crate) fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

/// Runs `future` to its end. All threads pass the same type, so that the program contains tokio's event loop once.
pub(crate) fn block_on(runtime: &Runtime, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
    runtime.block_on(future);
}
