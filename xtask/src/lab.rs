//! `cargo xtask lab`: a swarm of several hosts on this machine.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use clap::Subcommand;
use harness::lab::{Leftovers, MAX_NODES, Node, Subnet};
use harness::stack::{SETTLE_TIMEOUT, Settings, Stack};
use harness::{Docker, Images, Lab, LabOptions, tools};

use crate::{build, stack};

/// Maximum time for a healed host to become ready: the swarm's manager retries every few seconds.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

const HELP: &str = "\
Each host has its own network, mounts, processes and Docker engine. The lab also has an image registry. It \
needs Linux, root, and the Debian packages docker.io, docker-registry, iproute2 and \
iptables. Docker engines that already run on this machine are not affected.

Examples:
  cargo xtask lab up
  cargo xtask lab stack stacks/demo.yml     then: curl http://192.168.2.1/ping
  cargo xtask lab shell leader              then: docker node ls
  cargo xtask lab cut worker-1              then: cargo xtask lab ps
  cargo xtask lab heal worker-1
  cargo xtask lab down";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Directory for all files of the lab
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/swarmlings-lab",
        env = "SWARMLINGS_LAB",
        hide_env_values = true,
        global = true
    )]
    directory: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Start the hosts, join them to a swarm, and start the registry
    Up(UpArgs),
    /// Build the images, push them to the lab's registry, and deploy a stack file
    Stack(StackArgs),
    /// Build the images, and push them to the lab's registry
    Images,
    /// Open a shell on a host, or run a command there
    ///
    /// `docker` then uses the engine of the host. The variables of stack files name the images that `lab images` has pushed.
    Shell {
        /// Name, number or address of the host
        #[arg(value_name = "HOST")]
        node: String,
        /// Command and its arguments [default: bash]
        #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Show the hosts, and the tasks of all stacks
    Ps,
    /// Disconnect a host from the network: all its packets are dropped
    Cut {
        /// Name, number or address of the host
        #[arg(value_name = "HOST")]
        node: String,
    },
    /// Reconnect a host that was cut, or restart one that was killed
    Heal {
        /// Name, number or address of the host
        #[arg(value_name = "HOST")]
        node: String,
    },
    /// Kill a host's engine and containers at once, like a power failure
    Kill {
        /// Name, number or address of the host
        #[arg(value_name = "HOST")]
        node: String,
    },
    /// Stop everything and remove all traces of the lab
    Down,
}

#[derive(clap::Args)]
struct UpArgs {
    /// Number of hosts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_NODES)))]
    nodes: u8,
    /// Network of the hosts; their addresses end in .1, .2 and so on
    #[arg(long, value_name = "NETWORK", default_value_t)]
    subnet: Subnet,
    /// Do not join the hosts to a swarm
    #[arg(long)]
    no_swarm: bool,
    /// Do not connect this machine to the lab's network; the lab is then reachable only from inside
    #[arg(long)]
    no_link: bool,
}

#[derive(clap::Args)]
struct StackArgs {
    /// Stack file
    file: PathBuf,
    /// Name of the stack [default: the file name without its extension]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // Processes of the lab are found by this path.
    let directory =
        path::absolute(&args.directory).with_context(|| format!("resolving {}", args.directory.display()))?;
    if let Command::Up(args) = &args.command {
        return up(args, directory);
    }
    if let Command::Down = &args.command {
        return down(&directory);
    }
    let lab = Lab::find(&directory)?;
    let lab =
        lab.with_context(|| format!("no lab in {}; `cargo xtask lab up` starts one", directory.display()))?;
    match &args.command {
        Command::Stack(args) => deploy(args, &lab)?,
        Command::Images => {
            let (images, traefik) = push_images(&lab)?;
            say(&format!("{}, {traefik}", images.name("ping")));
        }
        Command::Shell { node, command } => return Err(shell(&lab, node, command)),
        Command::Ps => ps(&lab)?,
        Command::Cut { node } => {
            let node = lab.node(node)?;
            lab.disconnect(node)?;
            let name = node.name();
            eprintln!("{name} is disconnected; `cargo xtask lab heal {name}` reconnects it");
        }
        Command::Heal { node } => {
            let node = lab.node(node)?;
            lab.reconnect(node)?;
            lab.wait_ready(READY_TIMEOUT)?;
            eprintln!("{} is ready", node.name());
        }
        Command::Kill { node } => {
            let node = lab.node(node)?;
            node.kill()?;
            let name = node.name();
            eprintln!("{name} is killed; `cargo xtask lab heal {name}` restarts it");
        }
        Command::Up(_) | Command::Down => {}
    }
    Ok(())
}

fn up(args: &UpArgs, directory: PathBuf) -> Result<()> {
    if let Ok(Some(lab)) = Lab::find(&directory) {
        eprintln!("the lab is already running");
        show(&lab);
        return Ok(());
    }
    let traces = Leftovers::of(&directory);
    ensure!(
        traces.is_empty(),
        "an earlier lab left {traces}; `cargo xtask lab down` removes what is left of it"
    );
    let UpArgs { nodes, subnet, .. } = *args;
    let (swarm, link) = (!args.no_swarm, !args.no_link);
    let options = LabOptions { directory, nodes, subnet, registry: true, swarm, link, owned: false };
    options.check_requirements()?;
    eprintln!("starting {nodes} engines");
    show(&Lab::create(&options)?);
    eprintln!(
        "`cargo xtask lab stack stacks/demo.yml` deploys the demo, `cargo xtask lab down` stops the lab"
    );
    Ok(())
}

/// Prints how to reach the hosts and the registry.
fn show(lab: &Lab) {
    for node in lab.nodes() {
        say(&format!("{:<10}{:<15}{}", node.name(), node.address(), access(node)));
    }
    say(&format!("{:<10}{}", "registry", lab.registry()));
}

/// Prints a line. Ignores a closed stdout.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn access(node: &Node) -> String {
    match node.init() {
        Ok(first) => format!(
            "docker --host {}   nsenter --target {} --net --uts",
            node.docker().host().unwrap_or_default(),
            first.pid()
        ),
        Err(error) => format!("{error:#}"),
    }
}

fn ps(lab: &Lab) -> Result<()> {
    for node in lab.nodes() {
        let state = match node.init() {
            Ok(_) if lab.is_connected(node)? => "connected",
            Ok(_) => "disconnected",
            Err(_) => "killed",
        };
        say(&format!("{:<10}{:<15}{state}", node.name(), node.address()));
    }
    let manager = &lab.nodes()[0];
    ensure!(
        manager.init().is_ok(),
        "the swarm's manager is killed; `cargo xtask lab heal {}` restarts it",
        manager.name()
    );
    say("");
    say(&lab.docker().run(&["node", "ls"])?);
    for stack in lab.docker().list(&["stack", "ls", "--format", "{{.Name}}"])? {
        say("");
        let format = "table {{.Name}}\t{{.Node}}\t{{.CurrentState}}\t{{.Error}}";
        say(&lab.docker().run(&["stack", "ps", "--format", format, &stack])?);
    }
    Ok(())
}

fn down(directory: &Path) -> Result<()> {
    if Leftovers::of(directory).is_empty() {
        eprintln!("there is no lab");
        return Ok(());
    }
    let left = Leftovers::remove(directory);
    ensure!(left.is_empty(), "could not remove: {left}");
    eprintln!("removed the lab");
    Ok(())
}

/// Builds the images, and pushes them to the lab's registry. Returns the project's images and the name of Traefik's.
fn push_images(lab: &Lab) -> Result<(Images, String)> {
    let binaries = build::given_or_release(Some(&build::musl_target()))?;
    eprintln!("building the images, and pushing them to {}", lab.registry());
    lab.provide_images(&binaries, &tools::traefik()?)
}

/// Replaces this process by a command on a host. Returns only if that fails.
fn shell(lab: &Lab, node: &str, command: &[OsString]) -> Error {
    let prepare = || -> Result<process::Command> {
        let (program, arguments) =
            command.split_first().map_or(("bash".as_ref(), &[][..]), |(first, rest)| (&**first, rest));
        let mut command = lab.node(node)?.command(program)?;
        command.args(arguments);
        if let Some(traefik) = tools::installed_traefik()? {
            command.envs(lab.image_variables(&traefik)?);
        }
        Ok(command)
    };
    match prepare() {
        Ok(mut command) => Error::new(command.exec()).context("starting nsenter"),
        Err(error) => error,
    }
}

fn deploy(args: &StackArgs, lab: &Lab) -> Result<()> {
    let file = args.file.display();
    ensure!(args.file.is_file(), "no such stack file: {file}");
    let stem = args.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or(stem).with_context(|| format!("{file} has no file name"))?;
    let (images, traefik) = push_images(lab)?;
    let began = Instant::now();
    let secrets = stack::secrets(lab.docker(), &lab.directory().join("master"))?;
    let settings =
        Settings { images: &images, traefik: &traefik, secrets: &secrets, port: 80, variables: &[] };
    let stack = lab.stack(&name);
    stack::deploy(&stack, args.file.clone(), &settings)?;
    copy_local_images(lab, &stack)?;
    stack::update_outdated(&stack)?;
    stack.wait_running(SETTLE_TIMEOUT).inspect_err(|_| stack.print_state())?;
    println!("{name} runs after {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Copies images of the stack that only this machine's own Docker engine has to all hosts. Fails if the hosts cannot get an image.
fn copy_local_images(lab: &Lab, stack: &Stack) -> Result<()> {
    let local = Docker::from_environment().and_then(|local| local.architecture().map(|_| local)).ok();
    let has = |docker: &Docker, image: &str| {
        docker.run(&["image", "inspect", "--format", "{{.Id}}", image]).is_ok()
    };
    for image in stack.images()? {
        if image.starts_with(&lab.registry()) {
            continue;
        }
        let Some(local) = local.as_ref().filter(|local| has(local, &image)) else {
            if !has(lab.docker(), &image) {
                lab.docker().run(&["pull", "--quiet", &image]).with_context(|| {
                    format!("the hosts cannot get image {image}: this machine's engine does not have it")
                })?;
            }
            continue;
        };
        eprintln!("copying image {image} to the hosts");
        let file = tempfile::NamedTempFile::new().context("creating a file for an image")?;
        let path = file.path().to_string_lossy();
        local.run(&["save", "--output", &path, &image])?;
        for node in lab.nodes() {
            node.docker().run(&["load", "--quiet", "--input", &path])?;
        }
    }
    Ok(())
}
