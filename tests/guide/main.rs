//! The commands of `docs/GUIDE.md`, run in order on a lab of three hosts that are not in a swarm yet. Output is compared where the
//! guide shows it.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::docker::eventually_on_engine;
use harness::{Binaries, Lab, LabOptions, binaries, eventually, stack_file, tools};

use document::{Command, commands, compare};

mod document;

/// Time limit for a command. The longest ones wait for a rollback.
const LONG: Duration = Duration::from_mins(5);

/// Time limit for a command that is repeated until its output is as shown.
const REPEATED: Duration = Duration::from_mins(2);

/// Host of commands that run on the machine with the lab.
const LAPTOP: &str = "laptop";

/// Commands of a laptop's reader that are not run: the test creates a lab in a directory of its own.
const DONE: [&str; 2] = ["cargo xtask lab up", "cargo xtask lab down"];

/// Environment variable with a file for the output of each command.
const TRANSCRIPT: &str = "SWARMLINGS_TRANSCRIPT";

/// The hosts, and a shell on each that has run a command.
struct Session {
    lab: Lab,
    traefik: PathBuf,
    directory: tempfile::TempDir,
    shells: BTreeMap<String, Shell>,
    transcript: Option<File>,
}

/// A shell that stays open, so that variables and functions last. Its host ends it.
struct Shell {
    child: Child,
    /// Where commands and their results are exchanged.
    directory: PathBuf,
    count: usize,
}

impl Session {
    fn new() -> Result<Self> {
        let lab = Lab::create(&LabOptions { swarm: false, ..LabOptions::owned(3) })?;
        let traefik = tools::traefik()?;
        let directory = tempfile::tempdir().context("creating a directory")?;
        stack_file::copy_directory(lab.docker(), &root().join("stacks"), &directory.path().join("stacks"))?;
        let transcript =
            env::var_os(TRANSCRIPT).map(File::create).transpose().context("creating the transcript")?;
        Ok(Self { lab, traefik, directory, shells: BTreeMap::new(), transcript })
    }

    /// Runs a command, and compares its output.
    fn run(&mut self, command: &Command) -> Result<()> {
        if command.host == LAPTOP && DONE.iter().any(|done| command.text.starts_with(done)) {
            return Ok(());
        }
        let attempt = |session: &mut Self| -> Result<()> {
            let (code, output) = session.shell(&command.host)?.run(&command.text)?;
            if let Some(transcript) = &mut session.transcript {
                writeln!(transcript, "{}$ {}\n{output}[{code}]", command.host, command.text)?;
            }
            ensure!(code == "0", "exit code {code}: {output}");
            if command.output.is_empty() { Ok(()) } else { compare(&command.output, &output) }
        };
        let outcome = if command.is_repeated {
            eventually_on_engine(REPEATED, || attempt(self))
        } else {
            attempt(self)
        };
        outcome.with_context(|| format!("line {}: {}$ {}", command.line, command.host, command.text))
    }

    /// The shell of a host. A host that has been killed gets a new one.
    fn shell(&mut self, host: &str) -> Result<&mut Shell> {
        let ended = |shell: &mut Shell| shell.child.try_wait().is_ok_and(|status| status.is_some());
        if self.shells.get_mut(host).is_none_or(ended) {
            let shell = self.start_shell(host)?;
            self.shells.insert(host.to_owned(), shell);
        }
        self.shells.get_mut(host).context("just inserted")
    }

    fn start_shell(&self, host: &str) -> Result<Shell> {
        let mut program = if host == LAPTOP {
            let mut program = Program::new("bash");
            program.env("SWARMLINGS_LAB", self.lab.directory());
            program.env(binaries::DIRECTORY, Binaries::find()?.directory());
            program
        } else {
            self.lab.node(host)?.command("bash".as_ref())?
        };
        let directory = tempfile::tempdir_in(self.directory.path()).context("creating a directory")?.keep();
        // The stacks' directory, except for cargo.
        let start = if host == LAPTOP { root() } else { self.directory.path() };
        program.envs(self.lab.image_variables(&self.traefik)?).stdin(Stdio::piped());
        let mut child = program.spawn().with_context(|| format!("starting a shell on {host}"))?;
        let input = child.stdin.as_mut().context("no input")?;
        writeln!(input, "cd {}", start.display()).context("writing to a shell")?;
        Ok(Shell { child, directory, count: 0 })
    }
}

impl Shell {
    /// Runs a command. Returns its exit code and output.
    fn run(&mut self, text: &str) -> Result<(String, String)> {
        self.count += 1;
        let file = |name: &str| self.directory.join(format!("{}.{name}", self.count));
        let (script, output, code) = (file("sh"), file("output"), file("code"));
        fs::write(&script, format!("{text}\n")).context("writing a command")?;
        let [shown_script, shown_output, shown_code] = [&script, &output, &code].map(|path| path.display());
        let line = format!(
            "source {shown_script} </dev/null >{shown_output} 2>&1; echo $? >{shown_code}.new; mv {shown_code}.new {shown_code}"
        );
        let input = self.child.stdin.as_mut().context("no input")?;
        writeln!(input, "{line}").context("writing to a shell")?;
        let code = eventually(LONG, || fs::read_to_string(&code))
            .with_context(|| fs::read_to_string(&output).unwrap_or_default())?;
        let output = fs::read(&output).context("reading output")?;
        Ok((code.trim().to_owned(), String::from_utf8_lossy(&output).into_owned()))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn commands_of_the_guide_work() {
    let guide = fs::read_to_string(root().join("docs/GUIDE.md")).unwrap();
    let commands = commands(&guide).unwrap();
    let mut session = Session::new().unwrap();
    for command in &commands {
        eprintln!("{}: {}$ {}", command.line, command.host, command.text);
        session.run(command).unwrap();
    }
}
