//! `hub labels` with the article's stack file and with invalid input.

use std::fs;
use std::io::Write;

use std::process::{Command, Output, Stdio};

use harness::{Binaries, Fleet, http};

use crate::v1::article;

/// Runs `hub labels` with `input` on stdin.
fn labels(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(Binaries::find().unwrap().path("hub"));
    command.arg("labels").args(arguments);
    let mut tool =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // With bad usage it exits without reading stdin.
    let _ = tool.stdin.take().unwrap().write_all(input.as_bytes());
    tool.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn translated_stack_file_of_the_article_is_routed() {
    let output = labels(&["--stack", "demo", &article().to_string_lossy()], "");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("stack.yml");
    fs::write(&file, &output.stdout).unwrap();

    let fleet = Fleet::start().unwrap();
    let mut instances: Vec<_> = ["ping", "hello"]
        .into_iter()
        .map(|service| {
            let spec = fleet.spec_from_stack(&file, service, service).unwrap();
            assert!(spec.labels.iter().all(|(key, _)| !key.contains(".frontend.")), "{:?}", spec.labels);
            fleet.launch(spec).unwrap()
        })
        .collect();
    fleet.wait_routed(&mut instances).unwrap();
    let get = |path: &str| http::get_ok(&format!("{}{path}", fleet.traefik.url())).unwrap().body;
    assert_eq!(get("/ping"), "Pong from ping\n");
    assert_eq!(get("/hello/viktor"), "Hello, Viktor! (from hello)\n");
}

#[test]
fn stack_file_is_translated_service_by_service() {
    let file = "
x-common: &common
  traefik.port: 80
services:
  web:
    labels:
      <<: *common
      traefik.frontend.rule: 'Host:${HOST},b.lan;Path:/x'
      traefik.frontend.auth.basic.users: 'a:$$apr1$$x'
      traefik.tags: a
      com.example.own: 'yes'
";
    let output = labels(&[], file);
    let expected = "services:
  web:
    labels:
      # traefik.tags: ";
    let written = text(&output.stdout);
    assert!(output.status.success() && written.starts_with(expected), "{output:?}");
    for line in [
        "com.example.own: 'yes'",
        "traefik.http.middlewares.web--basicauth.basicauth.users: 'a:$$apr1$$x'",
        "traefik.http.routers.web.rule: '(Host(`${HOST}`) || Host(`b.lan`)) && Path(`/x`)'",
        "traefik.http.services.web.loadbalancer.server.port: '80'",
    ] {
        assert!(written.contains(&format!("      {line}\n")), "{line}\n{written}");
    }
    assert!(!written.contains("priority:"), "the length of the rule is unknown: {written}");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("standard input: services.web.labels: warning: traefik.tags: "), "{stderr}");
}

#[test]
fn list_of_labels_is_translated() {
    let lines = "traefik.port=80\ntraefik.frontend.rule=PathPrefixStrip:/a$\ncom.example=1\n";
    let output = labels(&["--format", "list", "--service", "demo_a"], lines);
    let expected = "com.example=1
traefik.http.middlewares.demo-a--stripprefix.stripprefix.prefixes=/a$
traefik.http.routers.demo-a.middlewares=demo-a--stripprefix
traefik.http.routers.demo-a.priority=19
traefik.http.routers.demo-a.rule=PathPrefix(`/a$`)
traefik.http.routers.demo-a.service=demo-a
traefik.http.services.demo-a.loadbalancer.server.port=80
";
    assert_eq!(text(&output.stdout), expected);
    // The output of docker inspect.
    let json = "{\"traefik.port\": \"80\", \"traefik.frontend.rule\": \"PathPrefixStrip:/a$\", \"com.example\": \"1\"}";
    assert_eq!(text(&labels(&["--format", "list", "--service", "demo_a"], json).stdout), expected);
}

#[test]
fn every_error_names_service_and_label() {
    let file = "services:
  a: {deploy: {labels: {traefik.port: x, traefik.frontend.rul: y}}}
  b: {labels: [traefik.http.routers.b.rul=z]}
  c: {labels: [traefik.port=80, 'traefik.frontend.rule=Path:/c']}
";
    let output = labels(&[], file);
    let (written, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for error in [
        "services.a.deploy.labels: error: traefik.port: expected a port",
        "services.a.deploy.labels: error: traefik.frontend.rul: ",
        "services.b.labels: error: traefik.http.routers.b.rul: ",
    ] {
        assert!(stderr.contains(error), "{error}\n{stderr}");
    }
    assert!(written.contains("traefik.http.routers.c.rule: 'Path(`/c`)'"), "{written}");
    assert!(!written.contains("traefik.http.routers.b.rul: 'z'"), "{written}");
}

#[test]
fn bad_usage_exits_64_and_unreadable_file_exits_1() {
    for (arguments, code, message) in [
        (&["--format", "xml"] as &[&str], 64, "--format"),
        (&["--port", "80"], 64, "--port"),
        (&["--default-rule", "{{"], 64, "--default-rule"),
        (&["/nowhere/stack.yml"], 1, "reading /nowhere/stack.yml: no such file or directory"),
        (&["-"], 1, "reading standard input: not valid YAML: "),
    ] {
        let output = labels(arguments, "a: [");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains(message), "{output:?}");
    }
    // Flags of the server may precede the subcommand.
    let hub = Binaries::find().unwrap().path("hub");
    let output = Command::new(hub).args(["--insecure", "labels", "/nowhere"]).output().unwrap();
    assert_eq!(text(&output.stderr), "hub: reading /nowhere: no such file or directory\n");
    let help = text(&labels(&["--help"], "").stdout);
    assert!(help.contains("\nExamples:\n  hub labels stack.yml\n"), "{help}");
    assert!(!help.contains("--token-file"), "{help}");
}
