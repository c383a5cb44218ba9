//! `stacks/canary.yml` and `stacks/canary.sh`: shares of requests for a new version, with load's assertions as the gate.

use std::path::Path;
use std::time::Duration;

use harness::load::HELLO;
use harness::stack::Stack;
use harness::{LabStack, Load, LoadOptions, Process, SpawnOptions, eventually};
use serde_json::Value;

const LONG: Duration = Duration::from_mins(2);

/// How the script ended, and the report of each step.
struct Outcome {
    code: Option<i32>,
    reports: Vec<Value>,
    output: String,
}

/// Runs the script on the manager, with the demo's URL and these steps.
fn shift(demo: &LabStack, steps: &str, flags: &[&str]) -> Outcome {
    let leader = demo.lab().node("leader").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/canary.sh");
    let mut command = demo.command(leader, "sh").unwrap();
    command
        .arg(script)
        .args(["--json", "-", "--quiet", "--rate", "20"])
        .args(flags)
        .arg(demo.url(leader, "/hello/viktor"));
    command.env("STEPS", steps);
    let options = SpawnOptions { separate_stdout: true, ..SpawnOptions::default() };
    let mut process = Process::spawn("canary.sh", &mut command, options).unwrap();
    let code = process.wait(LONG).unwrap().code();
    process.stdout().wait_for_end(LONG).unwrap();
    let lines = process.stdout().lines();
    let json: String = lines.iter().filter(|line| !line.starts_with("the new version")).cloned().collect();
    let reports = serde_json::Deserializer::from_str(&json).into_iter().collect::<Result<_, _>>();
    let output = lines.join("\n");
    Outcome { code, reports: reports.unwrap_or_else(|error| panic!("{error}: {output}")), output }
}

/// Share of the requests that tasks of `service` responded to, in percent.
fn share(report: &Value, service: &str) -> f64 {
    let instances = report["instances"].as_array().unwrap().iter();
    let own = instances.filter(|one| one["name"].as_str().is_some_and(|name| name.starts_with(service)));
    own.map(|one| one["share"].as_f64().unwrap() * 100.0).sum()
}

/// Waits until a worker's Traefik sends no request to the new version.
fn wait_unused(demo: &LabStack, canary: &Stack) {
    let hosts: Vec<_> =
        canary.containers_of("hello-next").unwrap().iter().map(|one| one.host().unwrap()).collect();
    assert_eq!(hosts.len(), 1);
    eventually(LONG, || {
        let load = users(demo);
        load.wait_for_more(100, LONG).unwrap();
        load.pass()
            .is_ok_and(|report| report.instances.iter().all(|one| one.name.as_ref() != Some(&hosts[0])))
    })
    .unwrap();
}

fn users(demo: &LabStack) -> Load {
    let options = LoadOptions { rate: 100, instance: HELLO, ..LoadOptions::default() };
    let worker = demo.lab().node("worker-1").unwrap();
    Load::start(demo.url(worker, "/hello/viktor"), &options).unwrap()
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn new_version_gets_its_shares_while_no_request_fails_and_none_after_a_failure() {
    let mut demo = LabStack::demo().unwrap();
    demo.join("stacks/agent.yml", "agent", &[]).unwrap();
    let image = demo.images().name("hello");
    let canary = demo.join("stacks/canary.yml", "canary", &[("NEXT_IMAGE", &image)]).unwrap();
    let (next, docker) = (canary.service("hello-next"), demo.lab().docker().clone());
    let weights = || {
        let label = |number| {
            format!(
                "{{{{index .Spec.Labels \"traefik.http.services.hello-split.weighted.services[{number}].weight\"}}}}"
            )
        };
        docker.run(&["service", "inspect", "--format", &format!("{} {}", label(0), label(1)), &next]).unwrap()
    };
    let tasks = || docker.list(&["service", "ps", "--quiet", &next]).unwrap();
    let before = tasks();
    let load = users(&demo);

    // Only requests of testers reach it.
    let testers = shift(&demo, "0", &["--header", "x-canary: 1", "--duration", "2s"]);
    assert_eq!(testers.code, Some(0), "{}", testers.output);
    assert!(share(&testers.reports[0], "canary_hello-next.") > 99.9, "{}", testers.output);

    let steps = [10.0, 40.0, 100.0];
    let good = shift(&demo, "10 40 100", &["--duration", "5s"]);
    assert_eq!((good.code, good.reports.len()), (Some(0), 3), "{}", good.output);
    assert_eq!(weights(), "0 100");
    for (report, percent) in good.reports.iter().zip(steps) {
        let share = share(report, "canary_hello-next.");
        // Routers take a moment to use a new share, and begin again to count at each change.
        assert!(share > percent * 0.6 && share < percent + 5.0, "{share} % instead of {percent} %");
    }
    assert_eq!(tasks(), before, "no task is replaced");

    // hello gets no requests, is updated, and takes over again.
    demo.stack().replace(&["hello"], LONG).unwrap();
    let back = shift(&demo, "0", &["--duration", "2s"]);
    assert_eq!(back.code, Some(0), "{}", back.output);
    assert_eq!(weights(), "100 0");
    wait_unused(&demo, &canary);
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();

    // A version whose responses are an error half of the time, and one that refuses connections: retries hide that from clients, but
    // its tasks respond to no request.
    let echo = demo.images().name("echo");
    for (variable, failed) in [("SERVICE_PORT=8080", true), ("SERVICE_PORT=80", false)] {
        let update =
            ["service", "update", "--quiet", "--no-resolve-image", "--detach=false", "--image", &echo];
        let variables = ["--env-add", variable, "--env-add", "SERVICE_DEFAULT_STATUS=200,503", &next];
        docker.run(&[&update[..], &variables].concat()).unwrap();
        canary.wait_updated("hello-next", LONG).unwrap();
        let faulty = shift(&demo, "20 100", &["--duration", "5s"]);
        let [report] = &faulty.reports[..] else { panic!("more than one step: {}", faulty.output) };
        assert_eq!((faulty.code, report["failed"] != 0), (Some(1), failed), "{}", faulty.output);
        assert_eq!(weights(), "100 0");
        wait_unused(&demo, &canary);
    }

    // The demo's own router takes over.
    let load = users(&demo);
    load.wait_for_more(100, LONG).unwrap();
    canary.remove(LONG).unwrap();
    load.wait_for_more(300, LONG).unwrap();
    load.pass().unwrap();
}
