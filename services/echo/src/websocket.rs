//! WebSocket (RFC 6455) that echoes messages.
//!
//! tungstenite handles the frames. The handshake is checked here, so that an error names the invalid header.

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
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// The only version of the protocol.
const VERSION: &str = "13";

/// Size of a read in bytes.
const CHUNK: usize = 8192;

/// Time for the client to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// WebSocket flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "WebSocket")]
pub struct WebSocketArgs {
    /// Maximum size of a WebSocket message, in bytes
    #[arg(long, env = "SERVICE_MAX_MESSAGE_BYTES", value_name = "N", default_value = "1048576")]
    #[arg(value_parser = cli::integer::<u32>(0..=u64::from(u32::MAX)))]
    pub max_message_bytes: u32,
    /// Idle time before a WebSocket client is pinged, and then before it is disconnected
    #[arg(long, env = "SERVICE_WEBSOCKET_SILENCE", value_name = "DURATION", default_value = "30s", value_parser = parse::duration)]
    pub websocket_silence: Duration,
}

/// Responds to a WebSocket handshake: 101, or the error.
pub fn upgrade(request: &Parts, args: &WebSocketArgs) -> Response {
    let headers = &request.headers;
    if request.method != Method::GET {
        let message = "a WebSocket handshake needs the method GET";
        return refuse(StatusCode::METHOD_NOT_ALLOWED, message, [(header::ALLOW, "GET")]);
    }
    if request.version != Version::HTTP_11 {
        return refuse(StatusCode::BAD_REQUEST, "a WebSocket handshake needs HTTP/1.1", []);
    }
    if !has_token(headers, &header::UPGRADE, "websocket") {
        return refuse(StatusCode::UPGRADE_REQUIRED, "expected the header Upgrade: websocket", UPGRADE);
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return refuse(StatusCode::BAD_REQUEST, "expected the header Connection: Upgrade", []);
    }
    if one(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let message = "expected the header Sec-WebSocket-Version: 13";
        let supported = [(header::SEC_WEBSOCKET_VERSION, VERSION)];
        return refuse(StatusCode::UPGRADE_REQUIRED, message, supported);
    }
    let key = one(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    // Base64 is always a valid header value.
    let accept = key.and_then(|key| HeaderValue::from_maybe_shared(derive_accept_key(key.as_bytes())).ok());
    let Some(accept) = accept else {
        let message = "expected one header Sec-WebSocket-Key of 16 bytes in Base64";
        return refuse(StatusCode::BAD_REQUEST, message, []);
    };
    let args = args.clone();
    let mut response = Response::new(Body::upgrade(move |upgraded| serve(upgraded, args)));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.extend(UPGRADE.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Headers of an upgrade.
const UPGRADE: [(HeaderName, &str); 2] = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")];

/// Returns the error response to a handshake, with headers that tell what is supported.
fn refuse(
    code: StatusCode,
    message: &'static str,
    headers: impl IntoIterator<Item = (HeaderName, &'static str)>,
) -> Response {
    let mut response = status(code, format!("{message}\n"));
    response
        .headers_mut()
        .extend(headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Whether a header contains this token, in upper or lower case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

/// Returns the value of a header that occurs once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether the text is 16 bytes in Base64, whose last digit before the padding has two bits.
fn is_key(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.strip_suffix(b"==").is_some_and(|digits| {
        digits.len() == 22
            && digits.iter().all(is_digit)
            && matches!(digits.last(), Some(b'A' | b'Q' | b'g' | b'w'))
    })
}

/// Echoes messages until either side closes the connection.
async fn serve(upgraded: Upgraded, args: WebSocketArgs) {
    let closing = upgraded.closing();
    let max_size = usize::try_from(args.max_message_bytes).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default()
        .read_buffer_size(CHUNK)
        // Messages are sent without buffering.
        .write_buffer_size(0)
        .max_message_size(Some(max_size))
        .max_frame_size(Some(max_size));
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
    if let Some(close_frame) = echo(&mut socket, closing, &args).await {
        let _ = timeout(CLOSE_TIMEOUT, socket.send(Message::Close(Some(close_frame)))).await;
    }
    // Wait for the close frame of the client, then drain the stream so that the client can read to the end.
    let drained = async {
        while let Some(Ok(_)) = socket.next().await {}
        let stream = socket.get_mut();
        stream.shutdown().await?;
        let mut rest = vec![0; CHUNK];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(CLOSE_TIMEOUT, drained).await;
}

/// Echoes messages. Returns the close frame to send, or `None` if the client is gone.
async fn echo(
    socket: &mut WebSocketStream<Upgraded>,
    closing: impl Future<Output = ()>,
    args: &WebSocketArgs,
) -> Option<CloseFrame> {
    let idle_time = args.websocket_silence;
    let mut closing = pin!(closing);
    let mut is_pinged = false;
    loop {
        let message = tokio::select! {
            message = timeout(idle_time, socket.next()) => message,
            () = &mut closing => return Some(close_frame(CloseCode::Away, "server is shutting down")),
        };
        let answer = match message {
            Ok(Some(Ok(message))) => {
                is_pinged = false;
                match message {
                    Message::Text(_) | Message::Binary(_) => message,
                    // tungstenite answers pings and close frames while it waits for the next message.
                    _ => continue,
                }
            }
            Ok(Some(Err(error))) => return error_frame(&error, args),
            Ok(None) => return None,
            Err(_) if is_pinged => return Some(close_frame(CloseCode::Away, "client idle")),
            Err(_) => {
                is_pinged = true;
                Message::Ping(Bytes::new())
            }
        };
        // A client that does not read is disconnected, too.
        let Ok(Ok(())) = timeout(idle_time, socket.send(answer)).await else { return None };
    }
}

/// Returns the close frame for a protocol error, or `None` if the client is gone.
fn error_frame(error: &Error, args: &WebSocketArgs) -> Option<CloseFrame> {
    match error {
        Error::Capacity(_) => {
            let reason = format!("message exceeds {} bytes", args.max_message_bytes);
            Some(close_frame(CloseCode::Size, reason))
        }
        Error::Utf8(_) => Some(close_frame(CloseCode::Invalid, "text is not UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        // These messages fit into the 123 bytes of a close frame.
        Error::Protocol(error) => Some(close_frame(CloseCode::Protocol, error.to_string())),
        _ => None,
    }
}

fn close_frame(code: CloseCode, reason: impl Into<Utf8Bytes>) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Responds to a valid handshake after `change`.
    fn request(change: impl FnOnce(&mut http::Request<()>)) -> Response {
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
        let args = WebSocketArgs { max_message_bytes: 1024, websocket_silence: Duration::from_secs(30) };
        upgrade(&request.into_parts().0, &args)
    }

    fn without(name: &str) -> Response {
        request(|request| drop(request.headers_mut().remove(name)))
    }

    fn with(name: &'static str, value: &'static str) -> Response {
        request(|request| drop(request.headers_mut().insert(name, HeaderValue::from_static(value))))
    }

    #[test]
    fn valid_handshake_is_accepted() {
        let response = request(|_| {});
        assert_eq!(response.status(), 101);
        // The example of RFC 6455.
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["upgrade"], "websocket");
    }

    #[test]
    fn invalid_handshake_is_reported() {
        assert_eq!(without("connection").status(), 400);
        assert_eq!(with("connection", "close").status(), 400);
        assert_eq!(request(|request| *request.version_mut() = Version::HTTP_10).status(), 400);
        assert_eq!(request(|request| *request.version_mut() = Version::HTTP_2).status(), 400);
        let post = request(|request| *request.method_mut() = Method::POST);
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
    fn key_is_16_bytes_of_base64() {
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
        let twice = request(|request| {
            request
                .headers_mut()
                .append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        });
        assert_eq!(twice.status(), 400);
    }
}
