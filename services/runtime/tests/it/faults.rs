use std::io::Write;
use std::time::{Duration, Instant};

use runtime::{Context, Identity, Request, Response, app_info, text};
use tempfile::NamedTempFile;

use crate::client::{Client, RawResponse};
use crate::server::{Server, eventually, limits};

fn hello(_: &Request) -> Response {
    text("hello\n")
}

/// A service in slot 2 with an admin port and the token `secret`.
struct Fixture {
    server: Server,
    admin: Server,
    _token: NamedTempFile,
}

impl Fixture {
    fn start() -> Self {
        let mut token = NamedTempFile::new().unwrap();
        writeln!(token, "secret").unwrap();
        let identity = Identity { slot: Some("2".to_owned()), ..Identity::from("test-1") };
        let context = Context::new(app_info!("A service under test"), identity, limits())
            .with_admin_token_file(token.path());
        let server = Server::with_context(&context, hello);
        Self { admin: Server::admin(&context), server, _token: token }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> RawResponse {
        ask(&self.admin, method, path, &format!("authorization: Bearer {token}\r\n"), body)
    }

    fn start_fault(&self, json: &str) -> RawResponse {
        let response = self.ask("POST", "/faults", "secret", json);
        assert_eq!(response.code, 200, "{response:?}");
        response
    }

    fn get(&self) -> RawResponse {
        self.server.connect().get("/")
    }
}

fn ask(admin: &Server, method: &str, path: &str, header: &str, body: &str) -> RawResponse {
    let mut client: Client = admin.connect();
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\n{header}content-length: {length}\r\n\r\n{body}"
    ));
    client.read_response()
}

#[test]
fn fault_replaces_responses_is_shown_and_can_be_stopped() {
    let fixture = Fixture::start();
    let response = fixture.start_fault(r#"{"status":503,"for":"1h","slot":2}"#);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.body.starts_with("{\"rate\":1,\"status\":503,\"for\":\""), "{response:?}");

    let response = fixture.get();
    assert_eq!((response.code, response.header("x-served-by")), (503, Some("test-1")));
    assert_eq!(fixture.server.metric("swarmlings_fault_active{fault=\"requests\"}").as_deref(), Some("1"));
    assert_eq!(fixture.server.metric("swarmlings_faults_injected_total").as_deref(), Some("1"));
    let ready = fixture.admin.connect().get("/readyz");
    assert_eq!(ready.code, 200, "faults do not affect the admin port");
    assert!(ready.body.starts_with("ready\nfault: 100 % of requests get status 503; ends in "), "{ready:?}");

    assert_eq!(fixture.ask("DELETE", "/faults", "secret", "").body, "null\n");
    assert_eq!(fixture.get().body, "hello\n");
    assert_eq!(fixture.admin.connect().get("/readyz").body, "ready\n");
}

#[test]
fn fault_ends_after_its_time() {
    let fixture = Fixture::start();
    fixture.start_fault(r#"{"status":500,"for":"30ms"}"#);
    eventually("the fault ends", || fixture.get().code == 200);
    assert_eq!(fixture.admin.connect().get("/faults").body, "null\n");
}

#[test]
fn delay_precedes_the_services_response() {
    let fixture = Fixture::start();
    fixture.start_fault(r#"{"delay":"50ms","for":"1h"}"#);
    let start = Instant::now();
    assert_eq!(fixture.get().body, "hello\n");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn fault_for_another_slot_is_ignored() {
    let fixture = Fixture::start();
    let response = fixture.start_fault(r#"{"status":503,"for":"1h","slot":"1"}"#);
    assert_eq!(response.body, "fault not started: it is for slot 1, and this is slot 2\n");
    assert_eq!(fixture.get().code, 200);
}

#[test]
fn writes_require_the_token() {
    let fixture = Fixture::start();
    for (method, path) in [("POST", "/faults"), ("DELETE", "/faults"), ("PUT", "/log-level")] {
        let refused = fixture.ask(method, path, "guess", r#"{"status":503,"for":"1h"}"#);
        assert_eq!(
            (refused.code, refused.header("www-authenticate")),
            (401, Some("Bearer")),
            "{method} {path}"
        );
        assert_eq!(ask(&fixture.admin, method, path, "", "").code, 401, "{method} {path}");
    }
    // Without a token file writes are disabled.
    let server = Server::start(limits(), hello);
    let admin = Server::admin(&server.context);
    let refused = ask(&admin, "POST", "/faults", "", r#"{"status":503,"for":"1h"}"#);
    assert!(refused.code == 403 && refused.body.contains("--admin-token-file"), "{refused:?}");
    assert_eq!(admin.connect().get("/faults").body, "null\n", "reads need no token");
}

#[test]
fn invalid_fault_is_rejected_with_the_field() {
    let fixture = Fixture::start();
    let refused = fixture.ask("POST", "/faults", "secret", r#"{"rate":2,"status":503,"for":"1h"}"#);
    assert_eq!((refused.code, &*refused.body), (400, "rate: expected a number from 0 to 1, got 2\n"));
    let refused = fixture.ask("PUT", "/log-level", "secret", "loud");
    assert!(refused.code == 400 && refused.body.starts_with("setting log level \"loud\": "), "{refused:?}");
    let refused = fixture.ask("PATCH", "/faults", "secret", "");
    assert_eq!((refused.code, refused.header("allow")), (405, Some("GET, HEAD, POST, DELETE")));
    assert_eq!(fixture.get().code, 200);
}
