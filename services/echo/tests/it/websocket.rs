use harness::certificates::{Certificates, P256};
use harness::conformance::check_websocket;

use harness::TIMEOUT;

use crate::client::Client;
use crate::server::Server;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Sends a handshake and returns the response head.
fn shake_hands(server: &Server, path: &str) -> (Client, String) {
    let mut client = Client::connect(server.address);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ));
    let head = client.head();
    (client, head)
}

/// A client that has completed the handshake and sends raw frames.
fn open(server: &Server) -> Client {
    let (client, head) = shake_hands(server, "/echo");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    client
}

/// Builds a masked frame from its first byte and payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let length = match payload.len() {
        length @ ..126 => vec![0x80 | u8::try_from(length).unwrap()],
        length @ ..65536 => [&[0xfe][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
        length => [&[0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    let masked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [&[first], &length[..], &mask, &masked].concat()
}

/// Builds a frame with a whole message.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(0x80 | opcode, payload)
}

/// Reads a short frame: its opcode and payload.
fn received(client: &mut Client) -> (u8, Vec<u8>) {
    let [first, length] = client.exactly();
    assert_eq!(first & 0xf0, 0x80, "each is whole, and says nothing of extensions");
    assert!(length < 126, "short, and unmasked: {length}");
    (first & 0xf, (0..length).map(|_| client.exactly::<1>()[0]).collect())
}

/// Waits for a close frame with this code, and then for the end.
fn expect_close(client: &mut Client, code: u16) {
    let (opcode, payload) = received(client);
    assert_eq!((opcode, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]), "{payload:?}");
    client.expect_end();
}

#[test]
fn messages_are_echoed_with_their_type() {
    let server = Server::start(&[]);
    let mut client = open(&server);
    for (opcode, payload) in [(TEXT, &b"hello"[..]), (BINARY, b"\0\xff"), (TEXT, b"")] {
        client.send(message(opcode, payload));
        assert_eq!(received(&mut client), (opcode, payload.to_vec()));
    }
}

#[test]
fn query_changes_the_response_to_a_handshake() {
    let server = Server::start(&[]);
    let (mut client, head) = shake_hands(&server, "/echo?header=set-cookie:a=b");
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("\r\nset-cookie: a=b\r\n"), "{head}");
    client.send(message(TEXT, b"hello"));
    assert_eq!(received(&mut client), (TEXT, b"hello".to_vec()));
    let (mut client, head) = shake_hands(&server, "/echo?status=503");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    // The connection stays one of HTTP.
    client.send("GET /close HTTP/1.1\r\nhost: test\r\n\r\n");
    client.expect_end();
}

#[test]
fn fragments_are_joined_and_pings_between_them_answered() {
    let server = Server::start(&[]);
    let mut client = open(&server);
    client.send(frame(TEXT, b"hel"));
    client.send(message(PING, b"there?"));
    client.send(frame(0, b"l"));
    client.send(message(0, b"o"));
    assert_eq!(received(&mut client), (PONG, b"there?".to_vec()));
    assert_eq!(received(&mut client), (TEXT, b"hello".to_vec()));
}

#[test]
fn close_frame_is_returned_with_its_code() {
    let server = Server::start(&[]);
    let mut client = open(&server);
    client.send(message(CLOSE, &4001_u16.to_be_bytes()));
    expect_close(&mut client, 4001);
    let mut client = open(&server);
    client.send(message(CLOSE, b""));
    assert_eq!(received(&mut client), (CLOSE, vec![]));
    client.expect_end();
}

#[test]
fn protocol_error_closes_with_a_reason() {
    let server = Server::start(&["--max-message-bytes", "200"]);
    let unmasked = [&[0x81, 5][..], b"hello"].concat();
    let cases: [(u16, Vec<u8>); 11] = [
        (1002, unmasked),
        // Reserved bits and opcodes.
        (1002, frame(0xc1, b"hello")),
        (1002, message(3, b"hello")),
        // Control frames that are too long or fragmented.
        (1002, message(PING, &[0; 126])),
        (1002, frame(PING, b"hello")),
        // A continuation without a start, and a new message within a fragmented one.
        (1002, message(0, b"hello")),
        (1002, [frame(TEXT, b"hel"), message(TEXT, b"lo")].concat()),
        // Reserved close codes.
        (1002, message(CLOSE, &1005_u16.to_be_bytes())),
        (1007, message(TEXT, b"\xff")),
        (1009, message(BINARY, &[0; 201])),
        (1009, [frame(BINARY, &[0; 110]), message(0, &[0; 110])].concat()),
    ];
    for (code, bytes) in cases {
        let mut client = open(&server);
        client.send(&bytes);
        let (opcode, payload) = received(&mut client);
        let said = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
        assert_eq!((opcode, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]), "{bytes:?}: {said}");
        client.expect_end();
    }
    // A message of the maximum size is echoed.
    let mut client = open(&server);
    client.send(message(BINARY, &[7; 120]));
    assert_eq!(received(&mut client), (BINARY, vec![7; 120]));
}

#[test]
fn idle_client_is_pinged_and_then_disconnected() {
    let server = Server::start(&["--websocket-silence", "50ms"]);
    let mut client = open(&server);
    for _ in 0..3 {
        assert_eq!(received(&mut client), (PING, vec![]));
        client.send(message(PONG, b""));
    }
    assert_eq!(received(&mut client), (PING, vec![]));
    expect_close(&mut client, 1001);
}

#[test]
fn client_that_does_not_read_is_disconnected() {
    let server = Server::start(&["--websocket-silence", "100ms"]);
    let mut client = open(&server);
    let (sender, full) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let large = message(BINARY, &vec![0; 1 << 20]);
        // More than the buffers hold: sending fails once the server has closed the connection.
        while client.try_send(&large) {}
        sender.send(()).unwrap();
    });
    full.recv_timeout(TIMEOUT).expect("the server waits for ever");
}

#[test]
fn clients_get_a_close_frame_at_shutdown() {
    let server = Server::start(&[]);
    let mut client = open(&server);
    client.send(message(TEXT, b"hello"));
    assert_eq!(received(&mut client), (TEXT, b"hello".to_vec()));
    let ended = server.shut_down();
    assert_eq!(received(&mut client).1[..2], 1001_u16.to_be_bytes());
    client.send(message(CLOSE, &1001_u16.to_be_bytes()));
    client.expect_end();
    ended.recv_timeout(TIMEOUT).unwrap();
}

#[test]
fn invalid_handshake_gets_an_error() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address);
    client.send("GET /echo HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 426 ") && head.contains("upgrade: websocket\r\n"), "{head}");
}

#[test]
fn curl_accepts_the_handshake_with_and_without_tls() {
    check_websocket(&Server::start(&[]).url("ws", "/echo"), None).unwrap();
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let flags = made.flags("server");
    let server = Server::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    check_websocket(&server.url("wss", "/echo"), Some(&made.path("ca.pem"))).unwrap();
}
