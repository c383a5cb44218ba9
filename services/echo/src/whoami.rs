//! whoami's text: server and request, line by line.

use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::{iter, try_unfold};
use http::{HeaderMap, Method, Version, header, request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use runtime::{Body, BodyError, RequestBody};

use crate::headers::{canonical, host, joined, request_uri, sorted, text};

/// Maximum request body in bytes that is buffered; a larger one is sent back while it is received.
const MAX_BUFFERED: usize = 16 * 1024;

/// The user agent that Go assumes without a `User-Agent` header.
const DEFAULT_AGENT: &str = "Go-http-client/1.1";

/// Server and connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerInfo<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) hostname: &'a str,
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) remote: &'a str,
    pub(crate) subjects: &'a [String],
}

/// Framing of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// A body of this many bytes.
    Length(u64),
    /// A body of unknown length.
    Chunked,
}

impl Framing {
    pub(crate) fn of(parts: &request::Parts, is_empty: bool) -> Self {
        let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| text(value).parse().ok());
        match length {
            _ if parts.headers.contains_key(header::TRANSFER_ENCODING) => Self::Chunked,
            Some(0) => Self::None,
            Some(length) => Self::Length(length),
            None if is_empty => Self::None,
            None => Self::Chunked,
        }
    }
}

/// Returns the response up to the request body. As in Go, only the lines of the request end in CR LF.
pub(crate) fn head(info: ServerInfo<'_>, parts: &request::Parts, framing: Framing) -> String {
    let mut head = String::with_capacity(1024);
    let mut line = |pieces: &[&str]| pieces.iter().for_each(|piece| head.push_str(piece));
    if let Some(name) = info.name {
        line(&["Name: ", name, "\n"]);
    }
    line(&["Hostname: ", info.hostname, "\n"]);
    for address in info.addresses {
        line(&["IP: ", &address.to_string(), "\n"]);
    }
    line(&["RemoteAddr: ", info.remote, "\n"]);
    for (number, subject) in info.subjects.iter().enumerate() {
        line(&["Certificate[", &number.to_string(), "] Subject: ", subject, "\n"]);
    }
    line(&[parts.method.as_str(), " ", &request_uri(&parts.uri), " HTTP/1.1\r\n"]);

    let headers = &parts.headers;
    line(&["Host: ", &host(parts), "\r\n"]);
    let agent = headers.get(header::USER_AGENT).map_or_else(|| DEFAULT_AGENT.to_owned(), text);
    if !agent.is_empty() {
        line(&["User-Agent: ", &agent, "\r\n"]);
    }
    if is_closed_silently(parts) {
        line(&["Connection: close\r\n"]);
    }
    match framing {
        Framing::Length(length) => line(&["Content-Length: ", &length.to_string(), "\r\n"]),
        Framing::None if [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) => {
            line(&["Content-Length: 0\r\n"]);
        }
        Framing::None => {}
        Framing::Chunked => {
            line(&["Transfer-Encoding: chunked\r\n"]);
            if let Some(trailer) = joined(headers, "trailer") {
                let mut names: Vec<_> = trailer.split(',').map(|name| canonical(name.trim())).collect();
                names.sort();
                line(&["Trailer: ", &names.join(","), "\r\n"]);
            }
        }
    }
    for (name, values) in sorted(parts) {
        if !["User-Agent", "Content-Length", "Trailer"].contains(&name.as_str()) {
            for value in &values {
                line(&[&name, ": ", value, "\r\n"]);
            }
        }
    }
    line(&["\r\n"]);
    head
}

/// Whether the connection closes after the response without a header that says so.
fn is_closed_silently(parts: &request::Parts) -> bool {
    let connection = joined(&parts.headers, "connection").unwrap_or_default();
    let has = |token: &str| connection.split(',').any(|word| word.trim().eq_ignore_ascii_case(token));
    matches!(parts.version, Version::HTTP_09 | Version::HTTP_10) && !has("keep-alive") && !has("close")
}

/// Returns the response body: `head`, the request body in its framing, and `tail`.
pub(crate) async fn body(
    head: String,
    framing: Framing,
    mut body: RequestBody,
    tail: String,
) -> Result<Body, BodyError> {
    let mut text = head.into_bytes();
    let mut whole = Vec::new();
    let mut trailers = None;
    let has_ended = loop {
        match body.frame().await.transpose()? {
            None => break true,
            Some(frame) => match frame.into_data() {
                Ok(data) => whole.extend(data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
        if whole.len() > MAX_BUFFERED {
            break false;
        }
    };
    piece(&mut text, framing, &whole);
    if has_ended {
        end(&mut text, framing, trailers.as_ref(), &tail);
        return Ok(text.into());
    }
    // The rest is sent back while it is received.
    let rest = try_unfold((Some(tail), trailers, body), move |(tail, mut trailers, mut body)| async move {
        let Some(tail) = tail else { return Ok(None) };
        let mut text = Vec::new();
        let tail = loop {
            match body.frame().await.transpose()? {
                None => {
                    end(&mut text, framing, trailers.as_ref(), &tail);
                    break None;
                }
                Some(frame) => match frame.into_data() {
                    Ok(data) => {
                        piece(&mut text, framing, &data);
                        break Some(tail);
                    }
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        };
        Ok::<_, BodyError>(Some((Frame::data(text.into()), (tail, trailers, body))))
    });
    Ok(Body::stream(StreamBody::new(iter([Ok(Frame::data(text.into()))]).chain(rest))))
}

fn piece(text: &mut Vec<u8>, framing: Framing, bytes: &[u8]) {
    if framing == Framing::Chunked && !bytes.is_empty() {
        text.extend(format!("{:x}\r\n", bytes.len()).into_bytes());
        text.extend(bytes);
        text.extend(b"\r\n");
    } else {
        text.extend(bytes);
    }
}

fn end(text: &mut Vec<u8>, framing: Framing, trailers: Option<&HeaderMap>, tail: &str) {
    if framing == Framing::Chunked {
        text.extend(b"0\r\n");
        let mut lines: Vec<_> = trailers
            .into_iter()
            .flat_map(HeaderMap::iter)
            .map(|(name, value)| format!("{}: {}\r\n", canonical(name.as_str()), self::text(value)))
            .collect();
        lines.sort();
        text.extend(lines.concat().into_bytes());
        text.extend(b"\r\n");
    }
    text.extend(tail.as_bytes());
}
