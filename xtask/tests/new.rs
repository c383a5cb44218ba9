//! `cargo xtask new`: the created services are built, run and routed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::binaries::target_directory;
use harness::process::run_ok;
use harness::stack_file::ServiceDefinition;
use harness::{Fleet, Process, Signal, SpawnOptions, eventually, http};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_mins(1);

/// Includes a build, if `SWARMLINGS_BIN_DIR` is not set.
const READY_TIMEOUT: Duration = Duration::from_mins(9);

/// Parts of the checkout that `new` and cargo need.
const PARTS: [&str; 14] = [
    ".cargo",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "docs",
    "lib",
    "load",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "sidecar",
    "stacks",
    "tests",
    "xtask",
];

/// A copy of this checkout, without its git history.
struct Checkout(TempDir);

impl Checkout {
    fn copy() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let parts = PARTS.map(|part| root().join(part));
        run_ok(Command::new("cp").arg("--archive").args(parts).arg(directory.path())).unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn new_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["new", "--checkout"]).arg(self.path()).args(arguments);
        command
    }

    fn run_new(&self, arguments: &[&str]) -> String {
        run_ok(&mut self.new_command(arguments)).unwrap()
    }

    /// Runs a command that must fail. Returns its error message.
    fn fail_new(&self, arguments: &[&str]) -> String {
        let output = self.new_command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The contents of all files.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs cargo with this workspace's target directory, to reuse what is built there. The services in these tests have
/// unusual names, so that they do not replace a user's programs.
fn cargo(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(directory).env("CARGO_TARGET_DIR", target_directory().unwrap());
    run_ok(&mut command).unwrap();
}

#[test]
fn service_is_created_built_tested_routed_and_removed() {
    let checkout = Checkout::copy();
    let before = checkout.files();
    let output = checkout.run_new(&["made-by-a-test"]);
    assert!(output.contains("services/made-by-a-test"), "{output}");
    assert!(output.contains("stacks/made-by-a-test.yml"), "{output}");

    cargo(checkout.path(), &["fmt", "--package", "made-by-a-test", "--check"]);
    // `--locked`: images need a lock file that is up to date.
    cargo(checkout.path(), &["test", "--locked", "--package", "made-by-a-test"]);

    let fleet = Fleet::start().unwrap();
    let program = target_directory().unwrap().join("debug/made-by-a-test");
    let stack = checkout.path().join("stacks/made-by-a-test.yml");
    let declared = ServiceDefinition::read(&stack, "made-by-a-test").unwrap();
    let mut spec = fleet.spec_for(&program, "made-by-a-test", "host-1").unwrap();
    spec.labels = declared.labels_at(spec.address.port());
    spec.environment = declared.environment().to_vec();
    let url = |path: &str| format!("{}/made-by-a-test{path}", fleet.traefik.url());
    assert_eq!(http::get(&url("/answer")).unwrap().status, 404);

    let mut instance = fleet.launch(spec).unwrap();
    fleet.wait_routed([&mut instance]).unwrap();
    let answer = eventually(TIMEOUT, || http::get_ok(&url("/answer"))).unwrap();
    assert_eq!((answer.body.as_str(), answer.served_by()), ("42 (from host-1)\n", Some("host-1")));
    assert_eq!(http::get_ok(&url("")).unwrap().body, "answer\nhello\n");
    assert_eq!(http::get(&url("/unknown")).unwrap().served_by(), Some("host-1"));

    assert!(instance.stop().unwrap().success());
    fleet.wait_unrouted(&instance, TIMEOUT).unwrap();
    // The router remains for a while, without servers.
    assert_eq!(http::get(&url("/answer")).unwrap().status, 503);

    checkout.run_new(&["made-by-a-test", "--remove"]);
    assert!(checkout.files() == before, "all other files are unchanged");
}

#[test]
fn separate_repository_is_created_built_tested_and_routed() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("guest");
    let path = directory.to_str().unwrap();
    let mut new = Command::new(env!("CARGO_BIN_EXE_xtask"));
    run_ok(new.args(["new", "guest-of-a-test", "--out", path])).unwrap();
    cargo(&directory, &["fmt", "--check"]);
    cargo(&directory, &["test"]);

    let mut up = Command::new(env!("CARGO_BIN_EXE_xtask"));
    up.args(["up", "--ping", "0", "--hello", "0", "--port", "0", "--with", path]);
    up.env("CARGO_TARGET_DIR", target_directory().unwrap());
    let options = SpawnOptions { own_group: true, ..SpawnOptions::default() };
    let mut up = Process::spawn("up", &mut up, options).unwrap();
    let line = up.log().wait_for("ready in", READY_TIMEOUT).unwrap();
    let url = line.split_whitespace().find(|word| word.ends_with("/guest-of-a-test")).unwrap();
    // The environment comes from the stack file.
    assert_eq!(http::get_ok(url).unwrap().body, "answer\nhello\n");
    assert!(http::get_ok(&format!("{url}/hello")).unwrap().body.starts_with("world (from guest-of-a-test-"));
    up.signal_group(Signal::INT).unwrap();
    assert!(up.wait(TIMEOUT).unwrap().success());
}

#[test]
fn created_code_is_formatted_for_names_of_any_length() {
    let home = tempfile::tempdir().unwrap();
    for name in ["w".to_owned(), "w".repeat(63)] {
        let directory = home.path().join(&name);
        let mut new = Command::new(env!("CARGO_BIN_EXE_xtask"));
        run_ok(new.args(["new", &name, "--out"]).arg(&directory)).unwrap();
        cargo(&directory, &["fmt", "--check"]);
    }
}

#[test]
fn rejected_name_changes_nothing() {
    let checkout = Checkout::copy();
    let before = checkout.files();
    for (name, reason) in [
        ("", "name is empty"),
        ("Weather", "\"Weather\": expected a-z, 0-9 and hyphens, got 'W'"),
        ("async", "\"async\": it is a keyword of Rust"),
        ("ping", "ping is taken: it is the package in"),
        ("runtime", "runtime is taken: it is the package in"),
        ("traefik", "traefik is taken: it is the package in"),
    ] {
        let error = checkout.fail_new(&[name]);
        assert!(error.contains(reason), "{error}");
    }
    let existing = checkout.path().join("docs");
    let error = checkout.fail_new(&["weather", "--out", existing.to_str().unwrap()]);
    assert!(error.contains("it exists, and is not an empty directory"), "{error}");
    let missing = checkout.path().join("missing/weather");
    let error = checkout.fail_new(&["weather", "--out", missing.to_str().unwrap()]);
    assert!(error.contains("missing: No such file"), "{error}");
    let error = checkout.fail_new(&["ping", "--remove"]);
    assert!(error.contains("ping was not created by `cargo xtask new`"), "{error}");
    assert!(checkout.files() == before);
}

#[test]
fn uncommitted_changes_are_not_removed() {
    let checkout = Checkout::copy();
    let before = checkout.files();
    checkout.run_new(&["weather"]);
    let changed = |path: &str| {
        let file = checkout.path().join(path);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n")).unwrap();
        let files = checkout.files();
        let error = checkout.fail_new(&["weather", "--remove"]);
        assert!(error.contains("has changes that are not committed"), "{error}");
        assert!(checkout.files() == files, "{path}");
        (file, text)
    };
    for path in ["services/weather/src/main.rs", "stacks/weather.yml"] {
        let (file, text) = changed(path);
        fs::write(file, text).unwrap();
    }
    let added = checkout.path().join("services/weather/notes.txt");
    fs::write(&added, "mine").unwrap();
    checkout.fail_new(&["weather", "--remove"]);
    fs::remove_file(added).unwrap();

    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]);
        run_ok(command.args(arguments).current_dir(checkout.path())).unwrap();
    };
    git(&["init", "--quiet"]);
    changed("services/weather/src/main.rs");
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "weather"]);
    checkout.run_new(&["weather", "--remove"]);
    fs::remove_dir_all(checkout.path().join(".git")).unwrap();
    assert!(checkout.files() == before);
}
