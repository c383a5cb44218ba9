use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::process::Echo;

#[test]
fn status_code_is_the_requested_one() {
    let echo = Echo::start(&[]);
    for (path, code, body) in [
        ("/status/200", 200, "200 OK\n"),
        ("/status/503", 503, "503 Service Unavailable\n"),
        ("/status/999", 999, "999\n"),
        ("/status/204", 204, ""),
        ("/status/304", 304, ""),
        ("/status/404%2C404", 404, "404 Not Found\n"),
        ("/status/200:0,418", 418, "418 I'm a teapot\n"),
    ] {
        let answer = echo.get(path);
        assert_eq!((answer.code, answer.text().as_str()), (code, body), "{path}");
    }
    assert_eq!(echo.get("/status/302").header("location"), Some("/"));
    assert!(echo.get("/status/401").header("www-authenticate").is_some());
    // All methods are accepted, with and without a body.
    for method in ["POST", "DELETE", "PATCH", "PURGE"] {
        let request = format!("{method} /status/503 HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n");
        assert_eq!(echo.ask(&format!("{request}connection: close\r\n\r\nhello")).code, 503, "{method}");
    }
}

#[test]
fn status_codes_follow_their_weights() {
    let echo = Echo::start(&[]);
    let mut seen = BTreeMap::new();
    for _ in 0..400 {
        *seen.entry(echo.get("/status/200:3,503").code).or_insert(0) += 1;
    }
    let (&most, &least) = (&seen[&200], &seen[&503]);
    assert!(most + least == 400 && (40..180).contains(&least), "{seen:?}");
}

#[test]
fn unused_request_body_keeps_the_connection_open() {
    let echo = Echo::start(&[]);
    let mut stream = echo.connect();
    for _ in 0..2 {
        stream
            .write_all(b"POST /status/204 HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&head));
    }
}

#[test]
fn responses_take_the_requested_time() {
    let echo = Echo::start(&[]);
    for (path, least, body) in [
        ("/delay/100ms", 100, "after 100ms\n"),
        ("/stream/3?every=50ms", 100, ""),
        ("/sse?count=3&every=50ms", 100, ""),
        ("/drip?numbytes=5&duration=0.1&delay=50ms", 130, "*****"),
        ("/?wait=100ms", 100, ""),
    ] {
        let start = Instant::now();
        let answer = echo.get(path);
        let taken = start.elapsed();
        assert_eq!(answer.code, 200, "{path}");
        assert!(body.is_empty() || answer.text() == body, "{path}: {answer:?}");
        assert!(taken >= Duration::from_millis(least), "{path}: {taken:?}");
    }
    let text = echo.get("/delay/1ms-20ms").text();
    assert!(text.starts_with("after ") && text.ends_with("ms\n"), "{text}");
}

#[test]
fn lines_and_events_are_numbered() {
    let echo = Echo::start(&["--host", "echo-1"]);
    assert_eq!(
        echo.get("/stream/2").text(),
        "{\"id\":0,\"hostname\":\"echo-1\",\"state\":\"serving\"}\n{\"id\":1,\"hostname\":\"echo-1\",\"state\":\"serving\"}\n"
    );
    let request =
        "GET /sse?count=1&every=0 HTTP/1.1\r\nhost: test\r\nlast-event-id: 41\r\nconnection: close\r\n\r\n";
    let answer = echo.ask(request);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.text(), "id: 42\ndata: {\"id\":42,\"hostname\":\"echo-1\",\"state\":\"serving\"}\n\n");
}

#[test]
fn bytes_have_the_requested_size_and_depend_on_the_seed() {
    let echo = Echo::start(&[]);
    let first = echo.get("/bytes/100KB");
    assert_eq!(first.header("content-length"), Some("102400"));
    assert_eq!(first.body.len(), 102_400);
    assert_eq!(echo.get("/bytes/100KB").body, first.body);
    assert_ne!(echo.get("/bytes/100KB?seed=1").body, first.body);
    assert_eq!(echo.get("/bytes/0").body, b"");
    assert_eq!(echo.get("/drip?numbytes=0&duration=0&code=503").code, 503);
}

#[test]
fn invalid_parameters_are_reported() {
    let echo = Echo::start(&["--max-bytes", "1000", "--max-delay", "1s"]);
    for (path, expected) in [
        ("/status/abc", "\"abc\": expected a status code from 200 to 999"),
        ("/status/", "\"\": expected a status code from 200 to 999"),
        ("/status/200:x", "\"200:x\": expected a weight from 0 to 1000000, such as 3 or 0.25"),
        ("/delay/5x", "\"5x\": expected a duration such as 10ms, 1.5s or 1m30s"),
        ("/delay/5", "\"5\": expected seconds, or a duration of at most 1s (--max-delay)"),
        ("/delay/1s-2s", "\"2s\": expected a duration of at most 1s (--max-delay)"),
        ("/?wait=2s", "wait=\"2s\": expected a duration of at most 1s (--max-delay)"),
        (
            "/bytes/1001",
            "\"1001\": expected a size such as 10, 10KB or 1MB of at most 1000 bytes (--max-bytes)",
        ),
        ("/bytes/1?seed=-1", "seed=\"-1\": expected a whole number"),
        ("/data?size=1&unit=KB", "size=\"1\"&unit=\"KB\": expected at most 1000 bytes (--max-bytes)"),
        (
            "/data?size=99999999999999999999",
            "size=\"99999999999999999999\"&unit=\"\": expected at most 1000 bytes",
        ),
        ("/stream/999999", "\"999999\": expected a number of lines from 0 to "),
        (
            "/stream/3?every=501ms",
            "every=\"501ms\": expected a duration of at most 1s (--max-delay) for 3 lines",
        ),
        ("/sse?count=x", "count=\"x\": expected a number of events from 0 to "),
        ("/sse?every=", "every=\"\": expected a duration such as"),
        ("/sse?every=1", "every=\"1\": expected a duration such as"),
        ("/drip?numbytes=1001", "numbytes=\"1001\": expected a size"),
        (
            "/drip?delay=600ms&duration=500ms",
            "duration=\"500ms\": expected a duration of at most 400ms (--max-delay)",
        ),
        ("/drip?code=100", "code=\"100\": expected a status code from 200 to 999"),
    ] {
        let answer = echo.get(path);
        assert_eq!(answer.code, 400, "{path}");
        assert!(answer.text().starts_with(expected), "{path}: {}", answer.text());
    }
    // Without `duration` the rest of the maximum delay is used.
    assert_eq!(echo.get("/drip?delay=1s").code, 200);
}

#[test]
fn large_responses_to_idle_readers_use_little_memory() {
    let echo = Echo::start(&[]);
    echo.get("/data?size=1&unit=MB");
    let before = echo.peak_memory();
    let paths = [
        "/data?size=1&unit=GB",
        "/bytes/1GB",
        "/drip?numbytes=1GB&duration=0",
        "/stream/10000000",
        "/sse?every=0",
    ];
    let clients = paths.map(|path| {
        let mut stream = echo.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        // By now the buffers on the way are full.
        stream.read_exact(&mut vec![0; 1 << 20]).unwrap();
        stream
    });
    let grown = echo.peak_memory() - before;
    assert!(grown < 4 << 20, "{grown} bytes more");
    drop(clients);
}

#[test]
fn headers_are_shown_as_json() {
    let request = "GET /headers HTTP/1.1\r\nhost: test\r\nx-a: 1\r\nx-a: 2\r\nconnection: close\r\n\r\n";
    assert_eq!(
        Echo::start(&[]).ask(request).json(),
        serde_json::json!({"headers": {"Connection": ["close"], "Host": ["test"], "X-A": ["1", "2"]}})
    );
}
