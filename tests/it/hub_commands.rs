//! `hub ps`, `hub explain` and `hub wait`, with real hubs and Traefik. tests/lab has a swarm.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use harness::{Binaries, Fleet, FleetOptions, TIMEOUT, eventually, http, process};
use serde_json::{Value, json};

/// Exit code, stdout and stderr of a command.
type Output = (Option<i32>, String, String);

/// Runs a command of the hub, with a token of role reader.
fn hub(fleet: &Fleet, arguments: &[&str]) -> Output {
    let token = fleet.hub.token_file(&fleet.hub.master().unwrap().role("reader")).unwrap();
    hub_with(arguments, &[("HUB_URL", fleet.hub.url()), ("HUB_TOKEN_FILE", token.display().to_string())])
}

fn hub_with(arguments: &[&str], environment: &[(&str, String)]) -> Output {
    let mut command = process::command(Binaries::find().unwrap().path("hub"));
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    let output = process::run(&mut command).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn label(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Waits until the hub's metrics have this line.
fn wait_for_metric(fleet: &Fleet, line: &str) {
    eventually(TIMEOUT, || {
        let metrics = http::get(&format!("{}/metrics", fleet.hub.url()))?.body;
        ensure!(metrics.lines().any(|found| found == line), "no {line}: {metrics}");
        Ok(())
    })
    .unwrap();
}

fn fleet(options: FleetOptions) -> Fleet {
    let mut fleet = Fleet::spawn(options).unwrap();
    fleet.traefik.wait_ready().unwrap();
    fleet
}

#[test]
fn ps_lists_tasks_with_their_states() {
    let fleet = fleet(FleetOptions::default());
    let pings = fleet.start_all("ping", 2).unwrap();
    let mut refused = fleet.spec("hello", "hello-1").unwrap();
    refused.labels.push(label("traefik.http.routers.hello.rool", "x"));
    let _refused = fleet.launch(refused).unwrap();
    fleet.hub.wait_routing("hello-1", "refused").unwrap();
    for host in ["ping-1", "ping-2"] {
        fleet.hub.wait_routing(host, "confirmed").unwrap();
    }
    wait_for_metric(&fleet, "hub_refusals{service=\"hello\",kind=\"labels\"} 1");
    let (code, text, errors) = hub(&fleet, &["ps"]);
    assert_eq!((code, &*errors), (Some(0), ""), "{text}");
    let rows =
        |state: &str| text.lines().filter(|line| line.split_whitespace().any(|word| word == state)).count();
    assert_eq!(rows("routed"), 2, "{text}");
    assert!(
        text.contains("1/1 hub") && text.contains("current") && text.contains("unknown option \"rool\""),
        "{text}"
    );
    assert!(text.contains(": 1 router(s)"), "{text}");

    let (code, json, _) = hub(&fleet, &["ps", "ping", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let hosts: Vec<_> = json["tasks"].as_array().unwrap().iter().map(|task| task["host"].clone()).collect();
    assert_eq!((code, hosts), (Some(0), vec![json!("ping-1"), json!("ping-2")]));
    assert_eq!((&json["tasks"][0]["state"], &json["failed"]), (&json!("routed"), &json!([])));
    drop(pings);
}

#[test]
fn explain_shows_labels_configuration_and_verdict() {
    let fleet = fleet(FleetOptions::default());
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.labels.push(label(
        "traefik.http.middlewares.auth.basicauth.users",
        "me:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/",
    ));
    let _ping = fleet.launch(spec).unwrap();
    fleet.hub.wait_routing("ping-1", "confirmed").unwrap();
    let (code, text, _) = hub(&fleet, &["explain", "ping"]);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "traefik.http.middlewares.auth.basicauth.users=(redacted)",
        "\"rule\": ",
        "\"url\": \"http://",
        "router traefik of hub",
        "reports no error for this service",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!text.contains("apr1"), "{text}");

    // Only Traefik knows its entry points.
    let mut other = fleet.spec("hello", "hello-1").unwrap();
    other.labels.push(label("traefik.http.routers.hello.entrypoints", "missing"));
    let _hello = fleet.launch(other).unwrap();
    eventually(TIMEOUT, || {
        let (code, text, _) = hub(&fleet, &["explain", "hello"]);
        ensure!(code == Some(1) && text.contains("refuses") && text.contains("missing"), "{code:?}: {text}");
        Ok(())
    })
    .unwrap();
    wait_for_metric(&fleet, "hub_refusals{service=\"hello\",kind=\"traefik\"} 1");
}

#[test]
fn errors_of_commands_say_what_to_do() {
    let fleet = fleet(FleetOptions::default());
    let _pings = fleet.start_all("ping", 1).unwrap();
    for command in ["ps", "explain"] {
        let (code, _, error) = hub(&fleet, &[command, "pingg"]);
        assert_eq!(
            (code, &*error),
            (Some(1), "hub: no service \"pingg\"; did you mean \"ping\"?\n"),
            "{command}"
        );
    }
    let url = || ("HUB_URL", fleet.hub.url());
    let token_file =
        |token: &str| ("HUB_TOKEN_FILE", fleet.hub.token_file(token).unwrap().display().to_string());
    let master = fleet.hub.master().unwrap();
    for (environment, code, part) in [
        (vec![url()], 1, "token rejected"),
        (vec![url(), token_file(&master.service("ping"))], 1, "needs role reader"),
        (vec![url(), ("HUB_TOKEN_FILE", "/nowhere".to_owned())], 64, "/nowhere"),
        (vec![("HUB_URL", "http://127.0.0.1:1".to_owned())], 1, "connection refused"),
        (vec![("HUB_URL", "http://no-such-hub.invalid:1".to_owned())], 1, "--hub sets the URL"),
        (vec![("HUB_URL", "hub:8080".to_owned())], 64, "environment variable HUB_URL"),
        (vec![("HUB_URL", "https://hub:8080".to_owned())], 64, "--hub-ca"),
    ] {
        let (found, _, error) = hub_with(&["ps"], &environment);
        assert!(found == Some(code) && error.contains(part), "{environment:?}: {found:?} {error}");
    }
    // The master token is enough, as in the container of a hub.
    assert_eq!(hub_with(&["ps"], &[url(), token_file(master.as_str())]).0, Some(0));
}

#[test]
fn commands_work_over_https() {
    let fleet = fleet(FleetOptions { has_tls: true, ..FleetOptions::default() });
    let pings = fleet.start_all("ping", 1).unwrap();
    fleet.wait_responses("/ping", &pings).unwrap();
    let ca = fleet.hub.ca_flags();
    let arguments: Vec<_> = ["ps"].into_iter().chain(ca.iter().map(String::as_str)).collect();
    eventually(TIMEOUT, || {
        let (code, text, error) = hub(&fleet, &arguments);
        ensure!(code == Some(0) && text.contains("  routed  "), "{text} {error}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn wait_needs_an_agent_on_a_manager() {
    let fleet = fleet(FleetOptions::default());
    let _pings = fleet.start_all("ping", 1).unwrap();
    let (code, _, error) = hub(&fleet, &["wait", "ping"]);
    assert!(code == Some(2) && error.contains("no agent on a manager"), "{code:?}: {error}");
    let (code, _, error) = hub(&fleet, &["wait", "pin"]);
    assert!(code == Some(1) && error.contains("did you mean \"ping\"?"), "{code:?}: {error}");
}

/// Answers as an agent on a manager until the test ends: ping has these replicas, all of its routed tasks, and this state.
fn answer(fleet: &Fleet, replicas: u64, state: &'static str) -> impl Drop + use<> {
    struct Stop(std::sync::mpsc::Sender<()>);
    impl Drop for Stop {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (stop, stopped) = std::sync::mpsc::channel();
    let (url, master) = (fleet.hub.url(), fleet.hub.master().unwrap());
    thread::spawn(move || {
        let agent = http::agent(TIMEOUT, false);
        let send = |method: &str, path: &str, body: &Value| -> anyhow::Result<Value> {
            let request = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
            let request = request.header("authorization", format!("Bearer {}", master.role("manager")));
            let text = agent.run(request.body(body.to_string())?)?.body_mut().read_to_string()?;
            Ok(serde_json::from_str(&text)?)
        };
        let spec = json!({"services": {"ping": {"version": 1}}});
        send("PUT", "/v1/managers/m", &spec).unwrap();
        while stopped.recv_timeout(Duration::from_millis(100)).is_err() {
            let Ok(heartbeat) = send("POST", "/v1/heartbeat", &Value::Null) else { return };
            let Some(number) = heartbeat["asked"]["ping"].as_u64() else { continue };
            let instances = http::json_as_reader(&master, &format!("{url}/v1/instances")).unwrap();
            let ids = instances.as_array().unwrap().iter().map(|own| own["id"].as_str().unwrap().to_owned());
            let tasks: BTreeMap<_, _> = ids.map(|id| (id, "running")).collect();
            let update = json!({
                "number": number, "version": 1, "replicas": replicas, "state": state, "message": "task failed", "tasks": tasks,
            });
            send("PUT", "/v1/updates/ping", &update).unwrap();
        }
    });
    Stop(stop)
}

#[test]
fn wait_ends_once_the_update_is_routed_or_has_failed() {
    let fleet = fleet(FleetOptions::default());
    let mut pings = fleet.start_all("ping", 1).unwrap();
    {
        let _agent = answer(&fleet, 2, "completed");
        let (code, _, error) = hub(&fleet, &["wait", "ping", "--timeout", "2s"]);
        assert!(
            code == Some(1) && error.contains("not routed within 2s: 1 of 2 task(s)"),
            "{code:?}: {error}"
        );
        pings.extend([fleet.launch(fleet.spec("ping", "ping-2").unwrap()).unwrap()]);
        let (code, text, error) = hub(&fleet, &["wait", "ping"]);
        assert_eq!((code, &*text), (Some(0), "ping: 2 task(s) routed\n"), "{error}");
        // No sooner.
        assert_eq!(fleet.hub.instance("ping-2").unwrap()["routing"]["state"], "confirmed");
    }
    {
        let _agent = answer(&fleet, 2, "rollback_started");
        let (code, _, error) = hub(&fleet, &["wait", "ping"]);
        assert!(
            code == Some(1) && error.contains("rolled back (rollback_started): task failed"),
            "{code:?}: {error}"
        );
    }
    let _agent = answer(&fleet, 3, "updating");
    let mut refused = fleet.spec("ping", "ping-3").unwrap();
    refused.labels.push(label("traefik.http.routers.another.rule", "Paht(`/`)"));
    pings.push(fleet.launch(refused).unwrap());
    let (code, _, error) = hub(&fleet, &["wait", "ping"]);
    assert!(code == Some(1) && error.contains("refuses") && error.contains("Paht"), "{code:?}: {error}");
}
