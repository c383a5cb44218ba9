//! `stacks/demo.yml` on a Docker engine with a swarm of one node.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::ensure;
use harness::certificates::{Certificates, P256, presented};
use harness::docker::eventually_on_engine;
use harness::load::{HELLO, PONG, wait_for_all};
use harness::service_process::connect;
use harness::traefik::{DASHBOARD, DASHBOARD_USER};
use harness::{Load, LoadOptions, Loopback, SwarmStack, TraefikApi, apache, eventually, http};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(30);

#[test]
fn demo_answers_as_in_the_article() {
    let stack = SwarmStack::deploy().unwrap();

    let [ping] = &hosts(&stack, "ping")[..] else { panic!("expected one container of ping") };
    assert_eq!(stack.wait_body("/ping").unwrap(), format!("Pong from {ping}\n"));

    let hellos = hosts(&stack, "hello");
    assert_eq!(hellos.len(), 2);
    let expected: BTreeSet<_> = hellos.iter().map(|host| format!("Hello, Viktor! (from {host})\n")).collect();
    let mut seen = BTreeSet::new();
    eventually(LONG, || {
        seen.insert(stack.wait_body("/hello/viktor").unwrap());
        seen == expected
    })
    .unwrap_or_else(|error| panic!("{error}: {seen:?} instead of {expected:?}"));
}

#[test]
fn echo_stack_joins_the_demo_and_each_task_names_itself() {
    let mut stack = SwarmStack::deploy().unwrap();
    assert!(stack.stack().dependents().unwrap().is_empty());
    let joined = stack.join_with("stacks/echo.yml", &[]).unwrap();
    // `cargo xtask swarm down` refuses to remove the demo's network while they use it.
    assert_eq!(stack.stack().dependents().unwrap(), [joined.service("echo")]);
    let url = stack.url("/echo/api");
    stack.wait_body("/echo/api").unwrap();
    let mut slots = BTreeSet::new();
    eventually(LONG, || {
        let response = http::get(&url).unwrap();
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.header("x-state"), Some("serving"));
        let (task, slot) = (response.header("x-task").unwrap(), response.header("x-slot").unwrap());
        assert!(task.contains(&format!("_echo.{slot}.")), "{task} in slot {slot}");
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!((&body["url"], &body["prefix"]), (&"/api".into(), &"/echo".into()), "{}", response.body);
        slots.insert(slot.to_owned());
        slots.len() == 2
    })
    .unwrap_or_else(|error| panic!("{error}: {slots:?}"));
}

#[test]
fn dashboard_asks_for_a_password() {
    let stack = SwarmStack::deploy().unwrap();
    let port = Loopback::at(Ipv4Addr::UNSPECIFIED.into()).free().unwrap().port().to_string();
    stack.extend(DASHBOARD, &[DASHBOARD_USER, ("DASHBOARD_PORT", &port)]).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    for path in ["/dashboard/", "/api/rawdata"] {
        eventually(LONG, || {
            let status = http::get(&format!("{url}{path}"))?.status;
            ensure!(status == 401, "{path}: status {status}");
            Ok(())
        })
        .unwrap();
    }
    let api = TraefikApi::new(url, "http");
    eventually(LONG, || {
        let routers = api.routers()?;
        ensure!(routers.contains_key("ping@http"), "{routers:?}");
        Ok(())
    })
    .unwrap();
    // An update is green only if the hub, too, reads the API.
    stack.stack().force_update("hello").unwrap();
}

#[test]
fn tcp_connections_name_their_task_and_client() {
    let stack = SwarmStack::deploy().unwrap();
    let address = Loopback::at(Ipv4Addr::UNSPECIFIED.into()).free().unwrap();
    stack.extend("stacks/echo-tcp.yml", &[("TCP_PORT", &address.port().to_string())]).unwrap();
    let mut slots = BTreeSet::new();
    eventually(LONG, || {
        let mut stream = connect((Ipv4Addr::LOCALHOST, address.port()).into());
        stream.write_all(b"hello\n")?;
        let (mut greeting, mut echo) = (String::new(), String::new());
        let mut stream = BufReader::new(stream);
        stream.read_line(&mut greeting)?;
        stream.read_line(&mut echo)?;
        assert_eq!(echo, "hello\n");
        let greeting: Value = serde_json::from_str(&greeting)?;
        let (task, slot) = (greeting["task"].as_str().unwrap(), greeting["slot"].as_str().unwrap());
        assert!(task.contains(&format!("_echo.{slot}.")), "{greeting}");
        slots.insert(slot.to_owned());
        ensure!(slots.len() == 2, "only {slots:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn changed_file_of_a_config_rolls_out_and_fails_no_request() {
    let stack = SwarmStack::deploy().unwrap();
    let prefix = stack.stack().name().to_owned();
    let changed = tempfile::NamedTempFile::new().unwrap();
    fs::write(changed.path(), "Salut, {name} !\n").unwrap();
    let deploy = |version, file: Option<&str>| {
        let variables = [("GREETING_PREFIX", prefix.as_str()), ("GREETING_VERSION", version)];
        let file = file.map(|file| ("GREETING_FILE", file));
        let variables: Vec<_> = variables.into_iter().chain(file).collect();
        stack.extend("stacks/configs.yml", &variables).unwrap();
    };
    let greets = |greeting: &str| {
        let answers = || stack.wait_body("/plain/hello/viktor").is_ok_and(|body| body.starts_with(greeting));
        // Each task in turn.
        eventually_on_engine(LONG, || (0..4).all(|_| answers())).unwrap();
    };
    deploy("1", None);
    greets("Grüezi, Viktor! (from ");
    let options = LoadOptions { rate: 200, instance: "header:x-served-by", ..LoadOptions::default() };
    let load = Load::start(stack.url("/plain/hello/viktor"), &options).unwrap();
    load.wait_for_more(100, LONG).unwrap();
    deploy("2", changed.path().to_str());
    stack.stack().wait_updated("hello", LONG).unwrap();
    greets("Salut, Viktor !\n");
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn clients_use_https_and_a_renewed_certificate_needs_no_restart_of_traefik() {
    let stack = SwarmStack::deploy().unwrap();
    let (docker, name) = (stack.docker(), stack.stack().name());
    let made = Certificates::new(P256);
    let issue = |prefix: &str| {
        made.issue_for("site", P256, "/CN=site.test", "DNS:site.test");
        for (end, file) in [("crt", "site.pem"), ("key", "site.key")] {
            let content = fs::read(made.path(file)).unwrap();
            docker.run_with_input(&["secret", "create", &format!("{prefix}_{end}"), "-"], &content).unwrap();
        }
        fs::read_to_string(made.path("site.pem")).unwrap()
    };
    // The names that the harness gives to the secrets.
    let first = issue(&format!("{name}_{name}_site"));
    let port = Loopback::at(Ipv4Addr::UNSPECIFIED.into()).free().unwrap().port();
    stack.extend("stacks/https.yml", &[("HTTPS_PORT", &port.to_string())]).unwrap();
    let entry = (Ipv4Addr::LOCALHOST, port).into();
    let presented = || presented(entry, "site.test", &made.path("ca.pem"));
    eventually(LONG, presented).unwrap();
    assert_eq!(presented().unwrap(), first);
    let redirect = http::get(&stack.url("/ping")).unwrap();
    let location = format!("https://127.0.0.1:{port}/ping");
    assert_eq!((redirect.status, redirect.header("location")), (301, Some(&*location)));

    let traefiks = hosts(&stack, "traefik");
    let (second, hub) = (issue(&format!("{name}_{name}_renewed")), stack.stack().service("hub"));
    let mut update = vec!["service".to_owned(), "update".to_owned(), "--detach".to_owned()];
    for end in ["crt", "key"] {
        let new = format!("source={name}_{name}_renewed_{end},target=/certificates/site.{end}");
        update.extend(["--secret-rm".to_owned(), format!("{name}_{name}_site_{end}")]);
        update.extend(["--secret-add".to_owned(), new]);
    }
    update.push(hub);
    docker.run(&update.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    eventually_on_engine(LONG, || {
        let now = presented().expect("no request fails");
        ensure!(now == second, "still the old certificate");
        Ok(())
    })
    .unwrap();
    assert_eq!(hosts(&stack, "traefik"), traefiks);
}

#[test]
fn load_runs_as_a_job_and_prints_its_report() {
    let mut stack = SwarmStack::deploy().unwrap();
    stack.wait_body("/ping").unwrap();
    let job = stack.join_with("stacks/load.yml", &[("LOAD_FOR", "2s"), ("LOAD_RATE", "50")]).unwrap();
    let logs = || stack.docker().run(&["service", "logs", "--raw", &job.service("load")]).unwrap();
    eventually(LONG, || logs().contains("--max-failed ≤ 0: "))
        .unwrap_or_else(|error| panic!("{error}: {}", logs()));
    let logs = logs();
    assert!(logs.contains("100 requests") && logs.contains("0 failed"), "{logs}");
    // Instances have the names of their tasks, cut in the middle. A global service has one on this host.
    let name = stack.stack().service("ping");
    let line =
        |line: &str| line.starts_with(&name[..8]) && line.contains("@leader") && line.contains("100.0 %");
    assert!(logs.lines().any(line), "no response from {name}: {logs}");
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn running_demo_changes_to_https() {
    let stack = SwarmStack::deploy().unwrap();
    let made = Certificates::new(P256);
    made.issue_for("hub", P256, "/CN=hub", "DNS:hub,DNS:tasks.hub");
    let read = |name: &str| fs::read(made.path(name)).unwrap();
    let (docker, name) = (stack.docker(), stack.stack().name());
    let (ca, label) = (format!("{name}_hub_ca"), format!("--label=com.docker.stack.namespace={name}"));
    docker.run_with_input(&["config", "create", &label, &ca, "-"], &read("ca.pem")).unwrap();
    // The name that the harness gives to the secret.
    let secret = format!("{name}_{name}_hub_tls");
    let certificate = [read("hub.pem"), read("hub.key")].concat();
    docker.run_with_input(&["secret", "create", &secret, "-"], &certificate).unwrap();
    let before = hosts(&stack, "hello");
    stack.extend("stacks/tls.yml", &[("SWARMLINGS_HUB_CA", &ca)]).unwrap();
    eventually_on_engine(LONG, || hosts(&stack, "hello").iter().all(|host| !before.contains(host))).unwrap();

    let [hub] = &stack.stack().containers_of("hub").unwrap()[..] else { panic!("there is one hub") };
    let inside = stack.engine().enter_container(hub).unwrap();
    let list = inside.with(|| http::json_as_reader(stack.master(), "http://127.0.0.1:8080/v1/instances"));
    let error = format!("{:#}", list.unwrap_err());
    assert!(error.contains("the hub expects HTTPS here"), "{error}");

    // The commands of the hub find their URL and the CA in the environment of its container.
    let tasks = hub.exec(&["/hub", "ps", &stack.stack().service("hello")]).unwrap();
    assert_eq!(tasks.lines().filter(|line| line.contains("_hello ")).count(), 2, "{tasks}");

    stack.wait_body("/plain/hello/viktor").unwrap();
    let options = LoadOptions { rate: 200, instance: HELLO, ..LoadOptions::default() };
    let load = Load::start(stack.url("/plain/hello/viktor"), &options).unwrap();
    load.wait_for_more(100, LONG).unwrap();
    stack.stack().force_update("hello").unwrap();
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();
}

#[test]
fn no_container_has_docker_sock_or_privileges() {
    let stack = SwarmStack::deploy().unwrap();
    let containers = stack.stack().containers(false).unwrap();
    assert_eq!(containers.len(), 5, "Traefik, hub, ping and two hellos");
    for container in containers {
        let text = container.inspect("{{json .}}").unwrap();
        assert!(!text.contains("docker.sock"), "{text}");
        let inspected: Value = serde_json::from_str(&text).unwrap();
        let (config, host) = (&inspected["Config"], &inspected["HostConfig"]);
        assert_eq!(config["User"], "65532:65532", "{text}");
        assert_eq!(host["ReadonlyRootfs"], true, "{text}");
        assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]), "{text}");
        assert_eq!(host["CapAdd"], Value::Null, "{text}");
        assert_eq!(host["Privileged"], false, "{text}");
    }
}

#[test]
fn update_of_hello_fails_no_request() {
    update_under_load("hello");
}

#[test]
fn update_of_a_global_service_on_one_node_fails_no_request() {
    update_under_load("ping");
}

#[test]
fn update_of_the_hub_fails_no_request() {
    update_under_load("hub");
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn update_of_apache_whose_stop_signal_is_winch_fails_no_request() {
    let mut stack = SwarmStack::deploy().unwrap();
    let image = apache::build(stack.docker(), &stack.engine().images().unwrap()).unwrap();
    let joined = stack.join_with("tests/stacks/apache.yml", &[("APACHE_IMAGE", &image)]).unwrap();
    let path = "/index.txt";
    assert_eq!(stack.wait_body(path).unwrap(), "apache\n");
    let loads = [true, false].map(|keep_alive| {
        let instance = r"body:^(apache)\n$";
        let options = LoadOptions { rate: 200, keep_alive, instance, ..LoadOptions::default() };
        Load::start(stack.url(path), &options).unwrap()
    });
    wait_for_all(&loads, 100, LONG).unwrap();
    joined.replace(&["apache"], LONG).unwrap();
    wait_for_all(&loads, 100, LONG).unwrap();
    for load in loads {
        load.pass().unwrap();
    }
}

#[test]
fn crashing_version_is_rolled_back_and_fails_no_request() {
    let stack = SwarmStack::deploy().unwrap();
    // This route has the retry middleware, which repeats requests that a crash interrupts.
    let path = "/hello/viktor";
    stack.wait_body(path).unwrap();
    let options = LoadOptions { rate: 200, instance: HELLO, ..LoadOptions::default() };
    let load = Load::start(stack.url(path), &options).unwrap();
    let before = hosts(&stack, "hello");

    let state = stack.stack().set_variable("hello", "SERVICE_CRASH_AFTER=1s").unwrap();
    assert_eq!(state, "rollback_completed");

    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();
    eventually_on_engine(LONG, || hosts(&stack, "hello") == before).unwrap();
}

#[test]
fn faults_command_in_a_container_sets_and_clears_a_fault() {
    let stack = SwarmStack::deploy().unwrap();
    let path = "/plain/ping";
    stack.wait_body(path).unwrap();
    let [ping] = &stack.stack().containers_of("ping").unwrap()[..] else {
        panic!("expected one container of ping")
    };
    let faults = |fault: &str| ping.exec(&["/ping", "faults", fault]).unwrap();

    let output = faults(r#"{"status": 418, "for": "1h"}"#);
    assert!(output.starts_with(r#"{"rate":1,"status":418,"for":""#), "{output}");
    assert_eq!(http::get(&stack.url(path)).unwrap().status, 418);
    assert_eq!(faults("off"), "null");
    assert_eq!(http::get(&stack.url(path)).unwrap().status, 200);
}

/// Replaces all tasks of `service` under load on ping and hello, with kept connections and with new ones.
fn update_under_load(service: &str) {
    let stack = SwarmStack::deploy().unwrap();
    let loads = [("/plain/ping", PONG), ("/plain/hello/viktor", HELLO)].map(|(path, instance)| {
        stack.wait_body(path).unwrap();
        [true, false].map(|keep_alive| {
            let options = LoadOptions { rate: 200, keep_alive, instance, ..LoadOptions::default() };
            Load::start(stack.url(path), &options).unwrap()
        })
    });
    let loads = loads.into_iter().flatten().collect::<Vec<_>>();
    let before = hosts(&stack, service);

    wait_for_all(&loads, 100, LONG).unwrap();
    stack.stack().force_update(service).unwrap();
    // Swarm completes an update before the old tasks have exited.
    eventually_on_engine(LONG, || {
        let after = hosts(&stack, service);
        after.len() == before.len() && !after.iter().any(|host| before.contains(host))
    })
    .unwrap();
    wait_for_all(&loads, 100, LONG).unwrap();

    for load in loads {
        load.pass().unwrap();
    }
    // The new tasks respond.
    for path in ["/ping", "/hello/viktor"] {
        assert_eq!(http::get(&stack.url(path)).unwrap().status, 200);
    }
}

/// Host names of the running containers of `service`, sorted.
fn hosts(stack: &SwarmStack, service: &str) -> Vec<String> {
    let containers = stack.stack().containers_of(service).unwrap();
    let mut hosts: Vec<_> = containers.iter().map(|container| container.host().unwrap()).collect();
    hosts.sort();
    hosts
}
