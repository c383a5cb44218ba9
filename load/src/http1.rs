//! HTTP/1.1 as bytes: a request in, an answer out. No I/O.

use std::mem::MaybeUninit;
use std::str;

use httparse::ParserConfig;

use crate::fault::Fault;

mod body;

pub use body::{Body, Framing};

/// More than that is no head of an answer.
pub const LONGEST_HEAD: usize = 64 * 1024;

/// Most fields that a head may have.
const FIELDS: usize = 128;

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many bytes it has.
    pub length: usize,
    /// Its status.
    pub status: u16,
    /// What comes after it.
    pub framing: Framing,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// Reads the head of an answer from the beginning of `bytes`; nothing, if it is not whole yet. Interim answers (1xx) are
/// heads with nothing after them. The value of field `name` (in lower case) is put into `value`.
pub fn head(
    bytes: &[u8],
    to_head: bool,
    name: Option<&str>,
    value: &mut Vec<u8>,
) -> Result<Option<Head>, Fault> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut fields);
    let length =
        match parsed.map_err(|error| Fault::protocol(format_args!("reading an answer's head: {error}")))? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if bytes.len() >= LONGEST_HEAD => {
                return Err(Fault::protocol(format_args!(
                    "an answer's head is longer than {LONGEST_HEAD} bytes"
                )));
            }
            httparse::Status::Partial => return Ok(None),
        };
    let status = answer.code.unwrap_or_default();
    let mut keep_alive = answer.version == Some(1);
    let mut content_length = None;
    let mut encoded = None;
    value.clear();
    for field in answer.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let number = number(field.value)?;
            if content_length.is_some_and(|before| before != number) {
                return Err(Fault::protocol("an answer has two lengths"));
            }
            content_length = Some(number);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            encoded = Some(last(field.value).eq_ignore_ascii_case(b"chunked"));
        } else if field.name.eq_ignore_ascii_case("connection") {
            let has = |word: &[u8]| words(field.value).any(|one| one.eq_ignore_ascii_case(word));
            keep_alive = !has(b"close") && (keep_alive || has(b"keep-alive"));
        }
        if let Some(name) = name
            && field.name.eq_ignore_ascii_case(name)
        {
            value.clear();
            value.extend_from_slice(field.value);
        }
    }
    let framing = match (status, encoded, content_length) {
        (100..200 | 204 | 304, ..) => Framing::None,
        _ if to_head => Framing::None,
        (_, Some(true), _) => Framing::Chunked,
        (_, Some(false), _) | (_, None, None) => Framing::UntilClose,
        (_, None, Some(length)) => Framing::Length(length),
    };
    keep_alive &= framing != Framing::UntilClose;
    Ok(Some(Head { length, status, framing, keep_alive }))
}

fn number(value: &[u8]) -> Result<u64, Fault> {
    let text = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let value = String::from_utf8_lossy(value).into_owned();
        Fault::protocol(format_args!("an answer's length is {value:?}"))
    })
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn last(value: &[u8]) -> &[u8] {
    words(value).last().unwrap_or_default()
}

/// A request, ready to be sent. `target` is the path with its query; the header fields come as they are.
pub fn request(
    method: &str,
    target: &str,
    authority: &str,
    fields: &[(String, String)],
    keep_alive: bool,
    body: &[u8],
) -> Vec<u8> {
    let given = |name: &str| fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    let mut field = |name: &str, value: &str| {
        for part in [name, ": ", value, "\r\n"] {
            request.push_str(part);
        }
    };
    if !given("host") {
        field("host", authority);
    }
    for (name, value) in fields {
        field(name, value);
    }
    if !given("content-length") && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        field("content-length", &body.len().to_string());
    }
    if !keep_alive {
        field("connection", "close");
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Class;

    fn read(text: &str) -> Result<Option<Head>, Fault> {
        head(text.as_bytes(), false, None, &mut Vec::new())
    }

    fn framing(text: &str) -> (Framing, bool) {
        let head = read(text).unwrap().unwrap();
        assert_eq!(head.length, text.len());
        (head.framing, head.keep_alive)
    }

    #[test]
    fn a_head_says_how_long_the_body_is_and_whether_the_connection_stays() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", (Framing::Length(5), true)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
                (Framing::Length(5), false),
            ),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", (Framing::Length(5), false)),
            (
                "HTTP/1.0 200\r\ncontent-length: 5\r\nconnection: Keep-Alive\r\n\r\n",
                (Framing::Length(5), true),
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", (Framing::Chunked, true)),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n",
                (Framing::Chunked, true),
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", (Framing::UntilClose, false)),
            ("HTTP/1.1 200 OK\r\n\r\n", (Framing::UntilClose, false)),
            ("HTTP/1.1 204 No Content\r\n\r\n", (Framing::None, true)),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", (Framing::None, true)),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", (Framing::None, true)),
        ] {
            assert_eq!(framing(text), expected, "{text:?}");
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(head(answer, true, None, &mut Vec::new()).unwrap().unwrap().framing, Framing::None);
    }

    #[test]
    fn the_field_that_is_asked_for_is_found_in_any_case() {
        let mut value = b"old".to_vec();
        let answer = b"HTTP/1.1 200 OK\r\nX-Served-By: ping-1\r\ncontent-length: 0\r\n\r\nrest";
        let head = head(answer, false, Some("x-served-by"), &mut value).unwrap().unwrap();
        assert_eq!((head.length, &*value), (answer.len() - 4, &b"ping-1"[..]));
        let none = b"HTTP/1.1 200 OK\r\n\r\n";
        super::head(none, false, Some("x-served-by"), &mut value).unwrap();
        assert!(value.is_empty());
    }

    #[test]
    fn what_is_not_whole_is_waited_for_and_what_is_no_http_is_refused() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]).unwrap(), None, "{length}");
        }
        for bad in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LONGEST_HEAD)),
        ] {
            assert_eq!(read(bad).unwrap_err().class, Class::Protocol, "{bad:.60}");
        }
    }

    #[test]
    fn a_request_has_what_it_needs_and_nothing_twice() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(request("GET", "/ping?a=b", "swarm:80", &[], true, b"")),
            "GET /ping?a=b HTTP/1.1\r\nhost: swarm:80\r\n\r\n"
        );
        assert_eq!(
            text(request("POST", "/", "a", &[field("Host", "b"), field("x", "y")], false, b"body")),
            "POST / HTTP/1.1\r\nHost: b\r\nx: y\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
        );
    }
}
