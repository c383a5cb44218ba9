//! `cargo xtask swarm`: the demo on a Docker engine, in swarm mode.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Subcommand;
use harness::images::build_traefik;
use harness::stack::{self, SETTLE_TIMEOUT, Settings, Stack};
use harness::{Docker, eventually, http, tools};

use crate::build::root;
use crate::images;

/// The secret that holds the token, as `stacks/demo.yml` calls it by default.
const TOKEN: &str = "swarmlings_token";

/// Where an engine on this machine publishes ports.
const LOCAL: &str = "127.0.0.1";

/// The image of Traefik in `stacks/demo.yml`.
const TRAEFIK: &str = "traefik:v3.7";

/// An engine's [`swarm_state`] if it is a manager.
const MANAGER: &str = "active true";

/// An engine's [`swarm_state`] if it is in no swarm.
const OUTSIDE: &str = "inactive false";

/// How long a port of this machine may take to accept or to refuse a connection.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the images, initialise the swarm if need be, make the token, deploy stacks/demo.yml
    Up(Up),
    /// Remove the stack and its token
    Down(Down),
}

#[derive(clap::Args)]
struct Up {
    /// The stack's name
    #[arg(long, value_name = "NAME", default_value = "demo")]
    stack: String,
    /// Where Traefik answers, on each host
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    port: u16,
    /// Where Traefik's dashboard is, on each host
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    dashboard_port: u16,
    /// Where other hosts find this one, should the swarm have to be initialised
    #[arg(long, value_name = "ADDRESS")]
    advertise_addr: Option<String>,
    #[command(flatten)]
    images: images::Names,
}

#[derive(clap::Args)]
struct Down {
    /// The stack's name
    #[arg(long, value_name = "NAME", default_value = "demo")]
    stack: String,
    /// Leave the swarm too, if this host is all of it and nothing else runs there
    #[arg(long)]
    leave: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Up(up) => up.run(),
        Command::Down(down) => down.run(),
    }
}

impl Up {
    fn run(&self) -> Result<()> {
        let docker = Docker::from_environment()?;
        docker.architecture()?;
        let host = engine_host(&docker)?;
        let stack = Stack::new(docker.clone(), &self.stack);
        if host == LOCAL && !is_deployed(&stack)? {
            ensure_free("--port", self.port)?;
            ensure_free("--dashboard-port", self.dashboard_port)?;
        }
        let images = self.images.build(&docker)?;
        let traefik = traefik_image(&docker, images.prefix())?;
        ensure_manager(&docker, self.advertise_addr.as_deref())?;
        if stack::ensure_token(&docker, TOKEN)? {
            eprintln!("made the token, as secret {TOKEN}");
        }

        let began = Instant::now();
        let settings = Settings {
            images: &images,
            traefik: &traefik,
            token: TOKEN,
            port: self.port,
            dashboard_port: self.dashboard_port,
            variables: &[],
        };
        eprintln!("deploying stack {}", self.stack);
        stack.deploy(&[root().join("stacks/demo.yml")], &settings)?;
        for service in stack.outdated()? {
            eprintln!("updating {} to its new image", stack.service(&service));
            stack.force_update(&service)?;
        }
        let urls = ["ping", "hello/viktor"].map(|path| format!("{}/{path}", address(&host, self.port)));
        wait_answers(&stack, &urls)?;
        let ready = began.elapsed().as_secs_f64();
        let dashboard = address(&host, self.dashboard_port);
        println!(
            "ready in {ready:.1} s   {}   Traefik's dashboard: {dashboard}/dashboard/",
            urls.join("   ")
        );
        eprintln!("`cargo xtask swarm down` ends it");
        Ok(())
    }
}

impl Down {
    fn run(&self) -> Result<()> {
        let docker = Docker::from_environment()?;
        docker.architecture()?;
        match swarm_state(&docker)?.as_str() {
            MANAGER => {}
            OUTSIDE => {
                eprintln!("this host is in no swarm: there is nothing to remove");
                return Ok(());
            }
            state => bail!("{}", no_manager(state)),
        }
        let stack = Stack::new(docker.clone(), &self.stack);
        let said = if stack.is_deployed()? { "removed stack" } else { "there is no stack" };
        stack.remove(SETTLE_TIMEOUT)?;
        eprintln!("{said} {}", self.stack);
        if stack::has_token(&docker, TOKEN)? {
            // Another stack may be using it, which the engine then says.
            match docker.run(&["secret", "rm", TOKEN]) {
                Ok(_) => eprintln!("removed secret {TOKEN}"),
                Err(error) => eprintln!("kept secret {TOKEN}: {error:#}"),
            }
        }
        if self.leave { leave(&docker) } else { Ok(()) }
    }
}

/// Leaves the swarm, unless others would miss it.
fn leave(docker: &Docker) -> Result<()> {
    let nodes = docker.list(&["node", "ls", "--quiet"])?;
    ensure!(
        nodes.len() == 1,
        "leaving the swarm: it has {} hosts; `docker swarm leave` is yours to run",
        nodes.len()
    );
    let services = docker.list(&["service", "ls", "--format", "{{.Name}}"])?;
    ensure!(services.is_empty(), "leaving the swarm: {} would be lost", services.join(", "));
    docker.run(&["swarm", "leave", "--force"]).context("leaving the swarm")?;
    eprintln!("left the swarm");
    Ok(())
}

/// Traefik's official image where it is or can be had, or else one made here of its binary.
fn traefik_image(docker: &Docker, prefix: &str) -> Result<String> {
    if let Some(image) = env::var("TRAEFIK_IMAGE").ok().filter(|image| !image.is_empty()) {
        return Ok(image);
    }
    let there = docker.run(&["image", "inspect", "--format", "{{.Id}}", TRAEFIK]).is_ok();
    if there || docker.run(&["pull", "--quiet", TRAEFIK]).is_ok() {
        return Ok(TRAEFIK.to_owned());
    }
    ensure!(
        images::is_this_machines(&docker.architecture()?),
        "image {TRAEFIK} cannot be pulled, and Traefik's binary here is for another architecture than the engine's: \
         name an image by TRAEFIK_IMAGE"
    );
    let image = build_traefik(docker, prefix, &tools::traefik()?)?;
    eprintln!("image {TRAEFIK} cannot be pulled: using {image} instead, made here of Traefik's own binary");
    Ok(image)
}

/// Makes this host a swarm of its own if it is in none.
fn ensure_manager(docker: &Docker, advertise: Option<&str>) -> Result<()> {
    match swarm_state(docker)?.as_str() {
        MANAGER => return Ok(()),
        OUTSIDE => {}
        state => bail!("{}", no_manager(state)),
    }
    let mut arguments = vec!["swarm", "init"];
    arguments.extend(advertise.iter().flat_map(|address| ["--advertise-addr", address]));
    docker.run(&arguments).map_err(|error| {
        // The engine names them.
        let several = error.to_string().contains("--advertise-addr");
        let hint = "name one of this host's addresses: cargo xtask swarm up --advertise-addr ADDRESS";
        if several { error.context(format!("initialising the swarm: {hint}")) } else { error }
    })?;
    eprintln!(
        "initialised a swarm; `cargo xtask swarm down --leave` ends it, `docker swarm join-token worker` adds hosts"
    );
    Ok(())
}

/// Whether the engine is in a swarm, and a manager there.
fn swarm_state(docker: &Docker) -> Result<String> {
    docker.run(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"])
}

fn no_manager(state: &str) -> String {
    match state {
        "active false" => {
            "this host is a worker: run this on a manager, or name one by DOCKER_HOST".to_owned()
        }
        "locked false" => "the swarm is locked: run `docker swarm unlock`".to_owned(),
        other => format!("the swarm's state on this host is {other:?}: see `docker info`"),
    }
}

/// Where the engine's published ports are: on this machine, unless the engine is on another.
fn engine_host(docker: &Docker) -> Result<String> {
    let endpoint = docker.run(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])?;
    host_of(&endpoint).with_context(|| format!("reading the engine's address {endpoint:?}"))
}

/// The host in an address such as `ssh://pi@192.168.2.1:22`.
fn host_of(endpoint: &str) -> Option<String> {
    let (scheme, rest) = endpoint.split_once("://")?;
    if matches!(scheme, "unix" | "npipe" | "fd") {
        return Some(LOCAL.to_owned());
    }
    let authority = rest.split('/').next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    // What follows the last colon is a port, unless it belongs to an IPv6 address.
    let host =
        host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _port)| host);
    Some(host.to_owned())
}

/// Whether there is a swarm with the stack.
fn is_deployed(stack: &Stack) -> Result<bool> {
    Ok(swarm_state(stack.docker())? == MANAGER && stack.is_deployed()?)
}

/// Says that a port is in use before anything is built for it.
fn ensure_free(flag: &str, port: u16) -> Result<()> {
    let in_use = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE).is_ok();
    ensure!(!in_use, "port {port} is in use on this machine: choose another one with {flag} PORT");
    Ok(())
}

fn address(host: &str, port: u16) -> String {
    if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") }
}

/// Waits until all of `urls` answer, and says what its tasks are up to where they do not.
fn wait_answers(stack: &Stack, urls: &[String]) -> Result<()> {
    let answered = eventually(SETTLE_TIMEOUT, || -> Result<()> {
        for url in urls {
            let answer = http::get(url)?;
            ensure!(answer.status == 200, "{url}: status {}", answer.status);
        }
        Ok(())
    });
    answered.map_err(|error| {
        let tasks = stack.tasks().unwrap_or_default();
        anyhow!("waiting for the stack: {error:#}; its tasks:\n  {}", tasks.join("\n  "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_are_where_the_engine_is() {
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
    fn the_usual_port_is_left_out_of_an_address() {
        assert_eq!(address("192.168.2.1", 80), "http://192.168.2.1");
        assert_eq!(address("192.168.2.1", 8000), "http://192.168.2.1:8000");
    }
}
