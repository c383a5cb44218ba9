//! Invariant 4: routed means confirmed, and the wait for it is bounded.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Fleet, FleetOptions, InstanceSpec, Loopback, Traefik, eventually, process, tools};
use harness::{SpawnOptions, traefik::TraefikOptions};

const SOON: Duration = Duration::from_secs(20);

/// A task's name, and `sidecar healthcheck` with it in the environment.
fn with_task(spec: &mut InstanceSpec) -> Command {
    let task = format!("{}.{}", spec.host, spec.address.to_string().replace([':', '.'], "-"));
    spec.sidecar_arguments.extend(["--task".to_owned(), task.clone()]);
    let mut command = process::command(&spec.sidecar);
    command.arg("healthcheck").env("SIDECAR_TASK", task).env("SIDECAR_HUB", &spec.hub);
    command
}

fn ask(healthcheck: &mut Command) -> Result<(bool, String)> {
    let Output { status, stdout, stderr } = healthcheck.output()?;
    Ok((status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()))
}

fn wait_for_red(healthcheck: &mut Command, reason: &str) {
    let red = eventually(SOON, || {
        let (green, text) = ask(healthcheck)?;
        ensure!(!green && text.contains(reason), "green={green}: {text}");
        Ok(())
    });
    red.unwrap();
}

fn wait_for_green(healthcheck: &mut Command) -> String {
    let green = eventually(SOON, || {
        let (green, text) = ask(healthcheck)?;
        ensure!(green, "{text}");
        Ok(text)
    });
    green.unwrap()
}

#[test]
fn healthcheck_turns_green_only_when_traefik_routes_to_the_task() {
    let mut fleet = Fleet::start().unwrap();
    fleet.traefik.kill().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    let instance = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "not yet routed");
    fleet.traefik.restart().unwrap();
    wait_for_green(&mut healthcheck);
    assert!(fleet.traefik.api().servers().unwrap().contains(&instance.url()));
}

#[test]
fn every_router_that_polls_has_to_confirm() {
    let mut fleet = Fleet::start().unwrap();
    let loopback = Loopback::new();
    let (entry, api) = (loopback.free().unwrap(), loopback.free().unwrap());
    let mut options = TraefikOptions::new(tools::traefik().unwrap(), entry, api, fleet.hub.url());
    options.router = "other".to_owned();
    let mut other = Traefik::spawn(options, SpawnOptions::default()).unwrap();
    other.wait_ready().unwrap();
    let _first = fleet.start_all("ping", 1).unwrap();
    eventually(SOON, || {
        other
            .api()
            .servers()
            .map(|servers| servers.len() == 1)?
            .then_some(())
            .ok_or_else(|| anyhow::anyhow!("no route yet"))
    })
    .unwrap();
    other.process().signal(harness::Signal::STOP).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    let mut instance = [fleet.launch(spec).unwrap()];
    fleet.wait_routed(&mut instance).unwrap();
    wait_for_red(&mut healthcheck, "not yet routed");
    other.process().signal(harness::Signal::CONT).unwrap();
    wait_for_green(&mut healthcheck);
    assert!(other.api().servers().unwrap().contains(&instance[0].url()));
    assert!(fleet.traefik.process().try_wait().unwrap().is_none());
}

#[test]
fn missing_traefik_does_not_block_a_deploy() {
    let mut fleet = Fleet::spawn(FleetOptions::default()).unwrap();
    fleet.traefik.kill().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    spec.sidecar_arguments.extend(["--routed-timeout", "500ms"].map(str::to_owned));
    let mut instance = fleet.launch(spec).unwrap();
    let text = wait_for_green(&mut healthcheck);
    assert!(text.contains("not routed"), "{text}");
    instance.sidecar().log().wait_for("WARN", SOON).unwrap();
}

#[test]
fn bad_label_never_turns_green() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    spec.sidecar_arguments.extend(["--routed-timeout", "1ms"].map(str::to_owned));
    spec.labels.push(("traefik.http.routers.ping.priority".to_owned(), "high".to_owned()));
    let _instance = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "traefik.http.routers.ping.priority");
}

#[test]
fn hub_that_dies_does_not_turn_a_routed_task_red() {
    let mut fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    let mut instance = fleet.launch(spec).unwrap();
    wait_for_green(&mut healthcheck);
    fleet.hub.kill().unwrap();
    instance.sidecar().log().wait_for("hub", SOON).unwrap();
    wait_for_green(&mut healthcheck);
}
