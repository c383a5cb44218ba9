use std::io::Write;
use std::time::{Duration, Instant};

use runtime::{Context, Identity, Request, Response, app_info, text};
use tempfile::NamedTempFile;

use crate::client::{Answer, Client};
use crate::server::{Server, eventually, limits};

fn hello(_: &Request) -> Response {
    text("hello\n")
}

/// A service of slot 2 with an admin port, and the file of its token, `secret`.
struct Guarded {
    server: Server,
    admin: Server,
    _token: NamedTempFile,
}

impl Guarded {
    fn start() -> Self {
        let mut token = NamedTempFile::new().unwrap();
        writeln!(token, "secret").unwrap();
        let identity = Identity { slot: Some("2".to_owned()), ..Identity::from("test-1") };
        let context = Context::new(app_info!("A service under test"), identity, limits())
            .with_admin_token_file(token.path());
        let server = Server::with_context(&context, hello);
        Self { admin: Server::admin(&context), server, _token: token }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        ask(&self.admin, method, path, &format!("authorization: Bearer {token}\r\n"), body)
    }

    fn order(&self, order: &str) -> Answer {
        let answer = self.ask("POST", "/faults", "secret", order);
        assert_eq!(answer.code, 200, "{answer:?}");
        answer
    }

    fn get(&self) -> Answer {
        self.server.connect().get("/")
    }
}

fn ask(admin: &Server, method: &str, path: &str, header: &str, body: &str) -> Answer {
    let mut client: Client = admin.connect();
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\n{header}content-length: {length}\r\n\r\n{body}"
    ));
    client.answer()
}

#[test]
fn a_fault_is_answered_instead_of_the_service_shown_everywhere_and_ended() {
    let guarded = Guarded::start();
    let answer = guarded.order(r#"{"status":503,"for":"1h","slot":2}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.body.starts_with("{\"rate\":1,\"status\":503,\"for\":\""), "{answer:?}");

    let answer = guarded.get();
    assert_eq!((answer.code, answer.header("x-served-by")), (503, Some("test-1")));
    assert_eq!(guarded.server.metric("swarmlings_fault_active{fault=\"requests\"}").as_deref(), Some("1"));
    assert_eq!(guarded.server.metric("swarmlings_faults_injected_total").as_deref(), Some("1"));
    let ready = guarded.admin.connect().get("/readyz");
    assert_eq!(ready.code, 200, "whoever probes is told, and not harmed");
    assert!(
        ready.body.starts_with("ready\nfault: 100 % of requests are answered with 503, for "),
        "{ready:?}"
    );

    assert_eq!(guarded.ask("DELETE", "/faults", "secret", "").body, "null\n");
    assert_eq!(guarded.get().body, "hello\n");
    assert_eq!(guarded.admin.connect().get("/readyz").body, "ready\n");
}

#[test]
fn a_fault_ends_by_itself() {
    let guarded = Guarded::start();
    guarded.order(r#"{"status":500,"for":"30ms"}"#);
    eventually("the fault is over", || guarded.get().code == 200);
    assert_eq!(guarded.admin.connect().get("/faults").body, "null\n");
}

#[test]
fn a_delay_comes_before_the_services_own_answer() {
    let guarded = Guarded::start();
    guarded.order(r#"{"delay":"50ms","for":"1h"}"#);
    let start = Instant::now();
    assert_eq!(guarded.get().body, "hello\n");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn another_slots_fault_changes_nothing() {
    let guarded = Guarded::start();
    let answer = guarded.order(r#"{"status":503,"for":"1h","slot":"1"}"#);
    assert_eq!(answer.body, "this is slot 2, not 1: nothing is changed\n");
    assert_eq!(guarded.get().code, 200);
}

#[test]
fn only_whoever_knows_the_token_can_change_anything() {
    let guarded = Guarded::start();
    for (method, path) in [("POST", "/faults"), ("DELETE", "/faults"), ("PUT", "/log-level")] {
        let refused = guarded.ask(method, path, "guess", r#"{"status":503,"for":"1h"}"#);
        assert_eq!(
            (refused.code, refused.header("www-authenticate")),
            (401, Some("Bearer")),
            "{method} {path}"
        );
        assert_eq!(ask(&guarded.admin, method, path, "", "").code, 401, "{method} {path}");
    }
    // Without a token there is nobody who could know it.
    let server = Server::start(limits(), hello);
    let admin = Server::admin(&server.context);
    let refused = ask(&admin, "POST", "/faults", "", r#"{"status":503,"for":"1h"}"#);
    assert!(refused.code == 403 && refused.body.contains("--admin-token-file"), "{refused:?}");
    assert_eq!(admin.connect().get("/faults").body, "null\n", "but anybody may look");
}

#[test]
fn what_is_wrong_with_an_order_is_named_and_nothing_changed() {
    let guarded = Guarded::start();
    let refused = guarded.ask("POST", "/faults", "secret", r#"{"rate":2,"status":503,"for":"1h"}"#);
    assert_eq!((refused.code, &*refused.body), (400, "rate is 2, but a number from 0 to 1 is expected\n"));
    let refused = guarded.ask("PUT", "/log-level", "secret", "loud");
    assert!(refused.code == 400 && refused.body.starts_with("\"loud\": one of error"), "{refused:?}");
    let refused = guarded.ask("PATCH", "/faults", "secret", "");
    assert_eq!((refused.code, refused.header("allow")), (405, Some("GET, HEAD, POST, DELETE")));
    assert_eq!(guarded.get().code, 200);
}
