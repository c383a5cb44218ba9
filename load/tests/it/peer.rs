//! A server that does with each request what the test says, and counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Answers with this status, as the instance of this name.
    Answer(u16, &'static str),
    /// Answers well, as instance `a`, and closes the connection without having said so.
    Last,
    /// Closes the connection.
    Close,
    /// Closes it within the answer's body.
    Break,
    /// Resets it.
    Reset,
    /// Says something else than HTTP.
    Babble,
    /// Says nothing, for as long as the client stays.
    Hang,
}

/// The server. It ends with the test's process.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    connections: AtomicUsize,
    most_connections: AtomicUsize,
    times: Mutex<Vec<Instant>>,
    more: Condvar,
}

impl Peer {
    /// Does with request number n, from 0, what `deed` says of n.
    pub(crate) fn start(deed: impl Fn(u64) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, deed) = (Arc::new(Seen::default()), Arc::new(deed));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, deed) = (Arc::clone(&shared), Arc::clone(&deed));
                let now = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most_connections.fetch_max(now, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &seen, &*deed);
                    seen.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen }
    }

    /// One that answers well, as instance `a`.
    pub(crate) fn good() -> Self {
        Self::start(|_| Deed::Answer(200, "a"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// How many connections there were at a time, at most.
    pub(crate) fn most_connections(&self) -> usize {
        self.seen.most_connections.load(Ordering::SeqCst)
    }

    /// When each request was there.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.seen.times.lock().unwrap().clone()
    }

    /// Waits until there were so many.
    pub(crate) fn wait_for(&self, requests: usize, timeout: Duration) {
        let times = self.seen.times.lock().unwrap();
        let waited = self.seen.more.wait_timeout_while(times, timeout, |times| times.len() < requests);
        let (times, _) = waited.unwrap();
        assert!(times.len() >= requests, "{} of {requests} requests", times.len());
    }
}

fn serve(mut stream: TcpStream, seen: &Seen, deed: &dyn Fn(u64) -> Deed) {
    loop {
        // What is not read of a request makes the kernel reset the connection when it is closed.
        let mut byte = [0];
        if stream.peek(&mut byte).is_ok_and(|length| length == 0) {
            return;
        }
        let number = seen.requests.fetch_add(1, Ordering::SeqCst);
        seen.times.lock().unwrap().push(Instant::now());
        seen.more.notify_all();
        let deed = deed(number);
        if deed == Deed::Reset || read(&mut stream).is_none() {
            return;
        }
        let answer = match deed {
            Deed::Answer(status, name) => {
                format!("HTTP/1.1 {status} X\r\nx-served-by: {name}\r\ncontent-length: 5\r\n\r\nHello")
            }
            Deed::Last => "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Deed::Break => "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 5\r\n\r\nHel".to_owned(),
            Deed::Babble => "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
            Deed::Hang => {
                let _ = stream.read(&mut byte);
                return;
            }
            Deed::Close | Deed::Reset => return,
        };
        if stream.write_all(answer.as_bytes()).is_err() || !matches!(deed, Deed::Answer(..)) {
            return;
        }
    }
}

/// A request without a body.
fn read(stream: &mut TcpStream) -> Option<()> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        (stream.read(&mut byte).ok()? == 1).then_some(())?;
        request.push(byte[0]);
    }
    Some(())
}
