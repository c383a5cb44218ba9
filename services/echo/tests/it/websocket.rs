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

/// A client that has asked by the rules, and can break them.
fn open(server: &Server) -> Client {
    let mut client = Client::connect(server.address);
    client.send(
        "GET /echo HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    client
}

/// A frame as clients send it: its first byte, and what is in it.
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

/// A whole message.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(0x80 | opcode, payload)
}

/// What comes next, if it is short: its opcode, and what is in it.
fn received(client: &mut Client) -> (u8, Vec<u8>) {
    let [first, length] = client.exactly();
    assert_eq!(first & 0xf0, 0x80, "each is whole, and says nothing of extensions");
    assert!(length < 126, "short, and unmasked: {length}");
    (first & 0xf, (0..length).map(|_| client.exactly::<1>()[0]).collect())
}

/// Waits for a farewell with this code, and then for the end.
fn expect_close(client: &mut Client, code: u16) {
    let (opcode, payload) = received(client);
    assert_eq!((opcode, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]), "{payload:?}");
    client.expect_end();
}

#[test]
fn messages_come_back_as_what_they_are() {
    let server = Server::start(&[]);
    let mut client = open(&server);
    for (opcode, payload) in [(TEXT, &b"hello"[..]), (BINARY, b"\0\xff"), (TEXT, b"")] {
        client.send(message(opcode, payload));
        assert_eq!(received(&mut client), (opcode, payload.to_vec()));
    }
}

#[test]
fn fragments_come_back_as_one_and_pings_between_them_are_answered() {
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
fn a_farewell_is_returned_with_its_code() {
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
fn whoever_breaks_the_rules_is_told_so_and_let_go() {
    let server = Server::start(&["--max-message-bytes", "200"]);
    let unmasked = [&[0x81, 5][..], b"hello"].concat();
    let cases: [(u16, Vec<u8>); 11] = [
        (1002, unmasked),
        // Reserved bits and opcodes.
        (1002, frame(0xc1, b"hello")),
        (1002, message(3, b"hello")),
        // Control frames that are too long or in parts.
        (1002, message(PING, &[0; 126])),
        (1002, frame(PING, b"hello")),
        // A continuation of nothing, and a new message within another.
        (1002, message(0, b"hello")),
        (1002, [frame(TEXT, b"hel"), message(TEXT, b"lo")].concat()),
        // Codes that nobody may send.
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
    // What is just not too large comes back.
    let mut client = open(&server);
    client.send(message(BINARY, &[7; 120]));
    assert_eq!(received(&mut client), (BINARY, vec![7; 120]));
}

#[test]
fn who_is_silent_is_asked_and_then_let_go() {
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
fn who_does_not_read_is_let_go() {
    let server = Server::start(&["--websocket-silence", "100ms"]);
    let mut client = open(&server);
    let (sender, full) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let large = message(BINARY, &vec![0; 1 << 20]);
        // More than all buffers on the way hold: it fails once the server has closed the connection.
        while client.try_send(&large) {}
        sender.send(()).unwrap();
    });
    full.recv_timeout(TIMEOUT).expect("the server waits for ever");
}

#[test]
fn at_the_end_of_the_server_clients_are_told() {
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
fn a_request_for_no_websocket_gets_an_answer() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address);
    client.send("GET /echo HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 426 ") && head.contains("upgrade: websocket\r\n"), "{head}");
}

#[test]
fn a_real_client_is_content_with_and_without_tls() {
    check_websocket(&Server::start(&[]).url("ws", "/echo"), None).unwrap();
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let flags = made.flags("server");
    let server = Server::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    check_websocket(&server.url("wss", "/echo"), Some(&made.path("ca.pem"))).unwrap();
}
