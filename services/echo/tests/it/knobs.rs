use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::process::Echo;

#[test]
fn a_status_is_answered_as_asked() {
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
    // All methods are answered, with and without a body.
    for method in ["POST", "DELETE", "PATCH", "PURGE"] {
        let request = format!("{method} /status/503 HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n");
        assert_eq!(echo.ask(&format!("{request}connection: close\r\n\r\nhello")).code, 503, "{method}");
    }
}

#[test]
fn statuses_share_answers_by_their_weights() {
    let echo = Echo::start(&[]);
    let mut seen = BTreeMap::new();
    for _ in 0..400 {
        *seen.entry(echo.get("/status/200:3,503").code).or_insert(0) += 1;
    }
    let (&most, &least) = (&seen[&200], &seen[&503]);
    assert!(most + least == 400 && (40..180).contains(&least), "{seen:?}");
}

#[test]
fn a_body_that_nobody_asks_for_does_not_cost_the_connection() {
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
fn answers_take_their_time() {
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
fn bytes_are_as_many_as_asked_and_the_same_again() {
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
fn what_cannot_be_is_named_with_what_was_expected() {
    let echo = Echo::start(&["--max-bytes", "1000", "--max-delay", "1s"]);
    for (path, fault) in [
        ("/status/abc", "\"abc\": a status code from 200 to 999 is expected"),
        ("/status/", "\"\": a status code from 200 to 999 is expected"),
        ("/status/200:x", "\"200:x\": a weight from 0 to 1000000, such as 3 or 0.25, is expected"),
        ("/delay/5", "\"5\": expected a duration such as 10ms, 1.5s or 1m30s"),
        ("/delay/1s-2s", "\"2s\": a time of at most 1s (--max-delay) is expected"),
        ("/?wait=2s", "wait=\"2s\": a time of at most 1s (--max-delay) is expected"),
        (
            "/bytes/1001",
            "\"1001\": a size such as 10, 10KB or 1MB of at most 1000 bytes (--max-bytes) is expected",
        ),
        ("/bytes/1?seed=-1", "seed=\"-1\": a whole number is expected"),
        ("/data?size=1&unit=KB", "size=\"1\"&unit=\"KB\": at most 1000 bytes (--max-bytes) are expected"),
        ("/data?size=99999999999999999999", "size=\"99999999999999999999\"&unit=\"\": at most 1000 bytes"),
        ("/stream/999999", "\"999999\": a number of lines from 0 to "),
        (
            "/stream/3?every=501ms",
            "every=\"501ms\": for 3 lines a time of at most 1s (--max-delay) is expected",
        ),
        ("/sse?count=x", "count=\"x\": a number of events from 0 to "),
        ("/sse?every=", "every=\"\": expected a duration such as"),
        ("/sse?every=1", "every=\"1\": expected a duration such as"),
        ("/drip?numbytes=1001", "numbytes=\"1001\": a size"),
        (
            "/drip?delay=600ms&duration=500ms",
            "duration=\"500ms\": a time of at most 400ms (--max-delay) is expected",
        ),
        ("/drip?code=100", "code=\"100\": a status code from 200 to 999 is expected"),
    ] {
        let answer = echo.get(path);
        assert_eq!(answer.code, 400, "{path}");
        assert!(answer.text().starts_with(fault), "{path}: {}", answer.text());
    }
    // Without a time of its own it takes what is left.
    assert_eq!(echo.get("/drip?delay=1s").code, 200);
}

#[test]
fn large_answers_to_idle_readers_cost_next_to_nothing() {
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
        // As much as fits on the way, which nobody takes, was made by then.
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
