//! Fuzz targets in fuzz/. The pinned toolchain builds them for libFuzzer, with a C++ compiler, but without cargo-fuzz or a
//! nightly toolchain. There is no address sanitizer; the code under test is safe Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::binaries::target_directory;
use harness::{Process, SpawnOptions, eventually};

use crate::build::{build_messages, cargo, executable, root};
use crate::needs;

/// Coverage instrumentation for libFuzzer; the same flags as in cargo-fuzz.
const FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Dwarnings",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Extra time for a target to stop on a busy machine.
const STOP_TIMEOUT: Duration = Duration::from_mins(5);

/// Number of lines of libFuzzer's log that a failure shows.
const TAIL: usize = 40;

/// Fuzz targets that run in sequence, in the background. Dropping it stops them.
pub(crate) struct Fuzzing {
    stop: Arc<AtomicBool>,
    runs: Option<JoinHandle<Result<()>>>,
}

/// Builds all targets, and starts those with `filter` in their names, each for `seconds`.
pub(crate) fn start(seconds: u32, filter: Option<&str>) -> Result<Fuzzing> {
    let mut targets = build()?;
    targets.retain(|target| filter.is_none_or(|text| name(target).contains(text)));
    Ok(Fuzzing::start(targets, seconds))
}

impl Fuzzing {
    fn start(targets: Vec<PathBuf>, seconds: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let runs =
            thread::spawn(move || targets.iter().try_for_each(|target| run(target, seconds, &stopped)));
        Self { stop, runs: Some(runs) }
    }

    /// Waits until all targets have run.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.runs.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            _ => bail!("the thread that runs the fuzz targets panicked"),
        }
    }
}

impl Drop for Fuzzing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(runs) = self.runs.take() {
            // Another step has already failed.
            let _ = runs.join();
        }
    }
}

fn build() -> Result<Vec<PathBuf>> {
    let mut command = cargo("build");
    command.args(["--locked", "--manifest-path", "fuzz/Cargo.toml", "--bins"]);
    // With `--target`, the flags do not apply to build scripts and macros.
    command.args(["--target", &needs::host()?]).arg("--target-dir").arg(home()?);
    // Takes precedence over the user's flags.
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    let messages = build_messages(command.arg("--release")).context("building fuzz targets")?;
    Ok(messages.iter().filter_map(executable).collect())
}

fn run(target: &Path, seconds: u32, stop: &AtomicBool) -> Result<()> {
    let (name, home) = (name(target), home()?);
    let (corpus, findings) = (home.join("corpus").join(&name), home.join("findings").join(&name));
    for directory in [&corpus, &findings] {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    let mut command = Command::new("nice");
    // A backtrace would push the panic message out of the log's tail.
    command.env("RUST_BACKTRACE", "0");
    command.args(["-n", "19"]).arg(target).arg(format!("-max_total_time={seconds}"));
    // An input that takes longer than the timeout counts as a failure.
    command.args(["-timeout=60", "-max_len=4096", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    command.arg(format!("-artifact_prefix={}/", findings.display()));
    // libFuzzer writes new inputs to the first directory.
    command.arg(corpus).arg(root().join("fuzz/seeds").join(&name));
    let mut process = Process::spawn(&name, &mut command, SpawnOptions::default())?;
    let limit = Duration::from_secs(seconds.into()) + STOP_TIMEOUT;
    let ended = eventually(limit, || {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        process.try_wait()?.map(Some).context("it is still running")
    });
    let Some(status) = ended.with_context(|| format!("waiting for fuzz target {name}"))? else {
        return Ok(());
    };
    process.log().wait_for_end(limit)?;
    let log = process.log();
    ensure!(
        status.success(),
        "fuzz target {name} failed ({status}); to reproduce it, run {} with the file in this log:\n{}",
        target.display(),
        log.tail(TAIL)
    );
    let inputs = log
        .lines()
        .into_iter()
        .find_map(|line| Some(line.strip_prefix("stat::number_of_executed_units:")?.trim().to_owned()));
    eprintln!("fuzz target {name}: {} inputs, no failure", inputs.as_deref().unwrap_or("?"));
    Ok(())
}

fn name(target: &Path) -> String {
    target.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn home() -> Result<PathBuf> {
    Ok(target_directory()?.join("fuzz"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Instant;

    use super::*;
    use crate::build::check;

    /// A shell script that replaces a fuzz target.
    fn script(directory: &Path, text: &str) -> PathBuf {
        let (source, path) = (directory.join("source"), directory.join("scripted"));
        fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
        // Written by another process: a child that another thread forks at this moment would inherit the open file, and
        // the kernel does not execute a file that is open for writing.
        check(Command::new("install").args(["-m", "755"]).arg(source).arg(&path)).unwrap();
        path
    }

    #[test]
    fn failed_target_shows_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let target = script(directory.path(), "echo panicked at x.rs:1; exit 77");
        let error = Fuzzing::start(vec![target], 1).finish().unwrap_err().to_string();
        assert!(error.contains("scripted failed") && error.contains("x.rs:1"), "{error}");
        let target = script(directory.path(), "exit 0");
        Fuzzing::start(vec![target], 1).finish().unwrap();
    }

    #[test]
    fn targets_stop_when_another_step_fails() {
        let directory = tempfile::tempdir().unwrap();
        let began = directory.path().join("began");
        let target = script(directory.path(), &format!("touch {}; sleep 600", began.display()));
        let fuzzing = Fuzzing::start(vec![target.clone(), target], 600);
        eventually(Duration::from_secs(20), || began.is_file()).unwrap();
        let start = Instant::now();
        drop(fuzzing);
        assert!(start.elapsed() < Duration::from_mins(5), "they are still running");
    }

    fn names(directory: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_fuzz_target_is_in_the_manifest_and_has_seeds() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        let files = names("fuzz/fuzz_targets");
        for file in &files {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{file}.rs\"")), "{file}");
        }
        assert_eq!(names("fuzz/seeds"), files);
    }
}
