use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::process::{Answer, Echo};

/// All values of a response header.
fn values<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

#[test]
fn query_changes_the_response_of_every_handler() {
    let echo = Echo::start(&["--host", "echo-1"]);
    for path in [
        "/",
        "/any/path",
        "/api",
        "/bench",
        "/data?size=5",
        "/echo",
        "/health",
        "/openapi.yaml",
        "/status/200",
        "/delay/0",
        "/bytes/10",
        "/stream/2",
        "/sse?count=1&every=0",
        "/headers",
        "/response-headers",
        "/drip?duration=0",
        "/hops",
    ] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let query = "delay=50ms&status=418&header=x-a:1&header=x-a:2&header=date:never";
        let start = Instant::now();
        let answer = echo.get(&format!("{path}{separator}{query}"));
        assert!(start.elapsed() >= Duration::from_millis(50), "{path}");
        assert_eq!(answer.code, 418, "{path}: {answer:?}");
        assert_eq!(values(&answer, "x-a"), ["1", "2"], "{path}: {answer:?}");
        assert_eq!(values(&answer, "date"), ["never"], "{path}: {answer:?}");
        assert_eq!(values(&answer, "x-served-by"), ["echo-1"], "{path}");
        assert!(!answer.body.is_empty() || path == "/health", "{path}");
    }
}

#[test]
fn path_and_query_combine() {
    let echo = Echo::start(&[]);
    let answer = echo.get("/delay/1ms?status=503");
    assert_eq!((answer.code, answer.text().as_str()), (503, "after 1ms\n"));
    let answer = echo.get("/bytes/1KB?status=502&header=content-type:image/png");
    assert_eq!((answer.code, answer.body.len()), (502, 1024));
    assert_eq!(values(&answer, "content-type"), ["image/png"]);
    let answer = echo.get("/status/302?header=location:/b");
    assert_eq!((answer.code, values(&answer, "location")), (302, vec!["/b"]));
    let answer = echo.get("/bytes/10?status=206");
    assert_eq!(values(&answer, "content-range"), ["bytes 0-9/10"]);
    assert_eq!(echo.get("/?status=200:0,204").body, b"");
}

#[test]
fn error_is_not_overridden() {
    let echo = Echo::start(&["--max-delay", "1s"]);
    for path in ["/bytes/x?status=200", "/?wait=2s&status=200", "/status/x?status=200"] {
        assert_eq!(echo.get(path).code, 400, "{path}");
    }
    // A request has the maximum delay once.
    for path in ["/delay/600ms?delay=500ms", "/?wait=600ms&delay=500ms", "/sse?delay=2s"] {
        let answer = echo.get(path);
        assert_eq!(answer.code, 400, "{path}");
        assert!(answer.text().contains("(--max-delay)"), "{path}: {}", answer.text());
    }
}

#[test]
fn response_headers_are_those_of_the_query() {
    let echo = Echo::start(&[]);
    let answer = echo.get("/response-headers?X-A=1&x-a=a%20b&Set-Cookie=c%3D1&x-b");
    assert_eq!(answer.code, 200);
    assert_eq!(values(&answer, "x-a"), ["1", "a b"]);
    assert_eq!(values(&answer, "set-cookie"), ["c=1"]);
    assert_eq!(
        answer.json(),
        serde_json::json!({"headers": {"X-A": ["1", "a b"], "Set-Cookie": ["c=1"], "X-B": [""]}})
    );
    for (query, error) in [
        (
            "Connection=close",
            "\"Connection\": this header cannot be set: it would break the connection, hide the task or expose credentials\n",
        ),
        (
            "X-Served-By=me",
            "\"X-Served-By\": this header cannot be set: it would break the connection, hide the task or expose credentials\n",
        ),
        ("a%20b=1", "\"a b\": expected a header name\n"),
        ("=1", "\"\": expected a header name\n"),
        ("a=1%0Ab:2", "a:\"1\\nb:2\": expected a header value without control characters\n"),
    ] {
        let answer = echo.get(&format!("/response-headers?{query}"));
        assert_eq!((answer.code, answer.text().as_str()), (400, error), "{query}");
    }
}

#[test]
fn headers_that_identify_the_task_cannot_be_set() {
    let echo = Echo::start(&["--task", "echo.1.abc", "--slot", "1", "--node", "leader"]);
    let answer = echo.get("/bench");
    let lines = answer.head.lines().filter(|line| line.starts_with("x-"));
    let names: Vec<_> = lines.filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        assert_eq!(echo.get(&format!("/?header={name}:1")).code, 400, "{name}");
    }
}

#[test]
fn connection_stays_usable_after_an_invalid_parameter() {
    let echo = Echo::start(&[]);
    let mut stream = echo.connect();
    let request = "POST /?status=x HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n";
    write!(stream, "{request}\r\nhello{request}connection: close\r\n\r\nhello").unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).unwrap();
    assert_eq!(both.matches("HTTP/1.1 400 Bad Request\r\n").count(), 2, "{both}");
}

#[test]
fn status_of_status_has_the_required_headers() {
    let echo = Echo::start(&[]);
    for (code, name, value) in [
        (206, "content-range", "bytes 0-19/20"),
        (405, "allow", ""),
        (416, "content-range", "bytes */0"),
        (426, "upgrade", "websocket"),
        (401, "www-authenticate", "Basic realm=\"echo\""),
        (407, "proxy-authenticate", "Basic realm=\"echo\""),
    ] {
        let answer = echo.get(&format!("/status/{code}"));
        assert_eq!((answer.code, values(&answer, name)), (code, vec![value]), "{answer:?}");
    }
    // Without `connection: close` in the request, hyper sends the header of the response.
    let mut stream = echo.connect();
    write!(stream, "GET /status/426 HTTP/1.1\r\nhost: test\r\n\r\nGET /close HTTP/1.1\r\nhost: test\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("\r\nconnection: Upgrade\r\n"), "{text}");
}

#[test]
fn default_status_is_that_of_whoami() {
    let echo = Echo::start(&["--default-status", "503"]);
    for (path, code) in [
        ("/", 503),
        ("/any/path", 503),
        ("/?status=200", 200),
        ("/?wait=1h", 400),
        ("/bench", 200),
        ("/health", 200),
        ("/status/404", 404),
    ] {
        assert_eq!(echo.get(path).code, code, "{path}");
    }
    assert!(echo.get("/").text().starts_with("Hostname: "));
}
