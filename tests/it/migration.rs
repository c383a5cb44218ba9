//! `hub labels` with the article's stack file and with invalid input.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use harness::{Binaries, Fleet, http};
use yaml_rust2::{Yaml, YamlLoader};

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
fn list_of_labels_is_translated() {
    let lines = "traefik.port=80\ntraefik.frontend.rule=PathPrefixStrip:/a$\ncom.example=1\n";
    let output = labels(&["--service", "demo_a"], lines);
    let expected = "traefik.http.services.demo-a.loadbalancer.server.port=80
traefik.http.middlewares.demo-a--stripprefix.stripprefix.prefixes=/a$
traefik.http.routers.demo-a.middlewares=demo-a--stripprefix
traefik.http.routers.demo-a.priority=19
traefik.http.routers.demo-a.rule=PathPrefix(`/a$`)
traefik.http.routers.demo-a.service=demo-a
com.example=1
";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&labels(&[], expected).stdout), expected);
    // The output of docker inspect.
    let json =
        "{\"traefik.port\":\"80\",\"com.example\":\"1\",\"traefik.frontend.rule\":\"PathPrefix:/a\"}\n";
    let expected = "{\"traefik.http.services.a.loadbalancer.server.port\":\"80\",\"com.example\":\"1\",\
                    \"traefik.http.routers.a.priority\": \"13\",\"traefik.http.routers.a.rule\": \"PathPrefix(`/a`)\",\
                    \"traefik.http.routers.a.service\": \"a\"}\n";
    let output = text(&labels(&["--service", "a"], json).stdout);
    assert_eq!(output.replace(' ', ""), expected.replace(' ', ""));
}

/// Returns the configuration that Compose reads from a file, without its labels, and the labels by service.
fn compose_config(file: &Path) -> (Vec<Yaml>, BTreeMap<String, String>) {
    let mut command = Command::new(harness::compose::PROGRAM.0);
    let output = command.arg("--file").arg(file).arg("config").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut documents = YamlLoader::load_from_str(&text(&output.stdout)).unwrap();
    let mut labels = BTreeMap::new();
    let services = documents[0].as_mut_hash().unwrap().get_mut(&Yaml::String("services".to_owned())).unwrap();
    for (name, service) in services.as_mut_hash().unwrap().iter_mut() {
        let key = Yaml::String("labels".to_owned());
        let service = service.as_mut_hash().unwrap();
        let of_container = service.remove(&key);
        let deploy = service.get_mut(&Yaml::String("deploy".to_owned()));
        let of_service = deploy.and_then(|deploy| deploy.as_mut_hash().unwrap().remove(&key));
        labels.insert(name.as_str().unwrap().to_owned(), format!("{of_container:?} {of_service:?}"));
    }
    (documents, labels)
}

#[test]
fn stack_files_differ_only_in_their_labels() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/labels");
    for version in ["v1", "v2", "v3"] {
        let [old, new] = ["", ".new"].map(|suffix| directory.join(format!("{version}{suffix}.yml")));
        let output = labels(&[&old.to_string_lossy()], "");
        assert_eq!(text(&output.stdout), fs::read_to_string(&new).unwrap(), "{output:?}");
        let again = labels(&[&new.to_string_lossy()], "");
        assert_eq!((text(&again.stdout), again.status.code()), (text(&output.stdout), Some(0)));
        let ((old, old_labels), (new, new_labels)) = (compose_config(&old), compose_config(&new));
        assert_eq!(old, new);
        let unchanged = old_labels.iter().filter(|(name, labels)| new_labels[*name] == **labels);
        let unchanged: Vec<_> = unchanged.map(|(name, _)| name.as_str()).collect();
        let expected: &[&str] = match version {
            "v1" => &["hidden"],
            "v2" => &[],
            _ => &["web"],
        };
        assert_eq!(unchanged, expected, "{version}");
    }
}

#[test]
fn files_are_written_in_place_and_one_bad_file_does_not_stop_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let old = "services:\n  a:\n    labels:\n      - traefik.http.routers.a.rule=Host(`a`,`b`)\n";
    let (first, bad, second) = (write("a.yml", old), write("bad.yml", "a: ["), write("b.yml", old));
    fs::set_permissions(&first, fs::Permissions::from_mode(0o640)).unwrap();
    let link = directory.path().join("link.yml");
    symlink(&first, &link).unwrap();
    let files = [&link, &bad, &second].map(|file| file.to_str().unwrap());
    let diff = labels(&[&["--diff"], &files[..]].concat(), "");
    let shown = text(&diff.stdout);
    assert_eq!(
        shown.matches("\n+      - traefik.http.routers.a.rule=Host(`a`) || Host(`b`)\n").count(),
        2,
        "{shown}"
    );
    assert_eq!(fs::read_to_string(&first).unwrap(), old);

    let output = labels(&[&["--in-place"], &files[..]].concat(), "");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{output:?}");
    assert!(text(&output.stderr).contains("bad.yml: not valid YAML: "), "{output:?}");
    for file in [&first, &second] {
        let new = fs::read_to_string(file).unwrap();
        assert!(
            new.contains("rule=Host(`a`) || Host(`b`)\n      - traefik.http.routers.a.priority=13\n"),
            "{new}"
        );
    }
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(link.is_symlink());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
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
    assert!(written.contains("'traefik.http.routers.c.rule=Path(`/c`) || Path(`/c/`)'"), "{written}");
    assert!(
        written.contains("a: {deploy: {labels: {traefik.port: x, traefik.frontend.rul: y}}}"),
        "{written}"
    );
}

#[test]
fn bad_usage_exits_64_and_unreadable_file_exits_1() {
    for (arguments, code, message) in [
        (&["--format", "xml"] as &[&str], 64, "--format"),
        (&["--in-place"], 64, "--in-place needs a file"),
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
    assert!(help.contains("\nExamples:\n  hub labels --diff stack.yml\n"), "{help}");
    assert!(!help.contains("--token-file"), "{help}");
}
