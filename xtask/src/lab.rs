//! `cargo xtask lab`: a swarm of several hosts on this machine, to rehearse with.

use std::io::{self, Write};
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use harness::lab::{Leftovers, MAX_NODES, Node, Subnet};
use harness::{Lab, LabOptions};

mod stack;

/// How long the swarm's manager may take to notice that a host is back: it asks every few seconds.
const BACK: Duration = Duration::from_mins(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Where all files of the lab are, and only they
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/swarmlings-lab",
        env = "SWARMLINGS_LAB",
        global = true
    )]
    directory: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Make hosts with a Docker engine each, a swarm of them, and an image registry; takes root
    Up(Up),
    /// Build this project's images, push them to the lab's registry, and deploy a stack file
    Stack(stack::Args),
    /// Show nodes and tasks
    Ps,
    /// Take a node off the network: what it sends is lost, and so is what is sent to it
    Cut {
        /// Its name, number or address
        node: String,
    },
    /// Take a node back that was cut off or killed
    Heal {
        /// Its name, number or address
        node: String,
    },
    /// End a node's engine and containers all at once, as if its power had failed
    Kill {
        /// Its name, number or address
        node: String,
    },
    /// End everything, and remove every trace of it
    Down,
}

#[derive(clap::Args)]
struct Up {
    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_NODES)))]
    nodes: u8,
    /// The hosts' addresses: .1 and so on
    #[arg(long, value_name = "NETWORK", default_value_t)]
    subnet: Subnet,
    /// Give this machine no address in the lab's network: the lab can then be reached only from inside
    #[arg(long)]
    no_link: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    // Processes are known by it, whatever directory they are looked for from.
    let directory =
        path::absolute(&args.directory).with_context(|| format!("resolving {}", args.directory.display()))?;
    let lab = || Lab::find(&directory)?.context("there is no lab: `cargo xtask lab up` makes one");
    match &args.command {
        Command::Up(up) => up.run(directory),
        Command::Stack(stack) => stack.run(&lab()?),
        Command::Ps => ps(&lab()?),
        Command::Cut { node } => {
            let lab = lab()?;
            let node = lab.node(node)?;
            lab.disconnect(node)?;
            eprintln!(
                "{} is off the network; `cargo xtask lab heal {}` takes it back",
                node.name(),
                node.name()
            );
            Ok(())
        }
        Command::Heal { node } => {
            let lab = lab()?;
            let node = lab.node(node)?;
            lab.reconnect(node)?;
            lab.wait_ready(BACK)?;
            eprintln!("{} is back", node.name());
            Ok(())
        }
        Command::Kill { node } => {
            let lab = lab()?;
            let node = lab.node(node)?;
            node.kill()?;
            eprintln!("{} is dead; `cargo xtask lab heal {}` starts it again", node.name(), node.name());
            Ok(())
        }
        Command::Down => down(&directory),
    }
}

impl Up {
    fn run(&self, directory: PathBuf) -> Result<()> {
        if let Ok(Some(lab)) = Lab::find(&directory) {
            eprintln!("the lab is up already");
            show(&lab);
            return Ok(());
        }
        let traces = Leftovers::of(&directory);
        ensure!(
            traces.is_empty(),
            "run `cargo xtask lab down` first: there is left of an earlier lab {traces}"
        );
        let (nodes, subnet, link) = (self.nodes, self.subnet, !self.no_link);
        let options = LabOptions { directory, nodes, subnet, registry: true, link, owned: false };
        options.check_requirements()?;
        eprintln!("starting {nodes} engines");
        let lab = Lab::create(&options)?;
        show(&lab);
        eprintln!(
            "`cargo xtask lab stack stacks/demo.yml` deploys the demo, `cargo xtask lab down` ends it all"
        );
        Ok(())
    }
}

/// Says how to reach everything.
fn show(lab: &Lab) {
    for node in lab.nodes() {
        say(&format!("{:<10}{:<15}{}", node.name(), node.address(), reach(node)));
    }
    say(&format!("{:<10}{}", "registry", lab.registry()));
}

/// Prints a line for whoever reads it; if that is nobody any more, no harm is done.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn reach(node: &Node) -> String {
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
            Ok(_) => "cut off",
            Err(_) => "dead",
        };
        say(&format!("{:<10}{:<15}{state}", node.name(), node.address()));
    }
    ensure!(
        lab.nodes()[0].init().is_ok(),
        "the swarm's manager is dead: `cargo xtask lab heal {}` starts it again",
        lab.nodes()[0].name()
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
        eprintln!("there is no lab, and nothing left of one");
        return Ok(());
    }
    let left = Leftovers::remove(directory);
    if !left.is_empty() {
        bail!("could not remove: {left}");
    }
    eprintln!("the lab is gone, with all its traces");
    Ok(())
}
