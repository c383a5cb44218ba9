//! WebSocket (RFC 6455): each message is sent back.
//!
//! Frames are tungstenite's. The handshake is checked here, so that whoever gets it wrong is told what is wrong.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use runtime::{Body, Bytes, Response, Upgraded, status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The only version there is.
const VERSION: &str = "13";

/// How much is read at once.
const CHUNK: usize = 8192;

/// How long a client has to answer a farewell.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The flags for it, to be flattened into the service's own.
#[derive(Args, Clone, Debug)]
pub struct WebSocketArgs {
    /// Largest message that a WebSocket takes
    #[arg(long, env = "SERVICE_MAX_MESSAGE_BYTES", value_name = "N", default_value = "1048576")]
    pub max_message_bytes: u32,
    /// How long a WebSocket may be silent before it is pinged, and then before it is closed
    #[arg(long, env = "SERVICE_WEBSOCKET_SILENCE", value_name = "TIME", default_value = "30s", value_parser = parse::duration)]
    pub websocket_silence: Duration,
}

impl Default for WebSocketArgs {
    fn default() -> Self {
        Self { max_message_bytes: 1024 * 1024, websocket_silence: Duration::from_secs(30) }
    }
}

/// Answers a request for a WebSocket: 101, or what is wrong with it.
pub fn answer(request: &Parts, args: &WebSocketArgs) -> Response {
    let accept = match accept(request) {
        Ok(accept) => accept,
        Err(refusal) => return refusal.response(),
    };
    let args = args.clone();
    let mut response = Response::new(Body::upgrade(move |upgraded| converse(upgraded, args)));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.extend(UPGRADE.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// What is said of the protocol to change to.
const UPGRADE: [(HeaderName, &str); 2] = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")];

/// Why a request gets no WebSocket.
struct Refusal {
    code: StatusCode,
    why: &'static str,
    /// What would be right.
    headers: &'static [(HeaderName, &'static str)],
}

impl Refusal {
    const fn new(code: StatusCode, why: &'static str) -> Self {
        Self { code, why, headers: &[] }
    }

    fn response(self) -> Response {
        let mut response = status(self.code, format!("{}\n", self.why));
        let headers =
            self.headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        response.headers_mut().extend(headers);
        response
    }
}

/// The value of `Sec-WebSocket-Accept` for a request that is right.
fn accept(request: &Parts) -> Result<HeaderValue, Refusal> {
    let headers = &request.headers;
    if request.method != Method::GET {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is asked for with GET");
        return Err(Refusal { headers: &[(header::ALLOW, "GET")], ..refusal });
    }
    if request.version != Version::HTTP_11 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "a WebSocket is asked for by HTTP/1.1"));
    }
    if !has_token(headers, &header::UPGRADE, "websocket") {
        let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, "the header Upgrade does not say websocket");
        return Err(Refusal { headers: &UPGRADE, ..refusal });
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the header Connection does not say Upgrade"));
    }
    if one(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let why = "the header Sec-WebSocket-Version does not say 13";
        let refusal = Refusal::new(StatusCode::UPGRADE_REQUIRED, why);
        return Err(Refusal { headers: &[(header::SEC_WEBSOCKET_VERSION, VERSION)], ..refusal });
    }
    let key = one(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    // Base64, of which each letter is one of a header's.
    key.and_then(|key| HeaderValue::from_maybe_shared(derive_accept_key(key.as_bytes())).ok()).ok_or(
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "the header Sec-WebSocket-Key is not 16 bytes of Base64, given once",
        ),
    )
}

/// Whether one of a header's words, in any letters, is this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether these are 16 bytes as Base64: the last digit but the padding stands for two bits.
fn is_key(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.strip_suffix(b"==").is_some_and(|digits| {
        digits.len() == 22
            && digits.iter().all(is_digit)
            && matches!(digits.last(), Some(b'A' | b'Q' | b'g' | b'w'))
    })
}

/// Sends back what comes until either side has had enough.
async fn converse(upgraded: Upgraded, args: WebSocketArgs) {
    let closing = upgraded.closing();
    let most = usize::try_from(args.max_message_bytes).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default()
        .read_buffer_size(CHUNK)
        // A message is sent as soon as it is there.
        .write_buffer_size(0)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
    if let Some(farewell) = repeat(&mut socket, closing, &args).await {
        let _ = timeout(LAST_WORDS, socket.send(Message::Close(Some(farewell)))).await;
    }
    // The client has the last word, unless it cannot be understood any more; then it sees the end, and reads up to that.
    let gone = async {
        while let Some(Ok(_)) = socket.next().await {}
        let stream = socket.get_mut();
        stream.shutdown().await?;
        let mut rest = vec![0; CHUNK];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(LAST_WORDS, gone).await;
}

/// What is to be said at the end, if there is somebody to hear it.
async fn repeat(
    socket: &mut WebSocketStream<Upgraded>,
    closing: impl Future<Output = ()>,
    args: &WebSocketArgs,
) -> Option<CloseFrame> {
    let silence = args.websocket_silence;
    let mut closing = pin!(closing);
    let mut is_pinged = false;
    loop {
        let message = tokio::select! {
            message = timeout(silence, socket.next()) => message,
            () = &mut closing => return Some(farewell(CloseCode::Away, "the server ends")),
        };
        let answer = match message {
            Ok(Some(Ok(message))) => {
                is_pinged = false;
                match message {
                    Message::Text(_) | Message::Binary(_) => message,
                    // A ping is answered, and a farewell returned, while the next message is waited for.
                    _ => continue,
                }
            }
            Ok(Some(Err(error))) => return fault(&error, args),
            Ok(None) => return None,
            Err(_) if is_pinged => return Some(farewell(CloseCode::Away, "the client is silent")),
            Err(_) => {
                is_pinged = true;
                Message::Ping(Bytes::new())
            }
        };
        // Whoever does not read is not waited for either.
        let Ok(Ok(())) = timeout(silence, socket.send(answer)).await else { return None };
    }
}

/// What a client is told that has broken the rules; nothing where it is gone.
fn fault(error: &Error, args: &WebSocketArgs) -> Option<CloseFrame> {
    match error {
        Error::Capacity(_) => {
            let why = format!("a message of more than {} bytes", args.max_message_bytes);
            Some(CloseFrame { code: CloseCode::Size, reason: why.into() })
        }
        Error::Utf8(_) => Some(farewell(CloseCode::Invalid, "a text that is not UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        // Each of these messages fits into a frame's 123 bytes.
        Error::Protocol(error) => {
            Some(CloseFrame { code: CloseCode::Protocol, reason: error.to_string().into() })
        }
        _ => None,
    }
}

fn farewell(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that is right, but for `change`.
    fn asked(change: impl FnOnce(&mut http::Request<()>)) -> Response {
        let mut request = http::Request::new(());
        let headers = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        change(&mut request);
        answer(&request.into_parts().0, &WebSocketArgs::default())
    }

    fn without(name: &str) -> Response {
        asked(|request| drop(request.headers_mut().remove(name)))
    }

    fn with(name: &'static str, value: &'static str) -> Response {
        asked(|request| drop(request.headers_mut().insert(name, HeaderValue::from_static(value))))
    }

    #[test]
    fn whoever_asks_by_the_rules_is_let_in() {
        let response = asked(|_| {});
        assert_eq!(response.status(), 101);
        // The standard's own example.
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["upgrade"], "websocket");
    }

    #[test]
    fn others_are_told_what_is_wrong() {
        assert_eq!(without("connection").status(), 400);
        assert_eq!(with("connection", "close").status(), 400);
        assert_eq!(asked(|request| *request.version_mut() = Version::HTTP_10).status(), 400);
        assert_eq!(asked(|request| *request.version_mut() = Version::HTTP_2).status(), 400);
        let post = asked(|request| *request.method_mut() = Method::POST);
        assert_eq!(
            (post.status().as_u16(), &post.headers()["allow"]),
            (405, &HeaderValue::from_static("GET"))
        );
        for refusal in [without("upgrade"), with("upgrade", "h2c")] {
            assert_eq!(refusal.status(), 426);
            assert_eq!(refusal.headers()["upgrade"], "websocket");
        }
        for refusal in [without("sec-websocket-version"), with("sec-websocket-version", "8")] {
            assert_eq!(refusal.status(), 426);
            assert_eq!(refusal.headers()["sec-websocket-version"], "13");
        }
    }

    #[test]
    fn a_key_is_16_bytes_of_base64() {
        assert_eq!(without("sec-websocket-key").status(), 400);
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25j",
            "ZGhlIHNhbXBsZSBub25jZ$==",
        ] {
            assert_eq!(with("sec-websocket-key", key).status(), 400, "{key:?}");
        }
        let twice = asked(|request| {
            request
                .headers_mut()
                .append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        });
        assert_eq!(twice.status(), 400);
    }
}
