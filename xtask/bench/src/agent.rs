//! `cargo xtask bench agent`: routing delay of containers without a sidecar, and the cost of an agent while nothing changes.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use harness::labels::routed;
use harness::proc::{self, Usage};
use harness::{
    Agent, Binaries, Docker, Fleet, FleetOptions, Lab, LabOptions, eventually, http, images, tools,
};
use serde_json::Value;
use xtask::build;

use crate::programs::version;
use crate::table::print_delays;

const PROGRAMS: [&str; 3] = ["hub", "agent", "ping"];
/// Limit for each wait; reaching it means an error.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Containers that the engine starts at the same time.
const PARALLEL_STARTS: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds for each routing delay
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Also measure the agent's idle cost with this many containers; each container needs memory for its shim
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    containers: Option<u16>,
    /// Duration of the idle measurement
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::positive_duration)]
    duration: Duration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binaries = Binaries::from_environment()?;
    let binaries = binaries.map_or_else(|| build::release_of(&PROGRAMS, Some(&build::musl_target())), Ok)?;
    let traefik = tools::traefik()?;
    let lab = Lab::create(&LabOptions::owned(1))?;
    let _inside = lab.nodes()[0].enter()?;
    let options =
        FleetOptions { binaries: Some(binaries.clone()), traefik: Some(traefik), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options)?;
    fleet.traefik.wait_ready()?;
    let docker = lab.docker();
    let image = images::build_plain(docker, "swarmlings", &binaries.path("ping"))?;
    let host = docker.host().context("the lab's engine has no socket")?;
    let mut flags: Vec<_> = ["--hub", &fleet.hub.url(), "--docker", host].iter().map(Into::into).collect();
    flags.extend(["--token-file".into(), fleet.hub.options().token_file.clone().into_os_string()]);
    let mut agent = Agent::start(&binaries, flags)?;

    // The first container ends the hub's warm-up.
    routing_delay(&fleet, docker, &image, "first", false)?;
    let delays = |health_check: bool| -> Result<Vec<Duration>> {
        let name = |round| format!("{}-{round}", if health_check { "checked" } else { "plain" });
        let delay = |round| routing_delay(&fleet, docker, &image, &name(round), health_check);
        (0..args.rounds).map(delay).collect()
    };
    let (plain, checked) = (delays(false)?, delays(true)?);
    print_delays(args.rounds, &[("started, no health check → answer", plain), ("healthy → answer", checked)]);
    if let Some(count) = args.containers {
        idle_cost(&fleet, docker, &image, &mut agent, count.into(), args.duration)?;
    }
    Ok(())
}

/// Measures from the start of a container, or from its first passed health check, to the first answer through Traefik.
fn routing_delay(
    fleet: &Fleet,
    docker: &Docker,
    image: &str,
    name: &str,
    health_check: bool,
) -> Result<Duration> {
    let flags = if health_check { &["--health-interval=500ms"][..] } else { &["--no-healthcheck"] };
    let id = create(docker, image, name, flags)?;
    let url = format!("{}/{name}", fleet.traefik.url());
    let answered = thread::scope(|scope| -> Result<SystemTime> {
        let polling = scope.spawn(|| eventually(TIMEOUT, || http::get_ok(&url).map(|_| SystemTime::now())));
        docker.run(&["start", &id])?;
        polling.join().expect("polling does not panic")
    })?;
    let state: Value =
        serde_json::from_str(&docker.run(&["inspect", "--format", "{{json .State}}", &id])?)?;
    let began = if health_check {
        let mut log = state["Health"]["Log"].as_array().into_iter().flatten();
        log.find(|probe| probe["ExitCode"] == 0).map(|probe| &probe["End"])
    } else {
        Some(&state["StartedAt"])
    };
    let began = began.and_then(Value::as_str);
    let began = engine_time(began.with_context(|| format!("no time in the container's state {state}"))?)?;
    docker.run(&["rm", "--force", &id])?;
    Ok(answered.duration_since(began).unwrap_or_default())
}

fn create(docker: &Docker, image: &str, name: &str, flags: &[&str]) -> Result<String> {
    let labels = routed(name, &format!("PathPrefix(`/{name}`)"), Some(&format!("/{name}")), 8080);
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("--label={key}={value}")).collect();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    docker.run(&[&["create", "--name", name], flags, &labels, &[image]].concat())
}

/// Parses a time in the engine's format, with the help of `date`.
fn engine_time(text: &str) -> Result<SystemTime> {
    let nanos = version(Path::new("date"), &["--date", text, "+%s%N"])?;
    let nanos = nanos.parse().with_context(|| format!("reading the time {text:?}"))?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))
}

/// Prints memory, processor time and wake-ups of an agent with `count` containers that do not change.
fn idle_cost(
    fleet: &Fleet,
    docker: &Docker,
    image: &str,
    agent: &mut Agent,
    count: usize,
    duration: Duration,
) -> Result<()> {
    eprintln!("starting {count} containers");
    thread::scope(|scope| {
        let start = |first: usize| {
            scope.spawn(move || -> Result<()> {
                for number in (first..count).step_by(PARALLEL_STARTS) {
                    let id = create(docker, image, &format!("idle-{number}"), &["--no-healthcheck"])?;
                    docker.run(&["start", &id])?;
                }
                Ok(())
            })
        };
        let threads: Vec<_> = (0..PARALLEL_STARTS).map(start).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("starting containers does not panic"))
    })?;
    let wait_connected = |expected: usize| {
        eventually(TIMEOUT, || -> Result<()> {
            let instances = fleet.hub.instances()?;
            let connected = instances.iter().filter(|instance| instance["connected"] == true).count();
            ensure!(connected == expected, "expected {expected} leases with a connection, got {connected}");
            Ok(())
        })
    };
    wait_connected(count)?;
    agent.stop()?;
    wait_connected(0)?;
    let began = Instant::now();
    agent.restart()?;
    wait_connected(count)?;
    let registered = began.elapsed();

    let pid = agent.process().pid();
    let before = proc::usage(pid)?;
    thread::sleep(duration);
    let Usage { cpu, voluntary, .. } = proc::usage(pid)? - before;
    let share = cpu.as_secs_f64() / duration.as_secs_f64() * 100.0;
    println!();
    println!("{count} containers, measured for {duration:.1?} without changes");
    println!("{:34}{:>8.1} s", "agent's start → all registered", registered.as_secs_f64());
    println!("{:34}{:>8} KiB", "resident memory", proc::resident_kib(pid)?);
    println!("{:34}{share:>8.3} % of a core", "processor time");
    println!("{:34}{voluntary:>8}", "voluntary switches");
    Ok(())
}
