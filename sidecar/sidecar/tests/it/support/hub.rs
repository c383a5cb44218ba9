//! A scripted hub: records requests in order, and responds as its script says.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use protocol::{HEARTBEAT, Health, Heartbeat, Lease, Registration, Routing, Withdrawal};

use super::eventually;

/// Ticket in every lease.
pub(crate) const TICKET: &str = "1.ticket";

/// Event at the hub.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Asked(Box<Request>),
    /// The last request of a connection has its response.
    Answered(usize),
    Closed(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) token: Option<String>,
    pub(crate) registration: Option<Registration>,
}

impl Request {
    pub(crate) fn is(&self, method: &str) -> bool {
        self.method == method
    }

    pub(crate) fn health(&self) -> Option<Health> {
        self.registration.as_ref().map(|registration| registration.health)
    }

    pub(crate) fn waits(&self) -> bool {
        self.uri.contains("?wait=")
    }
}

/// Response of the script to a request.
pub(crate) enum Answer {
    Say(u16, String),
    /// The response that the test sends later; none if it drops the sender.
    Hold(Receiver<Answer>),
}

impl Answer {
    /// A lease.
    pub(crate) fn lease(ttl_ms: u64, routing: Routing) -> Self {
        Self::lease_with(ttl_ms, routing, 1)
    }

    /// A lease of a hub that `routers` poll.
    pub(crate) fn lease_with(ttl_ms: u64, routing: Routing, routers: usize) -> Self {
        let routers = (1..=routers).map(|number| format!("traefik.{number}")).collect();
        let ticket = Some(TICKET.to_owned());
        let lease = Lease { generation: 1, ttl_ms, routing, routers, expects_router: false, ticket };
        Self::Say(200, serde_json::to_string(&lease).unwrap())
    }

    pub(crate) fn withdrawn() -> Self {
        let withdrawal = Withdrawal { confirmed: vec!["traefik".to_owned()], ..Withdrawal::default() };
        Self::Say(200, serde_json::to_string(&withdrawal).unwrap())
    }

    pub(crate) fn error(status: u16, error: &str) -> Self {
        Self::Say(status, format!(r#"{{"error":"{error}"}}"#))
    }

    /// The response of a working hub, which routes a healthy task at once. Its leases outlive any test, so that there
    /// are no heartbeats.
    pub(crate) fn usual(request: &Request) -> Self {
        match request.health() {
            None => Self::withdrawn(),
            Some(Health::Healthy) => Self::lease(600_000, Routing::Confirmed),
            Some(_) => Self::lease(600_000, Routing::Pending),
        }
    }
}

/// Requests whose responses are held. Dropping it leaves them without a response.
#[derive(Clone, Default)]
pub(crate) struct Held(Arc<Mutex<Vec<HeldAnswer>>>);

type HeldAnswer = (Request, Sender<Answer>);

impl Held {
    /// Sends the usual response to the latest of them.
    #[track_caller]
    pub(crate) fn answer(&self) {
        let (request, sender) = eventually("held answer", || self.0.lock().unwrap().pop());
        sender.send(Answer::usual(&request)).unwrap();
    }
}

type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A scripted hub. Dropping it closes all connections.
pub(crate) struct ScriptedHub {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    events: Mutex<Vec<Event>>,
    streams: Mutex<Vec<TcpStream>>,
    dead: AtomicBool,
}

impl ScriptedHub {
    /// Starts at an address of its own, which stays free after the end of the hub.
    pub(crate) fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let ip = [127, high | 1, low, COUNT.fetch_add(1, Ordering::SeqCst)];
        Self::start_at(SocketAddr::from((ip, 0)), script)
    }

    /// Starts a hub with the usual responses, which holds those to requests that match until the test sends them.
    pub(crate) fn holding(like: fn(&Request) -> bool) -> (Self, Held) {
        let held = Held::default();
        let shared = held.clone();
        let hub = Self::start(move |request| {
            if !like(request) {
                return Answer::usual(request);
            }
            let (sender, answer) = channel();
            shared.0.lock().unwrap().push((request.clone(), sender));
            Answer::Hold(answer)
        });
        (hub, held)
    }

    /// Starts at the address of an earlier hub.
    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        // The earlier hub may need a moment to end.
        let listener = eventually("free address", || TcpListener::bind(address).ok());
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Arc::new(script),
            events: Mutex::default(),
            streams: Mutex::default(),
            dead: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let stream = stream.unwrap();
                if of_listener.dead.load(Ordering::SeqCst) {
                    return;
                }
                of_listener.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&of_listener);
                thread::spawn(move || shared.serve(connection, &stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.shared.events.lock().unwrap().clone()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let request = |event| if let Event::Asked(request) = event { Some(*request) } else { None };
        self.events().into_iter().filter_map(request).collect()
    }

    /// Waits for the first request that matches.
    #[track_caller]
    pub(crate) fn asked(&self, what: &str, like: impl Fn(&Request) -> bool) -> Request {
        eventually(what, || self.requests().into_iter().find(&like))
    }

    #[track_caller]
    pub(crate) fn asked_with_health(&self, health: Health) -> Request {
        self.asked(&format!("PUT with health {health:?}"), |request| request.health() == Some(health))
    }

    /// Waits until the sidecar closes a connection.
    #[track_caller]
    pub(crate) fn closed(&self, connection: usize) {
        eventually(&format!("end of connection {connection}"), || self.is_closed(connection).then_some(()));
    }

    pub(crate) fn is_closed(&self, connection: usize) -> bool {
        self.events().iter().any(|event| matches!(event, Event::Closed(closed) if *closed == connection))
    }

    /// Ends at once, as with SIGKILL.
    pub(crate) fn die(self) {
        drop(self);
    }
}

impl Drop for ScriptedHub {
    fn drop(&mut self) {
        self.shared.dead.store(true, Ordering::SeqCst);
        // Wakes the listener so that it ends.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn record(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    /// Reads to the end of the connection while another thread responds, so that its end is noticed during a held
    /// response.
    fn serve(self: Arc<Self>, connection: usize, stream: &TcpStream) {
        let (questions, answers) = channel::<Request>();
        let mut writer = stream.try_clone().unwrap();
        let shared = Arc::clone(&self);
        thread::spawn(move || {
            for request in answers {
                let mut answer = (shared.script)(&request);
                let (status, body) = loop {
                    match answer {
                        Answer::Say(status, body) => break (status, body),
                        Answer::Hold(later) => match later.recv() {
                            Ok(given) => answer = given,
                            Err(_) => return,
                        },
                    }
                };
                // Recorded before the response can have an effect.
                shared.record(Event::Answered(connection));
                let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = writer.write_all(format!("{head}{body}").as_bytes());
            }
        });
        let mut reader = BufReader::new(stream);
        let Ok(address) = stream.local_addr() else { return };
        while let Some(request) = read_request(&mut reader, connection) {
            if request.uri == HEARTBEAT {
                // The first request of a connection. Servers at ::1 and 127.0.0.1 with the same port are the same hub.
                let is_local = ["::1", "127.0.0.1"].contains(&address.ip().to_string().as_str());
                let hub = if is_local { address.port().to_string() } else { address.to_string() };
                let greeting = Heartbeat {
                    generation: 1,
                    ttl_ms: 3000,
                    leases: 0,
                    hub,
                    address: Some(address.ip()),
                    asked: [].into(),
                };
                let body = serde_json::to_string(&greeting).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = (&*stream).write_all(format!("{head}{body}").as_bytes());
                continue;
            }
            self.record(Event::Asked(Box::new(request.clone())));
            let _ = questions.send(request);
        }
        self.record(Event::Closed(connection));
    }
}

fn read_request(reader: &mut impl BufRead, connection: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, uri) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => token = value.strip_prefix("Bearer ").map(ToOwned::to_owned),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let registration = if body.is_empty() { None } else { Some(serde_json::from_slice(&body).unwrap()) };
    Some(Request { connection, method, uri, token, registration })
}
