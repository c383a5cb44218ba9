//! `cargo xtask release`, in small git repositories.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::process::run_ok;
use tempfile::TempDir;

const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", "[workspace.package]\nversion = \"0.2.0\"\n"),
    ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"hub\"\nversion = \"0.2.0\"\n"),
    ("fuzz/Cargo.lock", "version = 4\n\n[[package]]\nname = \"parse\"\nversion = \"0.2.0\"\n"),
    ("stacks/demo.yml", "image: ${SWARMLINGS_PREFIX:-swarmlings}/hub:${SWARMLINGS_TAG:-0.2.0}\n"),
    ("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n- Pings are faster.\n\n## [0.1.0] - 2026-01-01\n"),
];

struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        for (path, text) in FILES {
            let file = repository.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        for (key, value) in [("user.name", "test"), ("user.email", "test@localhost")] {
            repository.git(&["config", key, value]);
        }
        repository.git(&["add", "."]);
        repository.git(&["commit", "--quiet", "--message", "start"]);
        repository
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        run_ok(Command::new("git").args(arguments).current_dir(self.path())).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["release", "--checkout"]).arg(self.path()).args(arguments);
        command
    }

    /// Runs a command that must fail and change nothing. Returns its error message.
    fn rejected(&self, arguments: &[&str]) -> String {
        let before = self.git(&["log", "--oneline", "--decorate"]);
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(self.git(&["log", "--oneline", "--decorate"]), before);
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn release_sets_versions_dates_the_changelog_commits_and_tags() {
    let repository = Repository::new();
    let output = run_ok(&mut repository.command(&["0.3.0", "--dry-run"])).unwrap();
    for (path, text) in FILES {
        assert!(output.contains(&format!("would change {path}\n")), "{output}");
        assert_eq!(repository.read(path), text, "a dry run changes nothing");
    }
    assert!(output.ends_with("- Pings are faster.\n"), "{output}");
    assert_eq!(repository.git(&["tag"]), "");

    let output = run_ok(&mut repository.command(&["0.3.0"])).unwrap();
    assert!(output.contains("cargo xtask test --all\n"), "{output}");
    for (path, text) in &FILES[..4] {
        assert_eq!(repository.read(path), text.replace("0.2.0", "0.3.0"));
    }
    let changelog = repository.read("CHANGELOG.md");
    assert!(changelog.contains("## [Unreleased]\n\n## [0.3.0] - 20"), "{changelog}");
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
    assert_eq!(
        repository.git(&["log", "-1", "--format=%s %D"]).trim(),
        "Release 0.3.0 HEAD -> main, tag: v0.3.0"
    );
}

#[test]
fn release_that_is_not_ready_is_rejected() {
    let repository = Repository::new();
    for (arguments, message) in [
        (&["0.1.9"][..], "version 0.1.9: the workspace has 0.2.0 already"),
        (&["0.1.9", "--dry-run"], "version 0.1.9: the workspace has 0.2.0 already"),
    ] {
        let error = repository.rejected(arguments);
        assert!(error.contains(message), "{error}");
    }
    repository.git(&["tag", "v0.10.0"]);
    let error = repository.rejected(&["0.9.0"]);
    assert!(error.contains("expected one above the last release, 0.10.0"), "{error}");

    fs::write(repository.path().join("notes"), "").unwrap();
    let error = repository.rejected(&["0.11.0"]);
    assert!(error.contains("there are uncommitted changes") && error.contains("?? notes"), "{error}");
    fs::remove_file(repository.path().join("notes")).unwrap();

    repository.git(&["checkout", "--quiet", "-b", "topic"]);
    let error = repository.rejected(&["0.11.0"]);
    assert!(error.contains("releasing from branch \"topic\""), "{error}");
    repository.git(&["checkout", "--quiet", "main"]);

    run_ok(&mut repository.command(&["0.11.0"])).unwrap();
    let error = repository.rejected(&["0.12.0"]);
    assert!(error.contains("the section `## [Unreleased]` is empty"), "{error}");
}
