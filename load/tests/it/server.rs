//! A test server that handles each request as the test says, and counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::Loopback;
use rustix::net::{self, AddressFamily, SocketType};

/// Reaction of the server to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Responds with this status, as the instance with this name.
    Respond(u16, &'static str),
    /// Responds as `a`, `b` or `c`, depending on the connection. `a` is slower.
    RespondByConnection,
    /// Responds as instance `a`, and closes the connection without announcing it.
    RespondAndClose,
    /// Closes the connection.
    Close,
    /// Closes the connection within the body of a response.
    CloseInBody,
    /// Resets the connection.
    Reset,
    /// Sends something other than HTTP.
    SendGarbage,
    /// Never responds.
    Hang,
}

/// A running server. It ends with the test process.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    connections: AtomicUsize,
    opened: AtomicUsize,
    max_connections: AtomicUsize,
    times: Mutex<Vec<Instant>>,
    received: Condvar,
}

impl TestServer {
    /// Starts a server that handles request n, counted from 0, by `action(n)`.
    pub(crate) fn start(action: impl Fn(u64) -> Action + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), action)
    }

    /// Starts a server on a listener.
    pub(crate) fn on(listener: TcpListener, action: impl Fn(u64) -> Action + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (counters, action) = (Arc::new(Counters::default()), Arc::new(action));
        let shared = Arc::clone(&counters);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counters, action) = (Arc::clone(&shared), Arc::clone(&action));
                let now = counters.connections.fetch_add(1, Ordering::SeqCst) + 1;
                counters.max_connections.fetch_max(now, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &counters, &*action);
                    counters.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, counters }
    }

    /// Starts a server that responds successfully, as instance `a`.
    pub(crate) fn ok() -> Self {
        Self::start(|_| Action::Respond(200, "a"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Number of requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.counters.requests.load(Ordering::SeqCst)
    }

    /// Maximum number of simultaneous connections so far.
    pub(crate) fn max_connections(&self) -> usize {
        self.counters.max_connections.load(Ordering::SeqCst)
    }

    /// Arrival times of requests.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.counters.times.lock().unwrap().clone()
    }

    /// Waits for this number of requests.
    pub(crate) fn wait_for(&self, requests: usize, timeout: Duration) {
        let times = self.counters.times.lock().unwrap();
        let waited =
            self.counters.received.wait_timeout_while(times, timeout, |times| times.len() < requests);
        let (times, _) = waited.unwrap();
        assert!(times.len() >= requests, "{} of {requests} requests", times.len());
    }
}

/// A listener whose queue is full, so that attempts to connect to it hang.
pub(crate) struct HangingListener {
    pub(crate) address: SocketAddr,
    _listener: OwnedFd,
    _queue: Vec<TcpStream>,
}

impl HangingListener {
    pub(crate) fn start() -> Self {
        let listener = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&listener, &SocketAddr::new(Loopback::new().ip(), 0)).unwrap();
        net::listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(net::getsockname(&listener).unwrap()).unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queue: Vec<_> = (0..10).map_while(connect).collect();
        assert!(queue.len() < 10, "the queue is never full");
        Self { address, _listener: listener, _queue: queue }
    }
}

fn serve(mut stream: TcpStream, counters: &Counters, action: &dyn Fn(u64) -> Action) {
    let connection = counters.opened.fetch_add(1, Ordering::SeqCst);
    loop {
        // Peeks only: the kernel resets a connection that is closed with unread data.
        let mut byte = [0];
        if stream.peek(&mut byte).is_ok_and(|length| length == 0) {
            return;
        }
        let number = counters.requests.fetch_add(1, Ordering::SeqCst);
        counters.times.lock().unwrap().push(Instant::now());
        counters.received.notify_all();
        let action = match action(number) {
            Action::RespondByConnection => {
                let name = ["a", "b", "c"][connection % 3];
                thread::sleep(Duration::from_millis(if name == "a" { 40 } else { 10 }));
                Action::Respond(200, name)
            }
            action => action,
        };
        if action == Action::Reset || read_request(&mut stream).is_none() {
            return;
        }
        let response = match action {
            Action::Respond(status, name) => {
                format!("HTTP/1.1 {status} X\r\nx-served-by: {name}\r\ncontent-length: 5\r\n\r\nHello")
            }
            Action::RespondAndClose => {
                "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            Action::CloseInBody => {
                "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 5\r\n\r\nHel".to_owned()
            }
            Action::SendGarbage => "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
            Action::Hang => {
                let _ = stream.read(&mut byte);
                return;
            }
            Action::Close | Action::Reset | Action::RespondByConnection => return,
        };
        if stream.write_all(response.as_bytes()).is_err() || !matches!(action, Action::Respond(..)) {
            return;
        }
    }
}

/// Reads a request without a body.
pub(crate) fn read_request(stream: &mut TcpStream) -> Option<()> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        (stream.read(&mut byte).ok()? == 1).then_some(())?;
        request.push(byte[0]);
    }
    Some(())
}
