//! The `docker` client, with the user's `DOCKER_HOST` and contexts.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::eventually::{Outcome, eventually};
use crate::tools;

/// Remedy for a missing client or engine.
const INSTALL: &str = "install Docker, on Debian or Ubuntu with `apt-get install docker.io`";

/// Pause between two checks that ask an engine. Each starts the client.
const PAUSE: Duration = Duration::from_millis(200);

/// Time limit for retries if an object has changed concurrently. Longer than the grace period of a removed stack's tasks.
const OUTDATED_TIMEOUT: Duration = Duration::from_mins(1);

/// Client for one engine.
#[derive(Clone, Debug)]
pub struct Docker {
    program: PathBuf,
    host: Option<OsString>,
}

impl Docker {
    /// Client for the engine that the environment or the client's settings name.
    pub fn from_environment() -> Result<Self> {
        let program =
            tools::on_path("docker").with_context(|| format!("docker not found on PATH: {INSTALL}"))?;
        Ok(Self { program, host: None })
    }

    /// Client for the engine at `host`, such as `unix:///run/docker.sock`.
    pub fn at(host: impl Into<OsString>) -> Result<Self> {
        Ok(Self { host: Some(host.into()), ..Self::from_environment()? })
    }

    /// Address of the engine, unless the environment names it.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()?.to_str()
    }

    /// Returns the command `docker ARGUMENTS`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        if let Some(host) = &self.host {
            // A context overrides a host.
            command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
        }
        command
    }

    /// Returns the command `docker ARGUMENTS` of a client that can build images with `BuildKit`: this one, or the first on
    /// PATH.
    pub fn builder(&self, arguments: &[&str]) -> Result<Command> {
        let others = tools::all_on_path("docker").filter(|program| *program != self.program);
        for program in [self.program.clone()].into_iter().chain(others) {
            let client = Self { program, host: self.host.clone() };
            // Clients before 23 have BuildKit built in.
            let is_builder = client.client_major().is_ok_and(|major| major < 23)
                || client.run(&["buildx", "version"]).is_ok();
            if is_builder {
                let mut command = client.command(arguments);
                command.env("DOCKER_BUILDKIT", "1");
                return Ok(command);
            }
        }
        bail!(
            "{} cannot build images with BuildKit: install the plug-in buildx, on Debian or Ubuntu with \
             `apt-get install docker-buildx`",
            self.program.display()
        )
    }

    /// Runs `docker ARGUMENTS` and returns its stdout without the final newline. Retries if an object was changed
    /// concurrently.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_command(arguments, self.command(arguments))
    }

    /// Like [`Self::run`], for a command with further settings.
    pub fn run_command(&self, arguments: &[&str], mut command: Command) -> Result<String> {
        retry_outdated(OUTDATED_TIMEOUT, || check(arguments, command.output()))
    }

    /// Runs `docker ARGUMENTS` with `input` as its stdin.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let mut command = self.command(arguments);
        let mut run = || -> io::Result<Output> {
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            let stdin = child.stdin.take();
            thread::scope(|scope| {
                // A client that exits before it has read everything reports the reason itself.
                scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
                child.wait_with_output()
            })
        };
        check(arguments, run())
    }

    /// Runs `docker ARGUMENTS` and returns the lines of its stdout.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<String>> {
        Ok(self.run(arguments)?.lines().map(str::to_owned).collect())
    }

    /// Architecture of the engine in Docker's terms, such as `amd64`. Fails with a remedy if no engine is reachable.
    pub fn architecture(&self) -> Result<String> {
        self.run(&["version", "--format", "{{.Server.Arch}}"]).map_err(|error| {
            let text = error.to_string();
            let hint = if text.contains("permission denied") {
                "run this as root or as a member of the group docker"
            } else {
                "start it with `systemctl start docker`, or set DOCKER_HOST to another one"
            };
            anyhow!("no Docker engine is reachable: {hint} ({text})")
        })
    }

    /// Major version of the client, such as 28.
    pub fn client_major(&self) -> Result<u32> {
        // Without an engine the client fails, but prints its own version first.
        let output = self.command(&["version", "--format", "{{.Client.Version}}"]).output();
        let output = output.context("running docker version")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = text.trim().split('.').next().and_then(|major| major.parse().ok());
        major.with_context(|| format!("reading the docker client's version {:?}", text.trim()))
    }
}

fn check(arguments: &[&str], output: io::Result<Output>) -> Result<String> {
    let shown = || format!("docker {}", arguments.iter().take(3).copied().collect::<Vec<_>>().join(" "));
    let output = output.with_context(|| format!("running {}", shown()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", shown(), stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Whether an object has changed between the client's read and its write. Swarm itself changes a service when its update
/// completes. After `docker stack rm` an engine lists the stack's network until its own tasks are gone, and a deployment takes it for
/// an existing one.
fn is_outdated(error: &str) -> bool {
    let lacks_network = error.contains("failed to create service") && error.contains(": network ");
    error.contains("update out of sequence") || lacks_network && error.ends_with(" not found")
}

/// Repeats `run` for up to `timeout` while it fails with an error that [`is_outdated`].
fn retry_outdated(timeout: Duration, mut run: impl FnMut() -> Result<String>) -> Result<String> {
    eventually_on_engine(timeout, || match run() {
        Err(error) if is_outdated(&error.to_string()) => Err(error),
        answer => Ok(answer),
    })?
}

/// Like [`eventually`], with a longer pause, for conditions that start the Docker client.
pub fn eventually_on_engine<O: Outcome>(
    timeout: Duration,
    mut condition: impl FnMut() -> O,
) -> Result<O::Value> {
    let mut pause = Duration::ZERO;
    eventually(timeout, || {
        thread::sleep(pause);
        pause = PAUSE;
        condition()
    })
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    const ERROR: &str =
        "docker stack deploy: failed to update service: rpc error: desc = update out of sequence";

    const REMOVED: &str = "docker stack deploy --resolve-image: failed to create service demo_agent: Error response from daemon: \
                           network demo_apps not found";

    #[test]
    fn outdated_change_is_retried() {
        for error in [ERROR, REMOVED] {
            let mut runs = 0;
            let answer = retry_outdated(Duration::from_mins(1), || {
                runs += 1;
                ensure!(runs == 3, error);
                Ok("done".to_owned())
            });
            assert_eq!((answer.unwrap().as_str(), runs), ("done", 3));
        }
    }

    #[test]
    fn other_errors_are_returned_at_once() {
        let mut runs = 0;
        let mut fail_with = |timeout, error: &'static str| {
            let answer = retry_outdated(timeout, || {
                runs += 1;
                bail!(error)
            });
            answer.unwrap_err().to_string()
        };
        assert_eq!(fail_with(Duration::from_mins(1), "no such service"), "no such service");
        let outdated = fail_with(Duration::ZERO, ERROR);
        assert!(outdated.ends_with(ERROR), "{outdated}");
        assert_eq!(runs, 2);
    }
}
