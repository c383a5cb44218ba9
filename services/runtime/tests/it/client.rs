//! An HTTP client that sends exact bytes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time after which a test fails instead of waiting longer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    socket: BufReader<Box<dyn Socket>>,
}

pub(crate) trait Socket: Read + Write + Send {
    /// Sets the timeout of reads.
    fn set_timeout(&self, time: Duration);
}

impl Socket for TcpStream {
    fn set_timeout(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Socket for UnixStream {
    fn set_timeout(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

#[derive(Debug)]
pub(crate) struct RawResponse {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn connect_unix(path: &Path) -> Self {
        Self::new(UnixStream::connect(path).unwrap())
    }

    fn new(socket: impl Socket + 'static) -> Self {
        socket.set_timeout(TIMEOUT);
        Self { socket: BufReader::new(Box::new(socket)) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request without a body and reads the response.
    pub(crate) fn ask(&mut self, method: &str, path: &str) -> RawResponse {
        self.send(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        self.read_response_to(method)
    }

    pub(crate) fn get(&mut self, path: &str) -> RawResponse {
        self.ask("GET", path)
    }

    pub(crate) fn read_response(&mut self) -> RawResponse {
        self.read_response_to("GET")
    }

    fn read_response_to(&mut self, method: &str) -> RawResponse {
        self.try_read_response(method).expect("the connection closed without a response")
    }

    /// Reads the next response. `None` if the connection closes before it starts.
    pub(crate) fn try_read_response(&mut self, method: &str) -> Option<RawResponse> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.socket.read_line(&mut head) {
                Ok(0) if head.is_empty() => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                read => assert_ne!(read.unwrap(), 0, "incomplete response: {head}"),
            }
        }
        let mut response = RawResponse { code: head[9..12].parse().unwrap(), head, body: String::new() };
        if method != "HEAD" {
            let length = response.header("content-length").map(|length| length.parse().unwrap());
            response.body = self.body(length);
        }
        Some(response)
    }

    /// Reads a line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).unwrap();
        line
    }

    /// Reads the head of a response.
    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.socket.read_line(&mut head).unwrap(), 0, "incomplete response: {head}");
        }
        head
    }

    fn body(&mut self, length: Option<usize>) -> String {
        let mut body = Vec::new();
        if let Some(length) = length {
            body.resize(length, 0);
            self.socket.read_exact(&mut body).unwrap();
        } else {
            while let size @ 1.. = self.chunk_size() {
                let start = body.len();
                body.resize(start + size, 0);
                self.socket.read_exact(&mut body[start..]).unwrap();
                self.socket.read_line(&mut String::new()).unwrap();
            }
            self.socket.read_line(&mut String::new()).unwrap();
        }
        String::from_utf8(body).unwrap()
    }

    fn chunk_size(&mut self) -> usize {
        let mut line = String::new();
        self.socket.read_line(&mut line).unwrap();
        usize::from_str_radix(line.trim(), 16).unwrap()
    }

    /// Sends single bytes until the server closes the connection.
    pub(crate) fn send_slowly_until_closed(mut self) {
        let start = Instant::now();
        self.socket.get_ref().set_timeout(Duration::from_millis(5));
        loop {
            assert!(start.elapsed() < TIMEOUT, "the server keeps reading");
            if self.socket.get_mut().write_all(b"a").is_err() {
                return;
            }
            match self.socket.read(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
                Ok(_) => panic!("a response to an incomplete request"),
            }
        }
    }

    /// Sends single bytes until there is a response.
    pub(crate) fn send_slowly_until_response(&mut self) -> RawResponse {
        let start = Instant::now();
        self.socket.get_ref().set_timeout(Duration::from_millis(5));
        while self.socket.fill_buf().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            assert!(start.elapsed() < TIMEOUT, "the server keeps reading");
            self.send(b"a");
        }
        self.socket.get_ref().set_timeout(TIMEOUT);
        self.read_response()
    }

    /// Waits until the connection closes, and fails if bytes arrive before.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match self.socket.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => assert_eq!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&rest)),
        }
    }
}

impl RawResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}
