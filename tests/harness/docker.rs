//! The `docker` client, as a user has it: `DOCKER_HOST`, contexts and all.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::eventually::{Outcome, eventually};
use crate::tools;

/// How to come by a client and an engine.
const INSTALL: &str = "install Docker, on Debian or Ubuntu with `apt-get install docker.io`";

/// Pause between two questions to an engine: each costs a start of the client.
const PAUSE: Duration = Duration::from_millis(200);

/// What a manager says when something was changed between the client's reading and writing it, as Swarm itself does to a
/// service when its update is over. Nothing of what was asked for it has been done then.
const OUTDATED: &str = "update out of sequence";

/// For how long that is asked again.
const UP_TO_DATE: Duration = Duration::from_secs(10);

/// A client for one engine.
#[derive(Clone, Debug)]
pub struct Docker {
    program: PathBuf,
    host: Option<OsString>,
}

impl Docker {
    /// For the engine that the environment names, or the client's own settings.
    pub fn from_environment() -> Result<Self> {
        let program =
            tools::on_path("docker").with_context(|| format!("no docker client on PATH: {INSTALL}"))?;
        Ok(Self { program, host: None })
    }

    /// For the engine at `host`, such as `unix:///run/docker.sock`.
    pub fn at(host: impl Into<OsString>) -> Result<Self> {
        Ok(Self { host: Some(host.into()), ..Self::from_environment()? })
    }

    /// The engine's address, unless it is left to the environment.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()?.to_str()
    }

    /// A command of the client's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        if let Some(host) = &self.host {
            // A context that the user has chosen would win over a host in the environment.
            command.env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT");
        }
        command
    }

    /// A command of a client's that builds images with `BuildKit`: this one, or else the first on PATH that does.
    pub fn builder(&self, arguments: &[&str]) -> Result<Command> {
        let others = tools::all_on_path("docker").filter(|program| *program != self.program);
        for program in [self.program.clone()].into_iter().chain(others) {
            let client = Self { program, host: self.host.clone() };
            // Up to 22 it is in the client itself.
            let is_builder = client.client_major().is_ok_and(|major| major < 23)
                || client.run(&["buildx", "version"]).is_ok();
            if is_builder {
                let mut command = client.command(arguments);
                command.env("DOCKER_BUILDKIT", "1");
                return Ok(command);
            }
        }
        bail!(
            "{} cannot build images with BuildKit: install its plug-in buildx, on Debian or Ubuntu with \
             `apt-get install docker-buildx`",
            self.program.display()
        )
    }

    /// Runs `docker ARGUMENTS` and returns what it prints, without the last line's end. Does so again if something was
    /// changed by somebody else at the same time.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_command(arguments, self.command(arguments))
    }

    /// Like [`Self::run`], for a command that was prepared further.
    pub fn run_command(&self, arguments: &[&str], mut command: Command) -> Result<String> {
        unless_outdated(UP_TO_DATE, || answer(arguments, command.output()))
    }

    /// Runs `docker ARGUMENTS` with `input` as its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let mut command = self.command(arguments);
        let mut run = || -> io::Result<Output> {
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            let stdin = child.stdin.take();
            thread::scope(|scope| {
                // A client that ends early says itself why it did not read to the end.
                scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
                child.wait_with_output()
            })
        };
        answer(arguments, run())
    }

    /// Runs `docker ARGUMENTS`, which prints one item a line.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<String>> {
        Ok(self.run(arguments)?.lines().map(str::to_owned).collect())
    }

    /// The engine's architecture as Docker names it, such as `amd64`. Fails, and says what to do, if there is no engine.
    pub fn architecture(&self) -> Result<String> {
        self.run(&["version", "--format", "{{.Server.Arch}}"]).map_err(|error| {
            let text = error.to_string();
            let hint = if text.contains("permission denied") {
                "run this as root or as a member of the group docker"
            } else {
                "start it, with `systemctl start docker`, or name another one by DOCKER_HOST"
            };
            anyhow!("no Docker engine can be reached: {hint} ({text})")
        })
    }

    /// The client's version, such as 28.
    pub fn client_major(&self) -> Result<u32> {
        // The client fails without an engine, but says its own version before.
        let output = self.command(&["version", "--format", "{{.Client.Version}}"]).output();
        let output = output.context("running docker version")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = text.trim().split('.').next().and_then(|major| major.parse().ok());
        major.with_context(|| format!("reading the docker client's version {:?}", text.trim()))
    }
}

fn answer(arguments: &[&str], output: io::Result<Output>) -> Result<String> {
    let shown = || format!("docker {}", arguments.iter().take(3).copied().collect::<Vec<_>>().join(" "));
    let output = output.with_context(|| format!("running {}", shown()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", shown(), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Runs it again, for as long as `timeout`, while what it changes has just been changed by somebody else.
fn unless_outdated(timeout: Duration, mut run: impl FnMut() -> Result<String>) -> Result<String> {
    settled(timeout, || match run() {
        Err(error) if error.to_string().contains(OUTDATED) => Err(error),
        answer => Ok(answer),
    })?
}

/// Like [`eventually`], for conditions that ask an engine.
pub fn settled<O: Outcome>(timeout: Duration, mut condition: impl FnMut() -> O) -> Result<O::Value> {
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

    #[test]
    fn what_was_changed_at_the_same_time_is_changed_again() {
        let mut runs = 0;
        let answer = unless_outdated(Duration::from_mins(1), || {
            runs += 1;
            ensure!(runs == 3, ERROR);
            Ok("done".to_owned())
        });
        assert_eq!((answer.unwrap().as_str(), runs), ("done", 3));
    }

    #[test]
    fn other_errors_are_told_at_once_and_this_one_in_the_end() {
        let mut runs = 0;
        let mut fail_with = |timeout, error: &'static str| {
            let answer = unless_outdated(timeout, || {
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
