//! Blocking HTTP requests to a program's own ports, for images without other HTTP clients.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::reason;

/// Error of a request.
#[derive(Debug)]
pub enum ProbeError {
    /// The connection was refused, timed out or closed early.
    Io(io::Error),
    /// The status code is not 2xx.
    Status(u16),
    /// The response is not HTTP.
    NotHttp,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => f.write_str(&reason(error)),
            Self::Status(code) => write!(f, "status {code}"),
            Self::NotHttp => f.write_str("response is not HTTP"),
        }
    }
}

impl std::error::Error for ProbeError {}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Requests `path` from `address`; any 2xx status is a success. `timeout` applies to each step: connect, send, receive.
pub fn probe(address: SocketAddr, path: &str, timeout: Duration) -> Result<(), ProbeError> {
    send_probe(connect(address, timeout)?, path)
}

/// Requests `path` as [`probe`] does, on a Unix socket.
pub fn probe_unix(socket: &Path, path: &str, timeout: Duration) -> Result<(), ProbeError> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    send_probe(stream, path)
}

/// Sends a complete request, which must contain `connection: close`, and returns status code and body.
pub fn request(address: SocketAddr, request: &[u8], timeout: Duration) -> Result<(u16, String), ProbeError> {
    let mut stream = connect(address, timeout)?;
    stream.write_all(request)?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let code = code(&response).ok_or(ProbeError::NotHttp)?;
    let response = String::from_utf8_lossy(&response);
    let (_, body) = response.split_once("\r\n\r\n").ok_or(ProbeError::NotHttp)?;
    Ok((code, body.to_owned()))
}

fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

fn send_probe(mut stream: impl Read + Write, path: &str) -> Result<(), ProbeError> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // Only the status line is needed: "HTTP/1.1 200".
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    match code(&line) {
        Some(200..=299) => Ok(()),
        Some(code) => Err(ProbeError::Status(code)),
        None => Err(ProbeError::NotHttp),
    }
}

/// Returns the status code in the status line.
fn code(response: &[u8]) -> Option<u16> {
    std::str::from_utf8(response.strip_prefix(b"HTTP/1.")?.get(2..5)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
        });
        address
    }

    #[test]
    fn only_2xx_is_a_success() {
        let ask = |answer| probe(answering(answer), "/", Duration::from_secs(5));
        assert!(ask(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok());
        assert!(matches!(ask(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Err(ProbeError::Status(503))));
        assert!(matches!(ask(b"SSH-2.0-OpenSSH_9.2\r\n"), Err(ProbeError::NotHttp)));
        assert!(matches!(ask(b"HTTP"), Err(ProbeError::Io(_))));
    }

    #[test]
    fn request_returns_status_code_and_body() {
        let ask = |answer| request(answering(answer), b"GET / HTTP/1.1\r\n\r\n", Duration::from_secs(5));
        let (code, body) = ask(b"HTTP/1.1 403 Forbidden\r\na: b\r\n\r\nno\r\n\r\nnever").unwrap();
        assert_eq!((code, &*body), (403, "no\r\n\r\nnever"));
        assert!(matches!(ask(b"HTTP/1.1 200 OK\r\n"), Err(ProbeError::NotHttp)));
        assert!(matches!(ask(b""), Err(ProbeError::NotHttp)));
    }
}
