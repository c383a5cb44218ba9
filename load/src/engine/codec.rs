//! HTTP/1.1 as bytes: encodes requests, decodes responses. No I/O.

use std::mem::MaybeUninit;
use std::str;

use httparse::ParserConfig;

use crate::error::RequestError;

/// Maximum length of a response head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Maximum number of header fields in a response.
const MAX_FIELDS: usize = 128;

/// Maximum number of hexadecimal digits of a chunk size.
const MAX_SIZE_DIGITS: u8 = 15;

/// Maximum length of a trailer line, in bytes.
const MAX_TRAILER_LINE: u32 = 16 * 1024;

/// The head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Length of the head in bytes.
    pub(super) length: usize,
    /// Status code.
    pub(super) status: u16,
    /// Framing of the body.
    pub(super) framing: Framing,
    /// Whether the connection can be reused.
    pub(super) keep_alive: bool,
}

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    None,
    /// Content length in bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// End of the connection.
    UntilClose,
}

/// Decodes the head of a response at the start of `bytes`. Returns `None` if it is incomplete. An interim response (1xx) is
/// a head without a body. Puts the value of the first of the fields `names` (lower case) that it has into `value`.
pub(super) fn head(
    bytes: &[u8],
    is_head: bool,
    names: &[String],
    value: &mut Vec<u8>,
) -> Result<Option<Head>, RequestError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
        .map_err(|error| RequestError::protocol(format_args!("invalid response head: {error}")))?;
    let length = match parsed {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() >= MAX_HEAD => {
            return Err(RequestError::protocol(format_args!("the response head exceeds {MAX_HEAD} bytes")));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or_default();
    let (mut keep_alive, mut closes) = (response.version == Some(1), false);
    let mut content_length = None;
    let mut is_chunked = None;
    value.clear();
    let mut preferred = names.len();
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let number = parse_length(field.value)?;
            if content_length.is_some_and(|before| before != number) {
                return Err(RequestError::protocol("the response has two content lengths"));
            }
            content_length = Some(number);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            let last = words(field.value).last().unwrap_or_default();
            is_chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
        } else if field.name.eq_ignore_ascii_case("connection") {
            let has = |word: &[u8]| words(field.value).any(|one| one.eq_ignore_ascii_case(word));
            closes |= has(b"close");
            keep_alive |= has(b"keep-alive");
        }
        if let Some(index) = names[..preferred].iter().position(|name| field.name.eq_ignore_ascii_case(name))
        {
            preferred = index;
            value.clear();
            value.extend_from_slice(field.value);
        }
    }
    let framing = match (status, is_chunked, content_length) {
        (100..200 | 204 | 304, ..) => Framing::None,
        _ if is_head => Framing::None,
        (_, Some(true), _) => Framing::Chunked,
        (_, Some(false), _) | (_, None, None) => Framing::UntilClose,
        (_, None, Some(length)) => Framing::Length(length),
    };
    keep_alive &= !closes && framing != Framing::UntilClose;
    Ok(Some(Head { length, status, framing, keep_alive }))
}

fn parse_length(value: &[u8]) -> Result<u64, RequestError> {
    let text = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let value = String::from_utf8_lossy(value).into_owned();
        RequestError::protocol(format_args!("invalid content length {value:?}"))
    })
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Encodes a request. `path` includes the query; the header fields are sent as given.
pub(super) fn request(
    method: &str,
    path: &str,
    authority: &str,
    headers: &[(String, String)],
    keep_alive: bool,
    body: &[u8],
) -> Vec<u8> {
    let is_given = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    let mut add = |name: &str, value: &str| request.extend([name, ": ", value, "\r\n"]);
    if !is_given("host") {
        add("host", authority);
    }
    for (name, value) in headers {
        add(name, value);
    }
    if !is_given("content-length") && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        add("content-length", &body.len().to_string());
    }
    if !keep_alive {
        add("connection", "close");
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// Decoder of a body.
#[derive(Clone, Debug)]
pub(super) struct Body {
    framing: Framing,
    /// Bytes that are still missing, of the body or of the current chunk.
    left: u64,
    chunk: Chunk,
    /// Bytes of content so far.
    length: u64,
    is_complete: bool,
}

/// Position in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In a size line: number of digits so far, and whether they have ended.
    Size { digits: u8, ended: bool },
    /// In the content.
    Content,
    /// In the line end after the content.
    End,
    /// In a trailer line: number of bytes so far.
    Trailer(u32),
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let is_complete = matches!(framing, Framing::None | Framing::Length(0));
        Self { framing, left, chunk: Chunk::Size { digits: 0, ended: false }, length: 0, is_complete }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Bytes of content so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Decodes the start of `bytes`, passes content to `observe`, and returns the number of bytes that belong to the body.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        mut observe: impl FnMut(&[u8]),
    ) -> Result<usize, RequestError> {
        let mut position = 0;
        while position < bytes.len() && !self.is_complete {
            position += match self.framing {
                Framing::None => 0,
                Framing::UntilClose => self.content(&bytes[position..], u64::MAX, &mut observe),
                Framing::Length(_) => {
                    let taken = self.content(&bytes[position..], self.left, &mut observe);
                    self.left -= taken as u64;
                    self.is_complete = self.left == 0;
                    taken
                }
                Framing::Chunked => self.chunked(&bytes[position..], &mut observe)?,
            };
        }
        Ok(position)
    }

    /// Notes the end of the connection. Returns whether the body is complete.
    pub(super) fn close(&mut self) -> bool {
        self.is_complete |= self.framing == Framing::UntilClose;
        self.is_complete
    }

    fn content(&mut self, bytes: &[u8], limit: u64, observe: &mut impl FnMut(&[u8])) -> usize {
        let taken = usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
        observe(&bytes[..taken]);
        self.length += taken as u64;
        taken
    }

    fn chunked(&mut self, bytes: &[u8], observe: &mut impl FnMut(&[u8])) -> Result<usize, RequestError> {
        if self.chunk == Chunk::Content {
            let taken = self.content(bytes, self.left, observe);
            self.left -= taken as u64;
            if self.left == 0 {
                self.chunk = Chunk::End;
            }
            return Ok(taken);
        }
        let byte = bytes[0];
        self.chunk = match (self.chunk, byte) {
            (Chunk::Size { digits: 1.., .. }, b'\n') if self.left > 0 => Chunk::Content,
            (Chunk::Size { digits: 1.., .. }, b'\n') => Chunk::Trailer(0),
            (Chunk::Size { digits, ended: false }, byte)
                if byte.is_ascii_hexdigit() && digits < MAX_SIZE_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left * 16 + u64::from(digit);
                Chunk::Size { digits: digits + 1, ended: false }
            }
            // Chunk extensions follow the size and are ignored.
            (Chunk::Size { digits: digits @ 1.., ended }, byte)
                if ended || matches!(byte, b';' | b' ' | b'\t' | b'\r') =>
            {
                Chunk::Size { digits, ended: true }
            }
            (Chunk::End, b'\r') => Chunk::End,
            (Chunk::End, b'\n') => Chunk::Size { digits: 0, ended: false },
            (Chunk::Trailer(0), b'\n') => {
                self.is_complete = true;
                Chunk::Trailer(0)
            }
            (Chunk::Trailer(_), b'\n') => Chunk::Trailer(0),
            (Chunk::Trailer(length), b'\r') => Chunk::Trailer(length),
            (Chunk::Trailer(length), _) if length < MAX_TRAILER_LINE => Chunk::Trailer(length + 1),
            _ => return Err(RequestError::protocol("invalid chunk in a response body")),
        };
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ErrorClass;

    fn read(text: &str) -> Result<Option<Head>, RequestError> {
        head(text.as_bytes(), false, &[], &mut Vec::new())
    }

    #[test]
    fn head_tells_framing_and_reuse() {
        for (text, framing, keep_alive) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", Framing::Length(5), false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", Framing::Length(5), false),
            ("HTTP/1.0 200\r\ncontent-length: 5\r\nconnection: Keep-Alive\r\n\r\n", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", Framing::Chunked, true),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n",
                Framing::Chunked,
                true,
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", Framing::UntilClose, false),
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
            ("HTTP/1.1 204 No Content\r\n\r\n", Framing::None, true),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Framing::None, true),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", Framing::None, true),
        ] {
            let head = read(text).unwrap().unwrap();
            assert_eq!((head.length, head.framing, head.keep_alive), (text.len(), framing, keep_alive));
        }
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(head(response, true, &[], &mut Vec::new()).unwrap().unwrap().framing, Framing::None);
    }

    #[test]
    fn header_value_is_found_case_insensitively() {
        let names = ["x-instance", "x-served-by"].map(str::to_owned);
        let mut value = b"old".to_vec();
        let response = b"HTTP/1.1 200 OK\r\nX-Served-By: ping-1\r\ncontent-length: 0\r\n\r\nrest";
        let head = head(response, false, &names, &mut value).unwrap().unwrap();
        assert_eq!((head.length, &*value), (response.len() - 4, &b"ping-1"[..]));
        super::head(b"HTTP/1.1 200 OK\r\n\r\n", false, &names, &mut value).unwrap();
        assert!(value.is_empty());
        for fields in ["X-Instance: a\r\nx-served-by: b", "x-served-by: b\r\nx-instance: a"] {
            let response = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            super::head(response.as_bytes(), false, &names, &mut value).unwrap();
            assert_eq!(value, b"a", "the first name is preferred: {fields}");
        }
    }

    #[test]
    fn incomplete_head_is_awaited_and_invalid_head_is_rejected() {
        let complete = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        for length in 0..complete.len() {
            assert_eq!(read(&complete[..length]).unwrap(), None, "{length}");
        }
        for invalid in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD)),
        ] {
            assert_eq!(read(invalid).unwrap_err().class, ErrorClass::Protocol, "{invalid:.60}");
        }
    }

    #[test]
    fn request_has_each_required_field_once() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(request("GET", "/ping?a=b", "swarm:80", &[], true, b"")),
            "GET /ping?a=b HTTP/1.1\r\nhost: swarm:80\r\n\r\n"
        );
        assert_eq!(
            text(request("POST", "/", "a", &[header("Host", "b"), header("x", "y")], false, b"body")),
            "POST / HTTP/1.1\r\nHost: b\r\nx: y\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
        );
    }

    /// Decodes a body that arrives in pieces of `size` bytes: its content, the number of bytes taken, and whether it is
    /// complete.
    fn decode(framing: Framing, text: &str, size: usize) -> Result<(String, usize, bool), RequestError> {
        let (mut body, mut content, mut taken) = (Body::new(framing), Vec::new(), 0);
        for piece in text.as_bytes().chunks(size) {
            taken += body.take(piece, |bytes| content.extend_from_slice(bytes))?;
        }
        assert_eq!(body.length(), content.len() as u64);
        Ok((String::from_utf8(content).unwrap(), taken, body.is_complete()))
    }

    #[test]
    fn body_ends_at_the_same_byte_for_any_piece_size() {
        let chunked = "5\r\nHello\r\n00A;why=not\r\n, swarm of\r\n1 \r\n!\r\n0\r\nx-trailer: 1\r\n\r\n";
        for size in [1, 2, 3, 7, 1000] {
            let check = |framing, text: &str, content: &str, rest: usize| {
                let expected = (content.to_owned(), text.len() - rest, true);
                assert_eq!(decode(framing, text, size).unwrap(), expected, "{size}");
            };
            check(Framing::Length(5), "Hellomore", "Hello", 4);
            check(Framing::None, "more", "", 4);
            check(Framing::Chunked, &format!("{chunked}more"), "Hello, swarm of!", 4);
            for length in 0..chunked.len() {
                assert!(!decode(Framing::Chunked, &chunked[..length], size).unwrap().2, "{length}");
            }
        }
    }

    #[test]
    fn only_body_without_length_ends_with_the_connection() {
        for (framing, is_end) in
            [(Framing::UntilClose, true), (Framing::Length(9), false), (Framing::Chunked, false)]
        {
            let mut body = Body::new(framing);
            body.take(b"1", |_| {}).unwrap();
            assert_eq!((body.is_complete(), body.close()), (false, is_end), "{framing:?}");
        }
    }

    #[test]
    fn invalid_chunks_are_rejected() {
        for invalid in ["\r\n", "x\r\n", "5x\r\n", "5\r\nHelloX", "-1\r\n", "1111111111111111\r\n", " 5\r\n"]
        {
            assert!(decode(Framing::Chunked, invalid, 1000).is_err(), "{invalid:?}");
        }
        assert!(decode(Framing::Chunked, &format!("0\r\n{}", "x".repeat(20_000)), 1000).is_err());
    }
}
