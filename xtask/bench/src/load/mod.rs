//! `cargo xtask bench load`: throughput of the load tester on one core, and accuracy of its latencies, compared with other load
//! generators.

use std::path::PathBuf;

use anyhow::Result;
use harness::Binaries;
use xtask::build;
use xtask::needs;

use crate::machine;
use crate::programs::{compile_c, version};
use crate::section::Args;
use crate::wrk::wrk_version;

mod generator;
mod measure;
mod report;

/// Programs, and the Debian and Ubuntu packages that contain them.
const PROGRAMS: [(&str, &str); 4] =
    [("hey", "hey"), ("wrk", "wrk"), ("cc", "gcc"), ("taskset", "util-linux")];

/// The version of oha.
const OHA: &str = "1.16.0";

/// Paths of all programs, ready to run.
struct Programs {
    ping: PathBuf,
    load: PathBuf,
    oha: PathBuf,
    /// `rate.c`, compiled.
    epoll_loop: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = Programs::prepare()?;
    let results = measure::all(&programs, args)?;
    args.publish("load", &report::section(&programs.description()?, args, &results))
}

impl Programs {
    /// Installs missing programs, and compiles ping and load as they are in images, unless the environment names
    /// binaries.
    fn prepare() -> Result<Self> {
        needs::programs(&PROGRAMS, false)?;
        let target = build::musl_target();
        needs::target(&target)?;
        let binaries = Binaries::from_environment()?
            .map_or_else(|| build::release_of(&["ping", "load"], Some(&target)), Ok)?;
        Ok(Self {
            ping: binaries.path("ping"),
            load: binaries.path("load"),
            oha: needs::installed("oha", OHA)?.join("oha"),
            epoll_loop: compile_c("load/rate.c")?,
        })
    }

    /// Describes machine and versions as a Markdown list.
    fn description(&self) -> Result<String> {
        let [load, oha] = [&self.load, &self.oha].map(|program| version(program, &["--version"]));
        let versions = format!("{}, {}, {}, hey (Debian's)", load?, oha?, wrk_version()?);
        machine::description("ping", &[versions])
    }
}
