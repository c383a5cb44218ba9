use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use load::report::{ErrorClass, Report};

use crate::run::report;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;

/// Reaction to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Responds with this indexed header field (HPACK): 0x88 is status 200.
    Respond(u8),
    /// Resets the stream with this error code.
    Reset(u32),
    /// Sends GOAWAY with the previous stream as the last one.
    GoAway,
    /// Closes the connection.
    Close,
    /// Sends a frame that is not allowed.
    Break,
    /// Responds before the end of the request, and reads no more.
    RespondAndStopReading(u8),
}

/// An HTTP/2 server that reacts to each stream as the test says. It ends with the test process.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    /// Most streams that were open at the same time, and errors of the client.
    peak: Arc<Mutex<(usize, Vec<String>)>>,
}

impl Server {
    /// Starts a server that permits `max_streams` per connection. The first argument of `action` is the number of the
    /// connection, the second one that of the stream in it, both from 0.
    fn start(max_streams: u32, action: impl Fn(u64, u64) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, peak) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::default()));
        let server = Self { address, connections: Arc::clone(&connections), peak: Arc::clone(&peak) };
        let action = Arc::new(action);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The connection before the run has no preface, and does not count.
                let mut preface = [0; 24];
                let (peak, action, connections) =
                    (Arc::clone(&peak), Arc::clone(&action), Arc::clone(&connections));
                thread::spawn(move || {
                    let mut stream = stream;
                    if stream.read_exact(&mut preface).is_err() {
                        return;
                    }
                    let number = connections.fetch_add(1, Ordering::SeqCst);
                    if let Some(error) = serve(stream, max_streams, &peak, |id| action(number, id)) {
                        peak.lock().unwrap().1.push(error);
                    }
                });
            }
        });
        server
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    fn report(&self, args: &[&str]) -> Report {
        let url = format!("http://{}/", self.address);
        let (_, report) = report(&[&[url.as_str(), "--http", "2"], args].concat());
        assert_eq!(self.peak.lock().unwrap().1, [""; 0]);
        report
    }
}

pub(crate) fn write_frame(
    stream: &mut TcpStream,
    kind: u8,
    flags: u8,
    id: u32,
    payload: &[u8],
) -> Option<()> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &id.to_be_bytes()].concat();
    stream.write_all(&[&head, payload].concat()).ok()
}

pub(crate) fn read_frame(stream: &mut TcpStream) -> Option<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    stream.read_exact(&mut vec![0; length as usize]).ok()?;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], head[4], id))
}

/// Serves a connection to its end. Returns an error of the client.
fn serve(
    mut stream: TcpStream,
    max_streams: u32,
    peak: &Mutex<(usize, Vec<String>)>,
    action: impl Fn(u64) -> Action,
) -> Option<String> {
    // No stream may be opened before the settings arrive.
    let mut byte = [0];
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut early = Vec::new();
    while let Some((kind, _, _)) = stream.peek(&mut byte).ok().and_then(|_| read_frame(&mut stream)) {
        early.push(kind);
    }
    stream.set_read_timeout(None).unwrap();
    if early.contains(&HEADERS) {
        return Some("a stream was opened before the settings arrived".to_owned());
    }
    let settings = [&[0, 3][..], &max_streams.to_be_bytes()].concat();
    write_frame(&mut stream, SETTINGS, 0, 0, &settings)?;
    let mut open = Vec::new();
    while let Some((kind, flags, id)) = read_frame(&mut stream) {
        match kind {
            SETTINGS if flags == 0 => write_frame(&mut stream, SETTINGS, 1, 0, b"")?,
            HEADERS => {
                open.push((id, action(u64::from(id / 2))));
                let peak = &mut peak.lock().unwrap().0;
                *peak = (*peak).max(open.len());
            }
            _ => {}
        }
        // Streams wait for each other for a moment.
        let is_last = open.len() >= max_streams.min(10) as usize;
        let mut more = [0; 1];
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let is_quiet = is_last || stream.peek(&mut more).is_err();
        stream.set_read_timeout(None).unwrap();
        for (id, action) in open.drain(..if is_quiet { open.len() } else { 0 }).collect::<Vec<_>>() {
            match action {
                Action::Respond(field) => {
                    write_frame(&mut stream, HEADERS, END_STREAM | END_HEADERS, id, &[field])?;
                }
                Action::Reset(code) => write_frame(&mut stream, RST_STREAM, 0, id, &code.to_be_bytes())?,
                Action::GoAway => {
                    let last = id.saturating_sub(2).to_be_bytes();
                    write_frame(&mut stream, GOAWAY, 0, 0, &[last, [0; 4]].concat())?;
                    // Until the client closes the connection.
                    while read_frame(&mut stream).is_some() {}
                    return None;
                }
                Action::Close => return None,
                Action::Break => write_frame(&mut stream, DATA, 0, 0, b"x")?,
                Action::RespondAndStopReading(field) => {
                    write_frame(&mut stream, HEADERS, END_STREAM | END_HEADERS, id, &[field])?;
                    thread::sleep(Duration::from_secs(30));
                }
            }
        }
    }
    None
}

const OK: Action = Action::Respond(0x88);

#[test]
fn streams_are_opened_as_the_settings_permit() {
    let server = Server::start(1, |_, _| OK);
    let report = server.report(&["--streams", "10", "--connections", "2", "--requests", "100"]);
    assert_eq!((report.ok, report.failed, report.retried), (100, 0, 0), "{:?}", report.failures);
    assert_eq!((server.peak.lock().unwrap().0, report.connections.opened), (1, 2));
}

#[test]
fn request_that_the_server_has_not_processed_is_sent_again() {
    for refusal in [Action::GoAway, Action::Reset(REFUSED_STREAM)] {
        // As with keepalive_requests of nginx: the eleventh stream of a connection, and those above, are refused.
        let server = Server::start(100, move |_, stream| if stream < 10 { OK } else { refusal });
        let report = server.report(&["--streams", "8", "--connections", "1", "--requests", "200"]);
        assert_eq!((report.ok, report.failed), (200, 0), "{refusal:?}: {:?}", report.failures);
        assert!(report.retried >= 19 && report.retried <= 200, "{refusal:?}: {}", report.retried);
        assert_eq!(report.connections.opened, server.connections(), "{refusal:?}");
    }
}

#[test]
fn request_is_sent_again_only_once() {
    // A connection on which a repeated request was refused remains open for the next request.
    for (refusal, class, connections) in
        [(Action::GoAway, ErrorClass::Closed, 6), (Action::Reset(REFUSED_STREAM), ErrorClass::Reset, 4)]
    {
        let server = Server::start(100, move |_, _| refusal);
        let report = server.report(&["--connections", "1", "--requests", "3"]);
        assert_eq!(report.failures.by_class, BTreeMap::from([(class, 3)]), "{refusal:?}");
        assert_eq!((report.retried, server.connections()), (3, connections), "{refusal:?}");
    }
}

#[test]
fn errors_of_the_server_and_errors_that_load_detects_are_told_apart() {
    for (action, class, text) in [
        (Action::Reset(INTERNAL_ERROR), ErrorClass::Reset, "the server reset the HTTP/2 stream: "),
        (Action::Break, ErrorClass::Protocol, "invalid HTTP/2 from the server: "),
        (Action::Close, ErrorClass::Closed, "the server closed the HTTP/2 connection"),
    ] {
        let server = Server::start(100, move |_, _| action);
        let report = server.report(&["--connections", "1", "--requests", "2"]);
        assert_eq!(report.failures.by_class, BTreeMap::from([(class, 2)]), "{:?}", report.failures);
        assert_eq!(report.retried, 0, "{action:?}: the server may have processed the request");
        assert!(report.failures.listed[0].text.starts_with(text), "{:?}", report.failures.listed);
    }
}

#[test]
fn response_before_the_end_of_an_upload_counts() {
    // 0x8d is status 404.
    let server = Server::start(100, |_, _| Action::RespondAndStopReading(0x8d));
    let body = tempfile::NamedTempFile::new().unwrap();
    body.as_file().set_len(4 << 20).unwrap();
    let file = body.path().to_str().unwrap();
    let args = ["--method", "POST", "--body-file", file, "--requests", "1", "--timeout", "20s"];
    let report = server.report(&args);
    assert_eq!(report.failures.by_status, BTreeMap::from([(404, 1)]), "{:?}", report.failures);
}

#[test]
fn connection_is_closed_after_a_single_request() {
    let server = Server::start(100, |_, stream| if stream == 0 { OK } else { Action::Close });
    let report = server.report(&["--no-keep-alive", "--connections", "2", "--requests", "10"]);
    assert_eq!((report.ok, report.connections.opened, server.connections()), (10, 10, 10));
}
