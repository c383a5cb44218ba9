//! `cargo xtask bench agent`: how long until a container that no sidecar wraps gets requests, and what its agent costs
//! when nothing changes.

use std::process::Command;
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

use crate::print;

/// What is started, and all that is built for it.
const PROGRAMS: [&str; 3] = ["hub", "agent", "ping"];
/// Nothing here takes that long unless something is wrong.
const SOON: Duration = Duration::from_secs(30);
/// What the engine starts at a time.
const STARTS: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often the time until a container is routed is measured
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Watch the agent of so many containers as well; each takes memory for a shim
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    containers: Option<u16>,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = cli::nonzero)]
    time: Duration,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binaries = Binaries::named()?;
    let binaries = binaries.map_or_else(|| build::release_of(&PROGRAMS, Some(&build::musl_target())), Ok)?;
    let traefik = tools::traefik()?;
    let lab = Lab::create(&LabOptions::owned(1))?;
    let inside = lab.nodes()[0].enter()?;
    let options =
        FleetOptions { binaries: Some(binaries.clone()), traefik: Some(traefik), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options)?;
    fleet.traefik.wait_ready()?;
    let docker = lab.docker();
    let image = images::build_plain(docker, "swarmlings", &binaries.path("ping"))?;
    let flags =
        ["--hub", &fleet.hub.url(), "--docker", docker.host().context("the lab's engine has a socket")?];
    let mut flags: Vec<_> = flags.iter().map(Into::into).collect();
    flags.extend(["--token-file".into(), fleet.hub.options().token_file.clone().into_os_string()]);
    let mut agent = Agent::start(&binaries, flags)?;

    // The first one ends the hub's time to learn.
    measure(&fleet, docker, &image, "first", false)?;
    let all = |checked: bool| -> Result<Vec<Duration>> {
        let name = |round| format!("{}-{round}", if checked { "checked" } else { "plain" });
        (0..args.rounds).map(|round| measure(&fleet, docker, &image, &name(round), checked)).collect()
    };
    let (plain, checked) = (all(false)?, all(true)?);
    println!("Traefik polls every 100 ms and throttles to 100 ms; {} rounds each; milliseconds", args.rounds);
    println!("{:34}{:>8}{:>8}{:>8}", "", "min", "median", "max");
    print("routed after start, unchecked", plain);
    print("routed after healthy, checked", checked);

    if let Some(count) = args.containers {
        crowd(&fleet, docker, &image, &mut agent, count.into(), args.time)?;
    }
    drop(inside);
    Ok(())
}

/// From the start of a container, or from its being healthy if it is `checked`, to the first answer through Traefik.
fn measure(fleet: &Fleet, docker: &Docker, image: &str, name: &str, checked: bool) -> Result<Duration> {
    let flags = if checked { &["--health-interval=500ms"][..] } else { &["--no-healthcheck"] };
    let id = create(docker, image, name, flags)?;
    let url = format!("{}/{name}", fleet.traefik.url());
    let answered = thread::scope(|scope| -> Result<SystemTime> {
        let asked = scope.spawn(|| eventually(SOON, || http::well(&url).map(|_| SystemTime::now())));
        docker.run(&["start", &id])?;
        asked.join().map_err(|_| anyhow::anyhow!("asking for {url} panicked"))?
    })?;
    let state: Value =
        serde_json::from_str(&docker.run(&["inspect", "--format", "{{json .State}}", &id])?)?;
    let began = if checked {
        let log = state["Health"]["Log"].as_array().into_iter().flatten();
        log.into_iter().find(|probe| probe["ExitCode"] == 0).map(|probe| &probe["End"])
    } else {
        Some(&state["StartedAt"])
    };
    let began = time(began.and_then(Value::as_str).with_context(|| format!("no time in {state}"))?)?;
    docker.run(&["rm", "--force", &id])?;
    Ok(answered.duration_since(began).unwrap_or_default())
}

fn create(docker: &Docker, image: &str, name: &str, flags: &[&str]) -> Result<String> {
    let labels = routed(name, &format!("PathPrefix(`/{name}`)"), Some(&format!("/{name}")), 8080);
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("--label={key}={value}")).collect();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    docker.run(&[&["create", "--name", name], flags, &labels, &[image]].concat())
}

/// A time as the engine writes it.
fn time(text: &str) -> Result<SystemTime> {
    let output = Command::new("date").args(["--date", text, "+%s%N"]).output().context("running date")?;
    let nanos = String::from_utf8_lossy(&output.stdout).trim().parse();
    let nanos = nanos.with_context(|| format!("reading the time {text:?}"))?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))
}

/// What an agent takes that watches `count` containers to which nothing happens.
fn crowd(
    fleet: &Fleet,
    docker: &Docker,
    image: &str,
    agent: &mut Agent,
    count: usize,
    time: Duration,
) -> Result<()> {
    eprintln!("starting {count} containers");
    thread::scope(|scope| {
        let starting: Vec<_> = (0..STARTS)
            .map(|first| {
                scope.spawn(move || -> Result<()> {
                    for number in (first..count).step_by(STARTS) {
                        let id = create(docker, image, &format!("crowd-{number}"), &["--no-healthcheck"])?;
                        docker.run(&["start", &id])?;
                    }
                    Ok(())
                })
            })
            .collect();
        starting.into_iter().try_for_each(|thread| thread.join().expect("starting containers does not panic"))
    })?;
    let registered = || -> Result<()> {
        let instances = fleet.hub.instances()?;
        let held = instances.iter().filter(|instance| instance["connected"] == true).count();
        ensure!(held == count, "the hub holds {held} leases of {count}");
        Ok(())
    };
    eventually(SOON, registered)?;
    agent.stop()?;
    let gone = || -> Result<()> {
        let instances = fleet.hub.instances()?;
        ensure!(
            instances.iter().all(|instance| instance["connected"] == false),
            "an agent is still connected"
        );
        Ok(())
    };
    eventually(SOON, gone)?;
    let began = Instant::now();
    agent.start_again()?;
    eventually(SOON, registered)?;
    let took = began.elapsed();

    let pid = agent.process().pid();
    let before = proc::usage(pid)?;
    thread::sleep(time);
    let Usage { cpu, voluntary, .. } = proc::usage(pid)? - before;
    let share = cpu.as_secs_f64() / time.as_secs_f64() * 100.0;
    println!();
    println!("{count} containers; watched for {time:.1?} while nothing changed");
    println!("{:34}{:>8.1} s", "an agent's start to all registered", took.as_secs_f64());
    println!("{:34}{:>8} KiB", "resident", proc::resident_kib(pid)?);
    println!("{:34}{:>8.3} % of a core", "processor", share);
    println!("{:34}{voluntary:>8} times", "waited and was woken");
    Ok(())
}
