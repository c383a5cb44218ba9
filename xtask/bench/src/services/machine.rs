//! Where and by what was measured.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use xtask::needs;

use super::programs::{Programs, said};
use super::wrk;
use crate::cores;

/// A list in Markdown: machine, versions, day and command.
pub(super) fn describe(programs: &Programs) -> Result<String> {
    let first = |program: &Path, arguments: &[&str]| said(program, arguments);
    let arguments: Vec<_> = env::args().skip(1).collect();
    let pinned = if cores::count() > 1 {
        "servers on core 0, load on core 1"
    } else {
        "servers and load on the only core, so all figures are those of a crowded machine"
    };
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let lines = [
        format!("- `cargo xtask bench {}`", arguments.join(" ")),
        format!("- {}", first(Path::new("date"), &["-u", "+%F"])?),
        format!("- {}, {} cores; {pinned}", processor()?, cores::count()),
        format!("- Linux {}", read("/proc/sys/kernel/osrelease")?.trim()),
        format!(
            "- {}, {}",
            first(&programs.ping, &["--version"])?,
            first(Path::new(&rustc), &["--version"])?
        ),
        format!("- {}", first(&programs.nginx, &["-v"])?),
        format!("- {}", first(&programs.go_toolchain, &["version"])?),
        format!("- {}", first(&needs::find("cc").unwrap_or_else(|| "cc".into()), &["--version"])?),
        format!("- {}", first(Path::new("python3"), &["--version"])?),
        format!("- wrk {}", wrk::version(&programs.wrk)?),
    ];
    Ok(lines.join("\n") + "\n")
}

/// The processor's name, or its architecture where the kernel has no name for it.
pub(crate) fn processor() -> Result<String> {
    let info = read("/proc/cpuinfo")?;
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(name.map_or(env::consts::ARCH, |(_, name)| name).to_owned())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}
