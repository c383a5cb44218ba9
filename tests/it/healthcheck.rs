//! Green means routed: `sidecar healthcheck` first succeeds once every router that polls the hub has confirmed the route.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Fleet, InstanceSpec, Signal, TIMEOUT, eventually, process};

/// Adds a task name to `spec`, and returns the command `sidecar healthcheck` for that task.
fn with_task(spec: &mut InstanceSpec) -> Command {
    let task = format!("{}.{}", spec.host, spec.address.to_string().replace([':', '.'], "-"));
    spec.sidecar_arguments.extend(["--task".to_owned(), task.clone()]);
    let mut command = process::command(&spec.sidecar);
    command.arg("healthcheck").env("SIDECAR_TASK", task).env("SIDECAR_HUB", &spec.hub);
    command
}

fn check(healthcheck: &mut Command) -> Result<(bool, String)> {
    let Output { status, stdout, stderr } = healthcheck.output()?;
    Ok((status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()))
}

fn wait_for_red(healthcheck: &mut Command, reason: &str) {
    let red = eventually(TIMEOUT, || {
        let (green, text) = check(healthcheck)?;
        ensure!(!green && text.contains(reason), "green={green}: {text}");
        Ok(())
    });
    red.unwrap();
}

fn wait_for_green(healthcheck: &mut Command) -> String {
    wait_for_green_within(healthcheck, TIMEOUT)
}

fn wait_for_green_within(healthcheck: &mut Command, timeout: Duration) -> String {
    let green = eventually(timeout, || {
        let (green, text) = check(healthcheck)?;
        ensure!(green, "{text}");
        Ok(text)
    });
    green.unwrap()
}

#[test]
fn task_starts_after_another_service_is_routed() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    spec.sidecar_arguments.extend(["--after", "ping"].map(str::to_owned));
    let mut healthcheck = with_task(&mut spec);
    let mut hello = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "starting: waiting for service ping: not routed");
    assert!(fleet.hub.instances().unwrap().is_empty(), "it has registered");
    let _ping = fleet.start_all("ping", 1).unwrap();
    wait_for_green(&mut healthcheck);
    assert!(hello.stop().unwrap().success());
}

#[test]
fn healthcheck_is_green_only_after_traefik_routes_to_the_task() {
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
fn every_polling_router_must_confirm() {
    let mut fleet = Fleet::start().unwrap();
    let mut other = fleet.another_traefik("other").unwrap();
    let _first = fleet.start_all("ping", 1).unwrap();
    eventually(TIMEOUT, || {
        ensure!(other.api().servers()?.len() == 1, "no route yet");
        Ok(())
    })
    .unwrap();
    other.process().signal(Signal::STOP).unwrap();
    let mut spec = fleet.spec("hello", "hello-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    let mut instance = [fleet.launch(spec).unwrap()];
    fleet.wait_routed(&mut instance).unwrap();
    wait_for_red(&mut healthcheck, "not yet routed");
    other.process().signal(Signal::CONT).unwrap();
    wait_for_green(&mut healthcheck);
    assert!(other.api().servers().unwrap().contains(&instance[0].url()));
    assert!(fleet.traefik.process().try_wait().unwrap().is_none());
}

/// A hub that has just started expects a router for a minute.
#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn task_is_green_with_a_warning_once_no_router_polls() {
    let mut fleet = Fleet::start().unwrap();
    fleet.traefik.kill().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    spec.sidecar_arguments.extend(["--routed-timeout", "500ms"].map(str::to_owned));
    let mut instance = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "not yet routed");
    let text = wait_for_green_within(&mut healthcheck, TIMEOUT * 4);
    assert!(text.contains("not routed"), "{text}");
    instance.sidecar().log().wait_for("WARN", TIMEOUT).unwrap();
}

#[test]
fn task_with_a_wrong_token_is_never_green() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    let directory = tempfile::tempdir().unwrap();
    spec.token_file = directory.path().join("token");
    std::fs::write(&spec.token_file, "another token, which this hub does not know").unwrap();
    spec.sidecar_arguments.extend(["--routed-timeout", "1ms"].map(str::to_owned));
    let _instance = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "healthy, but not yet routed: hub ");
    wait_for_red(&mut healthcheck, "token rejected");
}

#[test]
fn task_without_a_hub_is_red_until_the_hub_returns() {
    let mut fleet = Fleet::start().unwrap();
    fleet.hub.kill().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    spec.sidecar_arguments.extend(["--routed-timeout", "1ms"].map(str::to_owned));
    let instance = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "healthy, but not yet routed: hub ");
    fleet.hub.restart().unwrap();
    wait_for_green(&mut healthcheck);
    assert!(fleet.traefik.api().servers().unwrap().contains(&instance.url()));
}

#[test]
fn task_with_an_invalid_label_is_never_green() {
    let fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    spec.sidecar_arguments.extend(["--routed-timeout", "1ms"].map(str::to_owned));
    spec.labels.push(("traefik.http.routers.ping.priority".to_owned(), "high".to_owned()));
    let _instance = fleet.launch(spec).unwrap();
    wait_for_red(&mut healthcheck, "traefik.http.routers.ping.priority");
}

#[test]
fn killed_hub_does_not_turn_a_routed_task_red() {
    let mut fleet = Fleet::start().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    let mut healthcheck = with_task(&mut spec);
    let mut instance = fleet.launch(spec).unwrap();
    wait_for_green(&mut healthcheck);
    fleet.hub.kill().unwrap();
    instance.sidecar().log().wait_for("hub", TIMEOUT).unwrap();
    wait_for_green(&mut healthcheck);
}
