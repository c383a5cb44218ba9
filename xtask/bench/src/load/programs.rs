//! The programs that send, and the one that answers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use harness::Binaries;
use harness::binaries::target_directory;
use xtask::build::{self, check, root};
use xtask::needs;

use crate::services::programs::found;

/// Programs, and Debian's and Ubuntu's packages that have them.
const PROGRAMS: [(&str, &str); 4] =
    [("hey", "hey"), ("wrk", "wrk"), ("cc", "gcc"), ("taskset", "util-linux")];

/// The release of oha that is measured.
const OHA: &str = "1.16.0";

/// All of them, ready to run.
pub(super) struct Programs {
    pub(super) ping: PathBuf,
    pub(super) load: PathBuf,
    pub(super) oha: PathBuf,
    pub(super) hey: PathBuf,
    pub(super) wrk: PathBuf,
    /// What tells latency at a rate best.
    pub(super) rate: PathBuf,
}

impl Programs {
    /// Installs what is missing, and builds what is built here: ping and load as they are in images, unless the
    /// environment names others.
    pub(super) fn provide() -> Result<Self> {
        needs::programs(&PROGRAMS, false)?;
        let target = build::musl_target();
        needs::target(&target)?;
        let binaries =
            Binaries::named()?.map_or_else(|| build::release_of(&["ping", "load"], Some(&target)), Ok)?;
        let directory = target_directory()?.join("bench");
        fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
        let rate = directory.join("rate");
        let source = root().join("xtask/bench/src/load/rate.c");
        check(Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&rate).arg(source))?;
        Ok(Self {
            ping: binaries.path("ping"),
            load: binaries.path("load"),
            oha: needs::installed("oha", OHA)?.join("oha"),
            hey: found("hey")?,
            wrk: found("wrk")?,
            rate,
        })
    }
}
