//! Updates of a service that cannot be routed: each is rolled back and fails no request. Invariant 3.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::LabStack;
use harness::docker::eventually_on_engine;
use harness::load::{HELLO, pass_all, wait_for_all};
use harness::{Load, LoadOptions};

const LONG: Duration = Duration::from_mins(2);

/// Settings of a new version that fail it soon: by default, a task may be unhealthy for the start period of 120 s.
const SHORT_START: [&str; 4] = ["--health-start-period", "5s", "--health-retries", "1"];

/// Without a wait, the exception for a hub that no router polls would show at once where it does not belong.
const NO_WAIT: &str = "SIDECAR_ROUTED_TIMEOUT=0s";

/// Updates hello with `changes` under load, and waits until Swarm has rolled the update back. `reason` has to be in the
/// output of the failed health checks. `restore` runs once the update has failed.
fn fail_update(
    changes: &[&str],
    reason: &str,
    before: impl FnOnce(&LabStack),
    restore: impl FnOnce(&LabStack),
) {
    let demo = LabStack::demo().unwrap();
    let name = demo.stack().service("hello");
    let old = ids(&demo).unwrap();
    let loads: Vec<_> = demo.lab().nodes()[..2]
        .iter()
        .map(|node| {
            let options = LoadOptions { rate: 100, instance: HELLO, ..LoadOptions::default() };
            Load::start(demo.url(node, "/plain/hello/viktor"), &options).unwrap()
        })
        .collect();
    wait_for_all(&loads, 100, LONG).unwrap();
    before(&demo);

    let update = ["service", "update", "--quiet", "--no-resolve-image", "--detach"];
    demo.lab().docker().run(&[&update[..], &SHORT_START, changes, &[&name]].concat()).unwrap();
    eventually_on_engine(LONG, || -> Result<()> {
        let output = health_output(&demo)?;
        ensure!(output.contains(reason), "no health check says {reason:?}: {output}");
        Ok(())
    })
    .unwrap();
    eventually_on_engine(LONG, || -> Result<()> {
        let state = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}";
        let state = demo.lab().docker().run(&["service", "inspect", "--format", state, &name])?;
        ensure!(state.starts_with("rollback") || state == "paused", "update state: {state}");
        // The old version is never interrupted.
        let running = ids(&demo)?;
        ensure!(old.iter().all(|id| running.contains(id)), "{old:?} were replaced by {running:?}");
        Ok(())
    })
    .unwrap();
    restore(&demo);
    demo.wait_routed().unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

/// IDs of the running containers of hello.
fn ids(demo: &LabStack) -> Result<Vec<String>> {
    let containers = demo.stack().containers_of("hello")?;
    Ok(containers.into_iter().map(|container| container.id().to_owned()).collect())
}

/// Output of the last health checks of all containers of hello, running or not.
fn health_output(demo: &LabStack) -> Result<String> {
    let format = "{{if .State.Health}}{{range .State.Health.Log}}{{.Output}}{{end}}{{end}}";
    let outputs = demo.stack().containers_of("hello")?.into_iter().map(|container| {
        // A container may be removed at any time.
        Ok(container.inspect(format).unwrap_or_default())
    });
    outputs.collect()
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn update_with_a_wrong_token_is_rolled_back() {
    let token = "SIDECAR_TOKEN_FILE=/etc/hostname";
    // A text that is not the token.
    fail_update(&["--env-add", token, "--env-add", NO_WAIT], "token rejected", |_| {}, |_| {});
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn update_without_a_hub_is_rolled_back() {
    let scale = |demo: &LabStack, replicas: usize| {
        let scale = format!("{}={replicas}", demo.stack().service("hub"));
        demo.lab().docker().run(&["service", "scale", "--detach", &scale]).unwrap();
        eventually_on_engine(LONG, || demo.stack().containers_of("hub").unwrap().len() == replicas).unwrap();
    };
    fail_update(&["--force", "--env-add", NO_WAIT], "hub", |demo| scale(demo, 0), |demo| scale(demo, 1));
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn update_with_a_rejected_label_is_rolled_back() {
    let label = "traefik.http.middlewares.hello.strippprefix.prefixes=/hello";
    fail_update(&["--label-add", label], "strippprefix", |_| {}, |_| {});
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn update_with_a_middleware_of_a_file_that_traefik_does_not_have_is_rolled_back() {
    let label = "traefik.http.routers.hello.middlewares=hello-retry,hello,x@file";
    fail_update(&["--label-add", label], "x@file", |_| {}, |_| {});
}

#[test]
fn update_with_a_rule_that_traefik_rejects_is_rolled_back() {
    let label = "traefik.http.routers.hello.rule=PathPrefix(`/hello/`, `/hallo/`)";
    fail_update(&["--label-add", label], "PathPrefix", |_| {}, |_| {});
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn update_with_an_entry_point_that_traefik_does_not_have_is_rolled_back() {
    let label = "traefik.http.routers.hello.entrypoints=missing";
    fail_update(&["--label-add", label], "missing", |_| {}, |_| {});
}
