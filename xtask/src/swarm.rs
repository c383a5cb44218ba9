//! `cargo xtask swarm`: the demo on a Docker engine in swarm mode.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Subcommand;
use harness::images::build_traefik;
use harness::stack::{SETTLE_TIMEOUT, Settings, Stack};
use harness::{Docker, eventually, http};

use crate::build::root;
use crate::{images, needs, stack};

/// Address at which an engine on this machine publishes ports.
const LOCAL: &str = "127.0.0.1";

/// Traefik's image in `stacks/demo.yml`.
const TRAEFIK: &str = "traefik:v3.7";

/// File with the hub's master token, in the project's directory.
const MASTER: &str = "master";

/// The [`swarm_state`] of a manager.
const MANAGER: &str = "active true";

/// The [`swarm_state`] of an engine that is in no swarm.
const OUTSIDE: &str = "inactive false";

/// Maximum time for a port of this machine to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

const HELP: &str = "\
Examples:
  cargo xtask swarm up
  cargo xtask swarm up --port 8000 --advertise-addr 192.168.2.1
  cargo xtask swarm down --leave

Environment:
  DOCKER_HOST=URL        the engine: a swarm manager, or one outside any swarm
  TRAEFIK_IMAGE=IMAGE    image of Traefik [default: traefik:v3.7, or one built
                         here]";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the images, initialise a swarm if needed, create the tokens, and deploy stacks/demo.yml
    Up(UpArgs),
    /// Remove the stack and its tokens
    Down(DownArgs),
}

#[derive(clap::Args)]
struct UpArgs {
    /// Name of the stack
    #[arg(long, value_name = "NAME", default_value = "demo")]
    stack: String,
    /// Traefik's port on each host
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    port: u16,
    /// Address at which other hosts reach this one; used only to initialise a swarm
    #[arg(long, value_name = "ADDRESS")]
    advertise_addr: Option<String>,
    #[command(flatten)]
    images: images::Names,
}

#[derive(clap::Args)]
struct DownArgs {
    /// Name of the stack
    #[arg(long, value_name = "NAME", default_value = "demo")]
    stack: String,
    /// Also leave the swarm, if this is its only host and no other service runs on it
    #[arg(long)]
    leave: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let docker = Docker::from_environment()?;
    // Fails if the engine cannot be reached.
    docker.architecture()?;
    match &args.command {
        Command::Up(args) => up(&docker, args),
        Command::Down(args) => down(&docker, args),
    }
}

fn up(docker: &Docker, args: &UpArgs) -> Result<()> {
    let host = engine_host(docker)?;
    let stack = Stack::new(docker.clone(), &args.stack);
    let is_deployed = swarm_state(docker)? == MANAGER && stack.is_deployed()?;
    if host == LOCAL && !is_deployed {
        ensure_free("--port", args.port)?;
    }
    let images = args.images.build(docker)?;
    let traefik = traefik_image(docker, images.prefix())?;
    ensure_manager(docker, args.advertise_addr.as_deref())?;

    let began = Instant::now();
    let secrets = stack::secrets(docker, &root().join(MASTER))?;
    let settings =
        Settings { images: &images, traefik: &traefik, secrets: &secrets, port: args.port, variables: &[] };
    stack::deploy(&stack, root().join("stacks/demo.yml"), &settings)?;
    stack::update_outdated(&stack)?;
    let urls = ["ping", "hello/viktor"].map(|path| format!("{}/{path}", base_url(&host, args.port)));
    wait_for_answers(&stack, &urls)?;
    stack.wait_running(SETTLE_TIMEOUT)?;
    let ready = began.elapsed().as_secs_f64();
    println!("ready in {ready:.1} s   {}", urls.join("   "));
    eprintln!(
        "the hub's page: {}/hub/, with any user name and this password: {}",
        base_url(&host, args.port),
        secrets.master().role("reader")
    );
    eprintln!("`cargo xtask swarm down` removes the stack");
    Ok(())
}

fn down(docker: &Docker, args: &DownArgs) -> Result<()> {
    match swarm_state(docker)?.as_str() {
        MANAGER => {}
        OUTSIDE => {
            eprintln!("nothing to remove: this host is not in a swarm");
            return Ok(());
        }
        state => bail!("{}", not_a_manager(state)),
    }
    let stack = Stack::new(docker.clone(), &args.stack);
    let outcome = if stack.is_deployed()? { "removed stack" } else { "there is no stack" };
    let dependents = stack.dependents()?;
    ensure!(
        dependents.is_empty(),
        "other services use networks of stack {}: {}; remove them first, with `docker stack rm STACK` or `docker service rm`",
        args.stack,
        dependents.join(", ")
    );
    stack.remove(SETTLE_TIMEOUT)?;
    eprintln!("{outcome} {}", args.stack);
    let (removed, used) = stack::remove_secrets(docker)?;
    if !removed.is_empty() {
        eprintln!("removed the secrets {}", removed.join(", "));
    }
    if !used.is_empty() {
        eprintln!("kept the secrets {}, which other services use", used.join(", "));
    }
    if args.leave { leave(docker) } else { Ok(()) }
}

/// Leaves the swarm if nothing else depends on it.
fn leave(docker: &Docker) -> Result<()> {
    let nodes = docker.list(&["node", "ls", "--quiet"])?.len();
    ensure!(
        nodes == 1,
        "leaving the swarm: it has {nodes} hosts; run `docker swarm leave` on this one yourself"
    );
    let services = docker.list(&["service", "ls", "--format", "{{.Name}}"])?.join(", ");
    ensure!(services.is_empty(), "leaving the swarm: it still runs {services}");
    docker.run(&["swarm", "leave", "--force"]).context("leaving the swarm")?;
    eprintln!("left the swarm");
    Ok(())
}

/// Traefik's official image, or an image built here from a Traefik program if the official one cannot be pulled.
fn traefik_image(docker: &Docker, prefix: &str) -> Result<String> {
    if let Some(image) = env::var("TRAEFIK_IMAGE").ok().filter(|image| !image.is_empty()) {
        return Ok(image);
    }
    let is_present = docker.run(&["image", "inspect", "--format", "{{.Id}}", TRAEFIK]).is_ok();
    if is_present || docker.run(&["pull", "--quiet", TRAEFIK]).is_ok() {
        return Ok(TRAEFIK.to_owned());
    }
    ensure!(
        images::is_for_this_machine(&docker.architecture()?),
        "cannot pull image {TRAEFIK}, and this machine's Traefik is for another architecture than the engine's; \
         set TRAEFIK_IMAGE to an image that the engine can run"
    );
    let image = build_traefik(docker, prefix, &needs::traefik()?)?;
    eprintln!("cannot pull image {TRAEFIK}; using {image}, built from this machine's Traefik");
    Ok(image)
}

/// Initialises a swarm if this host is in none.
fn ensure_manager(docker: &Docker, advertise: Option<&str>) -> Result<()> {
    match swarm_state(docker)?.as_str() {
        MANAGER => return Ok(()),
        OUTSIDE => {}
        state => bail!("{}", not_a_manager(state)),
    }
    let mut arguments = vec!["swarm", "init"];
    arguments.extend(advertise.iter().flat_map(|address| ["--advertise-addr", address]));
    docker.run(&arguments).map_err(|error| {
        // The engine's message lists this host's addresses.
        let is_ambiguous = error.to_string().contains("--advertise-addr");
        let remedy = "choose one of this host's addresses: cargo xtask swarm up --advertise-addr ADDRESS";
        if is_ambiguous { error.context(format!("initialising the swarm: {remedy}")) } else { error }
    })?;
    eprintln!(
        "initialised a swarm; `cargo xtask swarm down --leave` ends it, `docker swarm join-token worker` adds hosts"
    );
    Ok(())
}

/// Whether the engine is in a swarm, and whether it is a manager.
fn swarm_state(docker: &Docker) -> Result<String> {
    docker.run(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"])
}

fn not_a_manager(state: &str) -> String {
    match state {
        "active false" => {
            "this host is a worker of its swarm; run this on a manager, or set DOCKER_HOST to one".to_owned()
        }
        "locked false" => "the swarm is locked; run `docker swarm unlock`".to_owned(),
        other => format!("the swarm's state on this host is {other:?}; see `docker info`"),
    }
}

/// The host at which the engine publishes ports.
fn engine_host(docker: &Docker) -> Result<String> {
    let endpoint = docker.run(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])?;
    host_of(&endpoint).with_context(|| format!("parsing the engine's address {endpoint:?}"))
}

/// The host in an address such as `ssh://pi@192.168.2.1:22`.
fn host_of(endpoint: &str) -> Option<String> {
    let (scheme, rest) = endpoint.split_once("://")?;
    if matches!(scheme, "unix" | "npipe" | "fd") {
        return Some(LOCAL.to_owned());
    }
    let authority = rest.split('/').next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    // The last colon precedes a port, unless it is inside an IPv6 address.
    let host =
        host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _port)| host);
    Some(host.to_owned())
}

/// Fails if `port` of this machine is in use.
fn ensure_free(flag: &str, port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let in_use = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok();
    ensure!(!in_use, "{flag}: port {port} is in use on this machine; choose another port");
    Ok(())
}

fn base_url(host: &str, port: u16) -> String {
    if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") }
}

/// Waits until all `urls` answer with status 200. The error shows the state of the stack's tasks.
fn wait_for_answers(stack: &Stack, urls: &[String]) -> Result<()> {
    let answered = eventually(SETTLE_TIMEOUT, || urls.iter().try_for_each(|url| http::get_ok(url).map(drop)));
    answered.map_err(|error| {
        let tasks = stack.tasks().unwrap_or_default().join("\n  ");
        anyhow!("waiting for the stack to answer: {error:#}; its tasks:\n  {tasks}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_are_on_the_engines_host() {
        for (endpoint, host) in [
            ("unix:///var/run/docker.sock", LOCAL),
            ("tcp://192.168.2.1:2375", "192.168.2.1"),
            ("ssh://pi@pi-1", "pi-1"),
            ("ssh://pi@[fd00::1]:22/", "[fd00::1]"),
            ("ssh://[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(host_of(endpoint).as_deref(), Some(host), "{endpoint}");
        }
        assert_eq!(host_of("pi-1"), None);
    }

    #[test]
    fn default_port_is_omitted_from_urls() {
        assert_eq!(base_url("192.168.2.1", 80), "http://192.168.2.1");
        assert_eq!(base_url("192.168.2.1", 8000), "http://192.168.2.1:8000");
    }
}
