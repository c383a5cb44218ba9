//! A server on its own thread, and services for it.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{self, Poll};
use std::thread;
use std::time::{Duration, Instant};

use runtime::{
    Bytes, Connection, Context, DrainReport, Limits, Listener, Method, Request, Response, Service,
    StatusCode, app_info, run, status, text,
};
use tokio::sync::mpsc as mpsc_async;
use tokio::sync::{oneshot, watch};

use crate::client::{Client, TIMEOUT};

/// A time longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_hours(1);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) context: Context,
    shutdown: Option<oneshot::Sender<()>>,
    abort_drain: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<DrainReport>,
}

pub(crate) fn context(limits: Limits) -> Context {
    Context::new(app_info!("A service under test"), "test-1", limits)
}

fn threaded_context(limits: Limits, threads: usize) -> Context {
    Context::threaded(app_info!("A service under test"), "test-1", limits, threads).unwrap()
}

/// Limits that only tests about limits reach.
pub(crate) fn limits() -> Limits {
    Limits { linger: Duration::ZERO, grace: LONG, ..Limits::default() }
}

impl Server {
    pub(crate) fn start<S: Service>(limits: Limits, service: S) -> Self {
        Self::listening(&context(limits), service, any_port)
    }

    /// Starts a server with `threads` threads.
    pub(crate) fn threaded<S: Service>(limits: Limits, threads: usize, service: S) -> Self {
        Self::listening(&threaded_context(limits, threads), service, any_port)
    }

    pub(crate) fn with_context<S: Service>(context: &Context, service: S) -> Self {
        Self::listening(context, service, any_port)
    }

    /// Starts a server for the operational endpoints of a context.
    pub(crate) fn admin(context: &Context) -> Self {
        Self::listening(&self::context(limits()), context.admin().clone(), any_port)
    }

    pub(crate) fn on_socket<S: Service>(path: &Path, threads: usize, service: S) -> Self {
        let path = path.to_owned();
        Self::listening(&threaded_context(limits(), threads), service, move || Listener::unix(&path))
    }

    fn listening<S: Service>(
        context: &Context,
        service: S,
        listen: impl FnOnce() -> io::Result<Listener> + Send + 'static,
    ) -> Self {
        let (shutdown, shutdown_requested) = oneshot::channel();
        let (abort_drain, abort_requested) = oneshot::channel();
        let (listening, address) = mpsc::channel();
        let server_context = context.clone();
        let (end, ended) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            let drained = runtime.unwrap().block_on(async {
                let listener = listen().unwrap();
                listening.send(listener.address()).unwrap();
                run(listener, service, &server_context, after(shutdown_requested, abort_requested)).await
            });
            // The test may have ended.
            let _ = end.send(drained);
        });
        Self {
            // A Unix socket has no address, and its tests need none.
            address: address.recv_timeout(TIMEOUT).unwrap().unwrap_or(([0, 0, 0, 0], 0).into()),
            context: context.clone(),
            shutdown: Some(shutdown),
            abort_drain: Some(abort_drain),
            ended,
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Connects a client and sends `bytes`.
    pub(crate) fn connect_and_send(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = self.connect();
        client.send(bytes);
        client
    }

    /// Connects a client and sends a request that the service holds until `hold` is released.
    pub(crate) fn connect_held(&self, hold: &Hold) -> Client {
        let mut client = self.connect();
        client.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
        hold.expect(Event::Called);
        client
    }

    /// Starts the drain, like a first signal.
    pub(crate) fn shut_down(&mut self) {
        let _ = self.shutdown.take().unwrap().send(());
    }

    /// Ends the drain at once, like a second signal.
    pub(crate) fn abort_drain(&mut self) {
        let _ = self.abort_drain.take().unwrap().send(());
    }

    /// Waits for the end of the server.
    pub(crate) fn drained(self) -> DrainReport {
        self.ended.recv_timeout(TIMEOUT).expect("the drain does not end")
    }

    /// Returns the value of a series in `/metrics`.
    pub(crate) fn metric(&self, series: &str) -> Option<String> {
        let metrics = Server::admin(&self.context).connect().get("/metrics").body;
        metrics.lines().find_map(|line| Some(line.strip_prefix(series)?.strip_prefix(' ')?.to_owned()))
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.metric("swarmlings_requests_in_flight").unwrap().parse().unwrap()
    }

    pub(crate) fn eventually_in_flight(&self, count: u32) {
        eventually("requests in flight", || self.in_flight() == count);
    }

    pub(crate) fn eventually_draining(&self) {
        eventually("the drain begins", || self.context.readiness().is_draining());
    }

    pub(crate) fn eventually_refusing(&self) {
        eventually("connections are refused", || TcpStream::connect(self.address).is_err());
    }
}

async fn after<T>(shutdown_requested: oneshot::Receiver<()>, then: T) -> T {
    // A test that ends drops its sender.
    let _ = shutdown_requested.await;
    then
}

fn any_port() -> io::Result<Listener> {
    Listener::tcp(([127, 0, 0, 1], 0).into())
}

/// Stops the server at the end of each test.
impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.take();
        self.abort_drain.take();
        let _ = self.ended.recv_timeout(TIMEOUT);
    }
}

/// Waits until `holds` returns true.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "{what}: not within {TIMEOUT:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Responds at once, and to `/held` when the test releases it.
pub(crate) struct Holding {
    events: mpsc::Sender<Event>,
    released: watch::Receiver<bool>,
}

/// Controls a [`Holding`] service.
pub(crate) struct Hold {
    events: mpsc::Receiver<Event>,
    release: watch::Sender<bool>,
}

/// Event that a service observes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Called,
    Draining,
    Disconnected,
}

impl Holding {
    pub(crate) fn new() -> (Self, Hold) {
        let (sender, events) = mpsc::channel();
        let (release, released) = watch::channel(false);
        (Self { events: sender, released }, Hold { events, release })
    }

    fn send(&self, event: Event) {
        // The test may have ended.
        let _ = self.events.send(event);
    }
}

impl Service for Holding {
    async fn call(&self, request: Request, _connection: &Connection) -> Response {
        self.send(Event::Called);
        if request.uri().path() == "/held" {
            let _ = self.released.clone().wait_for(|&released| released).await;
        }
        text("done\n")
    }

    fn on_disconnect(&self, _connection: &Connection) {
        self.send(Event::Disconnected);
    }

    fn on_drain(&self) {
        self.send(Event::Draining);
    }
}

impl Hold {
    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }

    /// Waits for the next event and checks it.
    pub(crate) fn expect(&self, event: Event) {
        assert_eq!(self.events.recv_timeout(TIMEOUT), Ok(event));
    }

    pub(crate) fn expect_nothing_more(&self) {
        assert!(self.events.try_recv().is_err());
    }
}

/// Responds with the length of the request body.
pub(crate) struct BodyLength;

impl Service for BodyLength {
    fn methods(&self) -> Option<&[Method]> {
        None
    }

    async fn call(&self, request: Request, _connection: &Connection) -> Response {
        match request.into_body().bytes().await {
            Ok(body) => text(format!("{}\n", body.len())),
            // The runtime replaces this response by the one for the error.
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR, "no body\n"),
        }
    }
}

/// A response body that ends when the test drops its sender.
pub(crate) struct Chunks(pub(crate) mpsc_async::UnboundedReceiver<&'static str>);

/// A response body that never ends.
pub(crate) struct Endless;

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|text| Ok(frame(text))))
    }
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame, Infallible>>> {
        Poll::Ready(Some(Ok(frame("endless ".repeat(1000)))))
    }
}

type Frame = hyper::body::Frame<Bytes>;

fn frame(text: impl Into<Bytes>) -> Frame {
    Frame::data(text.into())
}
