//! `cargo xtask new` as a user sees it: what it makes is built, run and routed for real.

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

const LONG: Duration = Duration::from_mins(1);

/// A release build may come first where no binaries are at hand.
const READY: Duration = Duration::from_mins(9);

/// What a checkout has of what `new` looks at or changes, or cargo builds.
const PARTS: [&str; 12] = [
    ".cargo",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "docs",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "sidecar",
    "stacks",
    "tests",
    "xtask",
];

/// A copy of this checkout, without its history.
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

    /// `cargo xtask new` for this checkout.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["new", "--checkout"]).arg(self.path()).args(arguments);
        command
    }

    /// Runs `cargo xtask new`, which must succeed, and returns its stdout.
    fn run_new(&self, arguments: &[&str]) -> String {
        run_ok(&mut self.command(arguments)).unwrap()
    }

    /// Runs `cargo xtask new`, which must fail, and returns its stderr.
    fn error_of_new(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Every file with what is in it.
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

/// A command of cargo that takes from this workspace's target directory what is built there already. Programs have odd
/// names here, so that no user's program is in their place.
fn cargo(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(directory).env("CARGO_TARGET_DIR", target_directory().unwrap());
    run_ok(&mut command).unwrap();
}

#[test]
fn a_service_is_made_built_tested_routed_unrouted_and_removed() {
    let checkout = Checkout::copy();
    let before = checkout.files();
    let said = checkout.run_new(&["made-by-a-test"]);
    assert!(said.contains("services/made-by-a-test") && said.contains("stacks/made-by-a-test.yml"), "{said}");

    cargo(checkout.path(), &["fmt", "--package", "made-by-a-test", "--check"]);
    // Its own tests. The lock file is up to date, as images want it.
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
    let answer = eventually(LONG, || http::get_ok(&url("/answer"))).unwrap();
    assert_eq!((answer.body.as_str(), answer.served_by()), ("42 (from host-1)\n", Some("host-1")));
    assert_eq!(http::get_ok(&url("")).unwrap().body, "answer\nhello\n");
    assert_eq!(http::get(&url("/nobody")).unwrap().served_by(), Some("host-1"));

    assert!(instance.stop().unwrap().success());
    fleet.wait_unrouted(&instance, LONG).unwrap();
    // Its router stays for a while, and nobody is behind it.
    assert_eq!(http::get(&url("/answer")).unwrap().status, 503);

    checkout.run_new(&["made-by-a-test", "--remove"]);
    assert!(checkout.files() == before, "nothing of it is left, and nothing else has changed");
}

#[test]
fn a_repository_of_its_own_is_built_tested_and_a_guest_of_the_demo() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("guest");
    let shown = directory.to_str().unwrap();
    let mut new = Command::new(env!("CARGO_BIN_EXE_xtask"));
    run_ok(new.args(["new", "guest-of-a-test", "--out", shown])).unwrap();
    cargo(&directory, &["fmt", "--check"]);
    cargo(&directory, &["test"]);

    let mut up = Command::new(env!("CARGO_BIN_EXE_xtask"));
    up.args(["up", "--ping", "0", "--hello", "0", "--port", "0", "--with", shown]);
    up.env("CARGO_TARGET_DIR", target_directory().unwrap());
    let options = SpawnOptions { own_group: true, ..SpawnOptions::default() };
    let mut up = Process::spawn("up", &mut up, options).unwrap();
    let line = up.log().wait_for("ready in", READY).unwrap();
    let url = line.split_whitespace().find(|word| word.ends_with("/guest-of-a-test")).unwrap();
    // With what the stack file has for it.
    assert_eq!(http::get_ok(url).unwrap().body, "answer\nhello\n");
    assert!(http::get_ok(&format!("{url}/hello")).unwrap().body.starts_with("world (from guest-of-a-test-"));
    up.signal_group(Signal::INT).unwrap();
    assert!(up.wait(LONG).unwrap().success());
}

#[test]
fn whatever_its_name_it_is_formatted() {
    let home = tempfile::tempdir().unwrap();
    for name in ["w".to_owned(), "w".repeat(63)] {
        let directory = home.path().join(&name);
        let mut new = Command::new(env!("CARGO_BIN_EXE_xtask"));
        run_ok(new.args(["new", &name, "--out"]).arg(&directory)).unwrap();
        cargo(&directory, &["fmt", "--check"]);
    }
}

#[test]
fn a_name_that_does_not_do_changes_nothing() {
    let checkout = Checkout::copy();
    let before = checkout.files();
    for (name, reason) in [
        ("", "is empty"),
        ("Weather", "has 'W'"),
        ("async", "keyword of Rust"),
        ("ping", "it is the package of"),
        ("runtime", "it is the package of"),
        ("traefik", "it is a service of stacks/demo.yml"),
    ] {
        let said = checkout.error_of_new(&[name]);
        assert!(said.contains(&format!("{name:?}")) || said.contains(name), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    let taken = checkout.path().join("docs");
    let said = checkout.error_of_new(&["weather", "--out", taken.to_str().unwrap()]);
    assert!(said.contains("is there already"), "{said}");
    let nowhere = checkout.path().join("nowhere/weather");
    let said = checkout.error_of_new(&["weather", "--out", nowhere.to_str().unwrap()]);
    assert!(said.contains("nowhere: No such file"), "{said}");
    let said = checkout.error_of_new(&["ping", "--remove"]);
    assert!(said.contains("ping is not a service that `cargo xtask new` has made"), "{said}");
    assert!(checkout.files() == before);
}

#[test]
fn only_what_git_has_is_removed_once_it_has_changed() {
    let checkout = Checkout::copy();
    let before = checkout.files();
    checkout.run_new(&["weather"]);
    let changed = |path: &str| {
        let file = checkout.path().join(path);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n")).unwrap();
        let files = checkout.files();
        let said = checkout.error_of_new(&["weather", "--remove"]);
        assert!(said.contains("neither as it was made nor as git has it"), "{said}");
        assert!(checkout.files() == files, "{path}");
        (file, text)
    };
    for path in ["services/weather/src/main.rs", "stacks/weather.yml"] {
        let (file, text) = changed(path);
        fs::write(file, text).unwrap();
    }
    let more = checkout.path().join("services/weather/notes.txt");
    fs::write(&more, "mine").unwrap();
    checkout.error_of_new(&["weather", "--remove"]);
    fs::remove_file(more).unwrap();

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
