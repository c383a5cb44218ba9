//! A server for the sidecar to probe, whose health the test sets.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::thread;

pub(crate) struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    status: AtomicU16,
    probes: AtomicUsize,
    dead: AtomicBool,
}

impl Service {
    /// Starts a server that responds with `status`; with 0, it does not respond.
    pub(crate) fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            status: AtomicU16::new(status),
            probes: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            // Connections without a response stay open.
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                if of_listener.dead.load(Ordering::SeqCst) {
                    return;
                }
                of_listener.probes.fetch_add(1, Ordering::SeqCst);
                match of_listener.status.load(Ordering::SeqCst) {
                    0 => silent.push(stream),
                    status => answer(&stream.unwrap(), status),
                }
            }
        });
        Self { address, shared }
    }

    pub(crate) fn healthy() -> Self {
        Self::start(200)
    }

    pub(crate) fn becomes(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn probes(&self) -> usize {
        self.shared.probes.load(Ordering::SeqCst)
    }

    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/readyz", self.address)
    }

    pub(crate) fn tcp_url(&self) -> String {
        format!("tcp://{}", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.dead.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(mut stream: &TcpStream, status: u16) {
    let head = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let wanted = head.take(1).any(|line| line == "GET /readyz HTTP/1.1");
    let status = if wanted { status } else { 404 };
    let _ = write!(stream, "HTTP/1.1 {status} Scripted\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
}
