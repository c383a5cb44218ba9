//! `hub ps` and `hub wait` in the containers of three hubs, with `docker exec` only.

use std::time::Duration;

use harness::docker::eventually_on_engine;
use harness::{LabStack, process};

const LONG: Duration = Duration::from_mins(2);

/// Settings of a new version that fails it soon: by default, a task may be unhealthy for the start period of 120 s.
const SHORT_START: [&str; 4] = ["--health-start-period", "10s", "--health-retries", "1"];

/// Runs a command of the hub in one of its containers. Returns its exit code, stdout and stderr.
fn hub(demo: &LabStack, arguments: &[&str]) -> (Option<i32>, String, String) {
    let container = demo.stack().containers_of("hub").unwrap().swap_remove(0);
    let mut command = container.docker().command(&["exec", container.id(), "/hub"]);
    let output = process::run(command.args(arguments)).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn update(demo: &LabStack, changes: &[&str]) {
    let start = ["service", "update", "--quiet", "--no-resolve-image", "--detach"];
    let service = demo.stack().service("hello");
    demo.lab().docker().run(&[&start[..], changes, &[&service]].concat()).unwrap();
}

/// Waits until Swarm has rolled back the update of hello, so that the next one can start.
fn wait_for_rollback(demo: &LabStack) {
    eventually_on_engine(LONG, || {
        let service = demo.stack().service("hello");
        let state = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}";
        demo.lab().docker().run(&["service", "inspect", "--format", state, &service]).unwrap()
            == "rollback_completed"
    })
    .unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn hub_wait_tells_how_updates_of_a_swarm_end() {
    let mut demo = LabStack::demo_with_hubs(3).unwrap();
    let hello = demo.stack().service("hello");
    let (code, _, error) = hub(&demo, &["wait", &hello]);
    assert!(code == Some(2) && error.contains("no agent on a manager"), "{code:?}: {error}");
    demo.join("stacks/agent.yml", "agent", &[]).unwrap();
    let (code, text, error) = hub(&demo, &["wait", &hello, "--timeout", "1m"]);
    assert_eq!((code, text), (Some(0), format!("{hello}: 2 task(s) routed\n")), "{error}");
    // The service is global.
    let (code, text, error) = hub(&demo, &["wait", &demo.stack().service("ping"), "--timeout", "1m"]);
    assert!(code == Some(0) && text.contains("3 task(s) routed"), "{code:?}: {text}{error}");

    // Each hub that Traefik polls routes the new tasks, and no old one is left, as soon as the wait ends.
    let old: Vec<_> =
        demo.stack().containers_of("hello").unwrap().iter().map(|old| old.host().unwrap()).collect();
    update(&demo, &["--force"]);
    let (code, _, error) = hub(&demo, &["wait", &hello]);
    assert_eq!(code, Some(0), "{error}");
    let (code, text, _) = hub(&demo, &["ps", &hello, "--json"]);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tasks = list["tasks"].as_array().unwrap();
    assert!(code == Some(0) && tasks.len() == 2 && list["hubs"].as_array().unwrap().len() == 3, "{text}");
    for task in tasks {
        assert!(task["state"] == "routed" && !old.iter().any(|host| task["host"] == **host), "{text}");
    }

    let rule = "traefik.http.routers.hello.rule=PathPrefix(`/hello/`, `/hallo/`)";
    update(&demo, &[&SHORT_START[..], &["--label-add", rule]].concat());
    let (code, _, error) = hub(&demo, &["wait", &hello]);
    assert!(code == Some(1) && error.contains("refuses") && error.contains("rule"), "{code:?}: {error}");
    wait_for_rollback(&demo);

    update(&demo, &["--env-add", "SERVICE_PORT=none"]);
    let (code, _, error) = hub(&demo, &["wait", &hello]);
    assert!(code == Some(1) && error.contains("rolled back"), "{code:?}: {error}");
    wait_for_rollback(&demo);
}
