use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::Bytes;

use crate::process::{Answer, Echo, answer, command};

/// Sends raw bytes; returns the response and the local address.
fn ask(echo: &Echo, request: &str) -> (Answer, SocketAddr) {
    let mut stream = echo.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let local = stream.local_addr().unwrap();
    (answer(&mut stream), local)
}

/// Replaces all `IP:` lines, of which there must be at least one, by a placeholder.
fn with_addresses_named(text: &str) -> String {
    let mut seen = Vec::new();
    let mut named = String::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("IP: ") {
            Some(address) => {
                if seen.is_empty() {
                    named += "IP: {IP}\n";
                }
                seen.push(address.trim_end().parse::<IpAddr>().unwrap());
            }
            None => named += line,
        }
    }
    assert_eq!(seen.first(), Some(&"127.0.0.1".parse().unwrap()), "{text}");
    named
}

/// Each file in `golden` holds a request and whoami's response. `␍` is a carriage return.
#[test]
fn response_has_the_format_of_whoami() {
    let echo = Echo::start(&["--host", "echo-1", "--name", "iamfoo"]);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let mut count = 0;
    for file in directory.read_dir().unwrap() {
        let path = file.unwrap().path();
        let golden = std::fs::read_to_string(&path).unwrap().replace('␍', "\r");
        let (request, expected) = golden.split_once("\n-- answer --\n").unwrap();
        let expected = expected.strip_suffix('\n').unwrap();
        let (answer, local) = ask(&echo, request);
        assert_eq!(answer.code, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(
            with_addresses_named(&answer.text()),
            expected.replace("{REMOTE}", &local.to_string()),
            "{}",
            path.display()
        );
        count += 1;
    }
    assert_eq!(count, 7);
}

#[test]
fn without_a_name_the_host_name_comes_first() {
    let text = Echo::start(&["--host", "echo-1"]).get("/").text();
    assert!(text.starts_with("Hostname: echo-1\nIP: 127.0.0.1\n"), "{text}");
}

#[test]
fn large_body_is_sent_back_while_it_is_received() {
    let echo = Echo::start(&[]);
    let body = "0123456789".repeat(20_000);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: foo\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let text = echo.ask(&(head + &body)).text();
    assert!(text.ends_with(&format!("Connection: close\r\n\r\n{body}")));

    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = "POST / HTTP/1.1\r\nhost: foo\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let text = echo.ask(&(head.to_owned() + &chunks)).text();
    let (_, mut rest) = text.split_once("Connection: close\r\n\r\n").unwrap();
    let mut found = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        found += &more[..size];
        rest = &more[size + 2..];
    }
    assert_eq!(found, body);
}

#[test]
fn json_has_the_fields_of_whoami_in_order() {
    let echo = Echo::start(&["--host", "echo-1", "--name", "iamfoo"]);
    let request = "PATCH /api?a&b HTTP/1.1\r\nhost: foo\r\nx-a: <\u{e9}>\r\ntransfer-encoding: chunked\r\n\
                   connection: close\r\n\r\n0\r\n\r\n";
    let (answer, local) = ask(&echo, request);
    let text = answer.text();
    let (_, rest) = text.split_once("],\"headers\":").unwrap();
    assert!(text.starts_with("{\"hostname\":\"echo-1\",\"ip\":[\"127.0.0.1\""), "{text}");
    let expected = format!(
        "{{\"Connection\":[\"close\"],\"X-A\":[\"\\u003c\u{e9}\\u003e\"]}},\"url\":\"/api?a\\u0026b\",\
         \"host\":\"foo\",\"method\":\"PATCH\",\"name\":\"iamfoo\",\"remoteAddr\":\"{local}\",\"protocol\":\"HTTP/1.1\""
    );
    assert!(rest.starts_with(&expected), "{rest}");
    assert!(text.ends_with("}\n") && answer.json().get("environ").is_none());
}

#[test]
fn environment_is_shown_only_with_expose_env() {
    let spawn = |args: &[&str]| {
        let mut command = command();
        command.args(["--address", "127.0.0.1", "--port", "0", "--admin-port", "0"]).args(args);
        Echo::spawn(command.env("ECHO_TEST", "a=b"))
    };
    let closed = spawn(&[]);
    assert!(!closed.get("/?env=true").text().contains("ECHO_TEST"));
    assert!(closed.get("/api?env=true").json().get("environ").is_none());
    let open = spawn(&["--expose-env"]);
    assert!(open.get("/?env=1").text().split("\r\n\r\n").nth(1).unwrap().contains("ECHO_TEST=a=b\n"));
    assert!(!open.get("/?env=yes").text().contains("ECHO_TEST"));
    assert_eq!(open.get("/api?env=true").json()["environ"]["ECHO_TEST"], "a=b");
}

#[test]
fn bench_is_one_byte() {
    let echo = Echo::start(&[]);
    for request in ["GET /bench", "POST /bench"] {
        let answer = echo.ask(&format!("{request} HTTP/1.1\r\nhost: foo\r\nconnection: close\r\n\r\n"));
        assert_eq!((answer.text().as_str(), answer.header("content-type")), ("1", Some("text/plain")));
    }
}

#[test]
fn data_has_the_requested_size_and_the_letters_of_whoami() {
    let echo = Echo::start(&[]);
    for (path, length) in [
        ("/data", 1),
        ("/data?size=0", 0),
        ("/data?size=-3", 0),
        ("/data?size=x", 1),
        ("/data?size=513", 513),
        ("/data?size=2&unit=kb", 2048),
        ("/data?size=2&unit=what", 2),
        ("/data?size=3&unit=MB", 3 << 20),
    ] {
        let answer = echo.get(path);
        assert_eq!(answer.body.len(), length, "{path}");
        assert_eq!(answer.header("content-length"), Some(length.to_string().as_str()), "{path}");
    }
    assert_eq!(echo.get("/data?size=40").text(), "|ABCDEFGHIJKLMNOPQRSTUVWXYZ-ABCDEFGHIJK|");
}

#[test]
fn attachment_supports_ranges() {
    let echo = Echo::start(&[]);
    let ask = |range: &str| {
        let head = "GET /data?size=40&attachment=true HTTP/1.1\r\nhost: foo\r\nconnection: close\r\n";
        echo.ask(&format!("{head}{range}\r\n"))
    };
    let whole = ask("");
    assert_eq!((whole.code, whole.body.len()), (200, 40));
    assert_eq!(whole.header("content-disposition"), Some("Attachment"));
    let part = ask("range: bytes=5-9\r\n");
    assert_eq!((part.code, part.text().as_str()), (206, "EFGHI"));
    assert_eq!(part.header("content-range"), Some("bytes 5-9/40"));
    let none = ask("range: bytes=40-\r\n");
    assert_eq!((none.code, none.header("content-range")), (416, Some("bytes */40")));
}

#[test]
fn health_returns_the_code_that_was_set() {
    let echo = Echo::start(&[]);
    let post = |body: &str| {
        let length = body.len();
        let head = format!(
            "POST /health HTTP/1.1\r\nhost: foo\r\ncontent-length: {length}\r\nconnection: close\r\n"
        );
        echo.ask(&format!("{head}\r\n{body}"))
    };
    assert_eq!(echo.get("/health").code, 200);
    assert_eq!(post("503").code, 200);
    let answer = echo.get("/health");
    assert_eq!((answer.code, answer.text().as_str()), (503, ""));
    let error = post("\"200\"");
    assert_eq!(error.code, 400);
    assert_eq!(error.text(), "\"\\\"200\\\"\": expected a status code from 200 to 999\n");
    assert_eq!(echo.get("/health").code, 503);
    // The code does not change the readiness of the service.
    assert_eq!(post("200").code, 200);
    assert_eq!(echo.get("/health").code, 200);
}

#[test]
fn openapi_description_is_served() {
    let answer = Echo::start(&[]).get("/openapi.yaml");
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    assert!(answer.text().starts_with("# ") && answer.text().contains("\nopenapi: 3.1.0\n"));
}

#[test]
fn http2_request_has_the_same_format() {
    let echo = Echo::start(&["--host", "echo-1"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = async |path: &str, body: &'static str| {
        let stream = tokio::net::TcpStream::connect(echo.process.address()).await.unwrap();
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request =
            http::Request::post(format!("http://foo{path}")).header("cookie", "a=1").header("cookie", "b=2");
        let answer = client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        String::from_utf8(body.to_vec()).unwrap()
    };
    let text = runtime.block_on(ask("/x", "hello"));
    let expected = "POST /x HTTP/1.1\r\nHost: foo\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 5\r\n\
                    Cookie: a=1; b=2\r\n\r\nhello";
    assert!(text.ends_with(expected), "{text}");
    assert!(runtime.block_on(ask("/api", "")).contains("\"protocol\":\"HTTP/2.0\""));
}
