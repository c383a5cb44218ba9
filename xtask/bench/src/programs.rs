//! Finding, compiling and running the programs that take part in a benchmark.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use harness::binaries::target_directory;
use serde_json::Value;
use xtask::build::{check, root};
use xtask::needs;

/// Finds a program on PATH.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    needs::find(program).with_context(|| format!("looking for {program}: not on PATH"))
}

/// A file in the sources of this package.
pub(super) fn source(path: &str) -> PathBuf {
    root().join("xtask/bench/src").join(path)
}

/// The directory of the programs that benchmarks compile; created if missing.
pub(super) fn directory() -> Result<PathBuf> {
    let directory = target_directory()?.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    Ok(directory)
}

/// Compiles a C file of this package, and returns the program.
pub(super) fn compile_c(path: &str) -> Result<PathBuf> {
    let source = source(path);
    let program = directory()?.join(source.file_stem().unwrap_or_default());
    check(Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&program).arg(source))?;
    Ok(program)
}

/// Runs `command` without input and returns its standard output.
pub(super) fn stdout(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "running {command:?}: {}: {stderr}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads a number from a JSON report.
pub(super) fn number(report: &Value, pointer: &str) -> Result<f64> {
    let number = report.pointer(pointer).and_then(Value::as_f64);
    number.with_context(|| format!("reading a JSON report: no number at {pointer}"))
}

/// The first line that a program prints about its version, on stdout or stderr.
pub(super) fn version(program: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).output().with_context(|| format!("running {command:?}"))?;
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned();
    ensure!(!line.is_empty(), "running {command:?}: no output");
    Ok(line)
}
