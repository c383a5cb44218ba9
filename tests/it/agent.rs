//! The agent with a real engine: containers without a sidecar.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::Container;
use harness::docker::eventually_on_engine;
use harness::load::{pass_all, text, wait_for_all};
use harness::{
    Agent, Binaries, Fleet, Lab, LabOptions, Load, LoadOptions, SocketProxy, SwarmStack, WatchedEngine,
    WatchedEngineOptions, eventually, http, images,
};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(90);

fn load(url: String) -> Load {
    Load::start(url, &LoadOptions::default()).unwrap()
}

#[test]
fn container_is_routed_while_healthy_and_its_stop_fails_no_request() {
    let mut watched = WatchedEngine::start().unwrap();
    // Two containers of one service, with labels of Compose.
    let service = watched.unique_name("web");
    let compose = [
        "--label=com.docker.compose.project=agents".to_owned(),
        format!("--label=com.docker.compose.service={service}"),
    ];
    // Without a health check they would be routed shortly before they listen.
    let flags = [compose[0].as_str(), &compose[1], "--health-interval=200ms"];
    let linger = ["--linger", "3s"];
    let one = watched.ping("web", &flags, &linger).unwrap();
    let answer = watched.wait_answer("web").unwrap();
    assert_eq!(answer, format!("Pong from {}\n", one.host().unwrap()));
    let instance = watched.wait_health(&one, "healthy").unwrap();
    assert_eq!(instance["service"], format!("{service}_agents"));
    assert_eq!(
        (&instance["host"], &instance["port"]),
        (&one.host().unwrap().into(), &8080.into()),
        "{instance}"
    );
    assert_eq!(
        (&instance["source"], &instance["address"]),
        (&"agent".into(), &one.inspect("{{.NetworkSettings.IPAddress}}").unwrap().into())
    );
    let other = watched.ping("web", &flags, &linger).unwrap();
    let instance = watched.wait_health(&other, "healthy").unwrap();
    watched.wait_served(&instance, true).unwrap();

    let load = load(watched.url("web"));
    load.wait_for_more(200, LONG).unwrap();
    // PID 1 ignores a signal without a handler.
    watched.docker().run(&["kill", "--signal", "HUP", one.id()]).unwrap();
    load.wait_for_more(100, LONG).unwrap();
    assert_eq!(watched.instance(&one).unwrap().unwrap()["health"], "healthy");
    let log = watched.agent.process().log().lines();
    let unhealthy =
        log.iter().filter(|line| line.contains(&one.id()[..12]) && line.contains("health=Unhealthy"));
    assert_eq!(unhealthy.count(), 0, "a signal that is not fatal changes nothing");
    for _ in 0..2 {
        watched.docker().run(&["stop", one.id()]).unwrap();
        watched.wait_withdrawn(&one).unwrap();
        load.wait_for_more(100, LONG).unwrap();
        watched.docker().run(&["start", one.id()]).unwrap();
        let instance = watched.wait_health(&one, "healthy").unwrap();
        watched.wait_served(&instance, true).unwrap();
        load.wait_for_more(100, LONG).unwrap();
    }
    let report = load.pass().unwrap();
    assert_eq!(report.instances.len(), 2, "{}", text(&report));
    assert_eq!(
        watched.agent.process().log().count("the hub rejected"),
        0,
        "the hub accepts a restarted container"
    );
}

#[test]
fn health_follows_the_health_check_and_pause() {
    let watched = WatchedEngine::start().unwrap();
    // The container is healthy while something listens at this address.
    let network = watched.network("health").unwrap();
    let gateway = "{{(index .IPAM.Config 0).Gateway}}";
    let gateway = watched.docker().run(&["network", "inspect", "--format", gateway, &network]).unwrap();
    let listener = TcpListener::bind((gateway.as_str(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let probe = format!("--env=SIDECAR_PROBE=tcp://{address}");
    let network = format!("--network={network}");
    let flags = [probe.as_str(), "--health-interval=200ms", &network];
    let container = watched.ping("health", &flags, &[]).unwrap();
    watched.wait_health(&container, "starting").unwrap();
    assert_eq!(http::get(&watched.url("health")).unwrap().status, 404);

    let listener = TcpListener::bind(address).unwrap();
    let instance = watched.wait_health(&container, "healthy").unwrap();
    watched.wait_answer("health").unwrap();
    drop(listener);
    watched.wait_health(&container, "unhealthy").unwrap();
    watched.wait_served(&instance, false).unwrap();
    let _listener = TcpListener::bind(address).unwrap();
    watched.wait_health(&container, "healthy").unwrap();
    watched.wait_served(&instance, true).unwrap();

    // With a health check, the engine itself would report the pause.
    let container = watched.ping("paused", &["--no-healthcheck"], &[]).unwrap();
    let instance = watched.wait_health(&container, "healthy").unwrap();
    watched.wait_answer("paused").unwrap();
    watched.docker().run(&["pause", container.id()]).unwrap();
    watched.wait_health(&container, "unhealthy").unwrap();
    watched.wait_served(&instance, false).unwrap();
    watched.docker().run(&["unpause", container.id()]).unwrap();
    watched.wait_health(&container, "healthy").unwrap();
    watched.wait_answer("paused").unwrap();
}

#[test]
fn container_that_survives_its_stop_signal_is_routed_again() {
    let options = WatchedEngineOptions {
        agent_arguments: ["--stop-margin", "500ms"].map(str::to_owned).to_vec(),
        ..WatchedEngineOptions::default()
    };
    let mut watched = WatchedEngine::with(|_| Ok(options)).unwrap();
    let flags = ["--no-healthcheck", "--stop-timeout=1"];
    let container = watched.ping("deaf", &flags, &["--ignore-sigterm"]).unwrap();
    let before = watched.wait_health(&container, "healthy").unwrap();
    watched.wait_served(&before, true).unwrap();
    watched.docker().run(&["kill", "--signal", "TERM", container.id()]).unwrap();
    watched.wait_health(&container, "unhealthy").unwrap();
    let after = watched.wait_health(&container, "healthy").unwrap();
    assert_eq!(after["started"], before["started"]);
    watched.wait_answer("deaf").unwrap();
    // A new agent learns of signals from before its start.
    watched.docker().run(&["kill", "--signal", "TERM", container.id()]).unwrap();
    watched.wait_health(&container, "unhealthy").unwrap();
    watched.agent.stop().unwrap();
    watched.agent.restart().unwrap();
    watched.agent.process().log().wait_for("health=Unhealthy", LONG).unwrap();
    watched.wait_health(&container, "healthy").unwrap();
    watched.docker().run(&["kill", container.id()]).unwrap();
    watched.wait_withdrawn(&container).unwrap();
}

#[test]
fn container_is_routed_on_the_chosen_network_and_one_with_a_sidecar_is_ignored() {
    let mut watched = WatchedEngine::start().unwrap();
    // Its sidecar would register it, if this hub existed.
    let (hub, label) =
        ("--env=SIDECAR_HUB=http://127.0.0.1:9", "--label=traefik.http.routers.wrapped.rule=Path(`/w`)");
    let wrapped = watched.run("ping", &[hub, label, "--no-healthcheck"], &[]).unwrap();
    let networks = ["one", "two"].map(|name| watched.network(name).unwrap());
    let join = |container: &Container, network: &str| {
        watched.docker().run(&["network", "connect", network, container.id()]).unwrap();
    };
    let network = |name: &str| format!("--network={name}");
    let lost = watched.ping("lost", &["--no-healthcheck", &network(&networks[0])], &[]).unwrap();
    watched.wait_health(&lost, "healthy").unwrap();
    join(&lost, &networks[1]);
    watched.wait_health(&lost, "unhealthy").unwrap();
    let named = format!("--label=traefik.docker.network={}", networks[1]);
    let flags = ["--no-healthcheck", &network(&networks[0]), &named];
    let labelled = watched.ping("labelled", &flags, &[]).unwrap();
    join(&labelled, &networks[1]);
    let address = format!("{{{{(index .NetworkSettings.Networks {:?}).IPAddress}}}}", networks[1]);
    let address = labelled.inspect(&address).unwrap();
    eventually(LONG, || {
        let instance = watched.instance(&labelled)?.context("not in the hub")?;
        ensure!(instance["address"] == address.as_str(), "{instance}");
        Ok(())
    })
    .unwrap();
    watched.wait_answer("labelled").unwrap();
    let host = ["--no-healthcheck", "--network=host"];
    let host =
        watched.ping("host", &host, &["--address=127.0.0.1", "--port=8088", "--admin-port=0"]).unwrap();
    assert_eq!(watched.wait_health(&host, "healthy").unwrap()["address"], "127.0.0.1");

    let log = watched.agent.process().log().clone();
    let line = log.wait_for("is not routed: it is on several networks", LONG).unwrap();
    assert!(line.contains("WARN") && networks.iter().all(|network| line.contains(network)), "{line}");
    watched.docker().run(&["network", "disconnect", &networks[0], lost.id()]).unwrap();
    watched.wait_health(&lost, "healthy").unwrap();
    assert_eq!(log.count("on several networks"), 1);
    assert!(watched.instance(&wrapped).unwrap().is_none());
    assert_eq!(wrapped.inspect("{{.State.Running}}").unwrap(), "true");
}

#[test]
fn restart_of_hub_or_agent_fails_no_request() {
    let mut watched = WatchedEngine::start().unwrap();
    let container = watched.ping("restart", &["--no-healthcheck"], &[]).unwrap();
    watched.wait_answer("restart").unwrap();
    let load = load(watched.url("restart"));
    load.wait_for_more(100, LONG).unwrap();
    let confirmed = |watched: &WatchedEngine| {
        eventually(LONG, || {
            let instance = watched.instance(&container)?.context("not in the hub")?;
            ensure!(
                instance["routing"]["state"] == "confirmed" && instance["connected"] == true,
                "{instance}"
            );
            Ok(())
        })
        .unwrap();
    };
    for _ in 0..2 {
        watched.fleet.hub.kill().unwrap();
        load.wait_for_more(100, LONG).unwrap();
        watched.fleet.hub.restart().unwrap();
        confirmed(&watched);
        load.wait_for_more(100, LONG).unwrap();
    }

    let status = watched.agent.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{}", watched.agent.process().tail());
    // Longer than an unrenewed lease, or the lease of a sidecar with a closed connection, would last.
    eventually(LONG, || {
        let instance = watched.instance(&container)?.context("not in the hub")?;
        ensure!(instance["connected"] == false, "still connected");
        Ok(())
    })
    .unwrap();
    let seconds = || load.so_far().seconds;
    let began = seconds();
    eventually(LONG, || seconds() > began + 4.0).unwrap();
    assert!(watched.instance(&container).unwrap().is_some());
    watched.agent.restart().unwrap();
    confirmed(&watched);
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();
}

#[test]
fn every_hub_has_the_containers_and_the_loss_of_one_fails_no_request() {
    let mut watched = WatchedEngine::start().unwrap();
    let mut other = watched.fleet.another_hub().unwrap();
    let router = watched.fleet.another_traefik_of(&other, "other").unwrap();
    watched.agent.stop().unwrap();
    watched.agent.restart_with(&[&watched.fleet.hub, &other]).unwrap();
    // All containers answer at the same route.
    let service = format!("--label=com.docker.compose.service={}", watched.unique_name("hubs"));
    let flags = ["--label=com.docker.compose.project=agents", &service, "--health-interval=200ms"];
    let start = |watched: &WatchedEngine| {
        let container = watched.ping("hubs", &flags, &["--linger", "3s"]).unwrap();
        let instance = watched.wait_health(&container, "healthy").unwrap();
        watched.wait_served(&instance, true).unwrap();
        (container, instance)
    };
    let [(first, first_instance), (second, second_instance)] = [start(&watched), start(&watched)];
    for instance in [&first_instance, &second_instance] {
        watched.wait_served_by(&router, instance, true).unwrap();
    }
    let path = watched.unique_name("hubs");
    let loads = [&watched.fleet.traefik, &router].map(|traefik| load(format!("{}/{path}", traefik.url())));
    wait_for_all(&loads, 100, LONG).unwrap();

    watched.docker().run(&["stop", first.id()]).unwrap();
    watched.wait_served(&first_instance, false).unwrap();
    watched.wait_served_by(&router, &first_instance, false).unwrap();
    wait_for_all(&loads, 100, LONG).unwrap();

    other.kill().unwrap();
    let (_third, third_instance) = start(&watched);
    wait_for_all(&loads, 100, LONG).unwrap();
    // Its router has been without a hub since, and keeps its configuration.
    other.restart().unwrap();
    watched.wait_served_by(&router, &third_instance, true).unwrap();
    watched.docker().run(&["stop", second.id()]).unwrap();
    watched.wait_served_by(&router, &second_instance, false).unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

#[test]
fn agent_works_through_a_proxy_that_allows_only_documented_requests() {
    let mut proxy = None;
    let mut watched = WatchedEngine::with(|engine| {
        let started = proxy.insert(SocketProxy::start(engine.docker())?);
        Ok(WatchedEngineOptions { docker: Some(started.docker()), ..WatchedEngineOptions::default() })
    })
    .unwrap();
    let mut proxy = proxy.unwrap();
    for (method, path) in [("GET", "/images/json"), ("POST", "/containers/create"), ("GET", "/v1.41/secrets")]
    {
        assert_eq!(
            http::request(method, &format!("{}{path}", proxy.url()), &[]).unwrap().status,
            403,
            "{path}"
        );
    }
    let ping = format!("{}/_ping", proxy.url());
    for (protocol, expected) in [(None, 200), (Some("tcp"), 403), (Some("h2c"), 403)] {
        let headers = protocol.map(|protocol| [("connection", "Upgrade"), ("upgrade", protocol)]);
        let response = http::request("GET", &ping, headers.as_ref().map_or(&[], |headers| headers)).unwrap();
        assert_eq!(response.status, expected, "{protocol:?}");
    }
    let container = watched.ping("proxied", &["--no-healthcheck"], &["--linger", "2s"]).unwrap();
    watched.wait_answer("proxied").unwrap();
    // The engine is a manager of a swarm.
    let log = watched.agent.process().log().clone();
    log.wait_for("published the swarm's services", LONG).unwrap();
    watched.docker().run(&["stop", container.id()]).unwrap();
    watched.wait_withdrawn(&container).unwrap();
    assert_eq!(log.count("status 403"), 0);

    proxy.process().kill().unwrap();
    log.wait_for("engine tcp://", LONG).unwrap();
}

#[test]
fn labels_and_names_of_swarm_make_no_container_a_task() {
    let watched = WatchedEngine::start().unwrap();
    let service = watched.unique_name("victim_web");
    let rule = format!("--label=traefik.http.routers.{service}.rule=Path(`/{service}`)");
    watched.service(&service, "ping", &[&rule, "--replicas=0"]).unwrap();

    // An image can carry these labels, too.
    let (id, service_id) = ("0123456789abcdefghijklmno", "onmlkjihgfedcba9876543210");
    let task = format!("{service}.1.{id}");
    let swarm = [
        format!("--label=com.docker.swarm.service.name={service}"),
        format!("--label=com.docker.swarm.service.id={service_id}"),
        format!("--label=com.docker.swarm.task.name={task}"),
        format!("--label=com.docker.swarm.task.id={id}"),
        format!("--name={task}"),
    ];
    let flags: Vec<_> = ["--no-healthcheck"].into_iter().chain(swarm.iter().map(String::as_str)).collect();
    let forged = watched.ping("forged", &flags, &[]).unwrap();
    let instance = watched.wait_health(&forged, "healthy").unwrap();
    assert_eq!((&instance["service"], &instance["slot"]), (&task.as_str().into(), &Value::Null));
    assert!(
        instance["labels"].as_object().unwrap().keys().all(|key| !key.starts_with("com.docker.swarm.")),
        "{instance}"
    );
    watched.wait_answer("forged").unwrap();

    let (name, project) = service.split_once('_').unwrap();
    let compose = [
        format!("--label=com.docker.compose.service={name}"),
        format!("--label=com.docker.compose.project={project}"),
    ];
    let flags = ["--no-healthcheck", &compose[0], &compose[1]];
    let forged = watched.ping("composed", &flags, &[]).unwrap();
    let expected = format!("service {service}: this container is none of its tasks");
    eventually(LONG, || {
        let instance = watched.instance(&forged)?.context("not in the hub")?;
        let reason = instance["routing"]["reason"].as_str().unwrap_or_default();
        ensure!(reason.starts_with(&expected), "{instance}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn missing_engine_is_logged_once() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let mut engines = None;
    let docker = Some(format!("unix://{}", socket.display()));
    let mut watched = WatchedEngine::with(|engine| {
        engines = Some(engine.docker().host().unwrap_or("unix:///var/run/docker.sock").to_owned());
        Ok(WatchedEngineOptions { docker, ..WatchedEngineOptions::default() })
    })
    .unwrap();
    let container = watched.ping("late", &["--no-healthcheck"], &[]).unwrap();
    let log = watched.agent.process().log().clone();
    let line = log.wait_for("docker.sock: connecting: no such file or directory", LONG).unwrap();
    assert!(line.contains("WARN"), "{line}");
    fs::write(&socket, "").unwrap();
    log.wait_for("docker.sock: connecting: connection refused", LONG).unwrap();
    fs::remove_file(&socket).unwrap();
    symlink(engines.unwrap().strip_prefix("unix://").unwrap(), &socket).unwrap();
    watched.wait_health(&container, "healthy").unwrap();
    assert!(log.count("connecting: no such file") <= 2, "{}", watched.agent.process().tail());
    assert_eq!(log.count("connecting: connection refused"), 1);
}

#[test]
fn containers_stay_registered_while_the_engine_is_away() {
    let lab = Lab::create(&LabOptions::owned(1)).unwrap();
    let binaries = Binaries::find().unwrap();
    let fleet = Fleet::start().unwrap();
    let docker = lab.docker();
    let image = images::build_plain(docker, "swarmlings", &binaries.path("ping")).unwrap();
    let run = |name: &str, restart: &str| {
        let label = format!("--label=traefik.http.routers.{name}.rule=Path(`/`)");
        let (name, restart) = (format!("--name={name}"), format!("--restart={restart}"));
        docker.run(&["run", "--detach", "--no-healthcheck", &name, &restart, &label, &image]).unwrap();
    };
    run("stays", "always");
    run("goes", "no");
    let token = fleet.hub.options().token_file.clone().into_os_string();
    let arguments = vec!["--hub".into(), fleet.hub.url().into(), "--token-file".into(), token];
    let host = vec!["--docker".into(), docker.host().unwrap().into()];
    let mut agent = Agent::start(&binaries, [arguments, host].concat()).unwrap();
    let started = |name: &str| -> anyhow::Result<Option<u64>> {
        let instances = fleet.hub.instances()?;
        let found =
            instances.iter().find(|instance| instance["service"] == name && instance["health"] == "healthy");
        Ok(found.and_then(|instance| instance["started"].as_u64()))
    };
    let before = eventually(LONG, || {
        let (stays, goes) = (started("stays")?, started("goes")?);
        stays.zip(goes).context("not registered")
    })
    .unwrap();

    lab.nodes()[0].kill().unwrap();
    agent.process().log().wait_for("WARN", LONG).unwrap();
    let stayed = (started("stays").unwrap(), started("goes").unwrap());
    assert_eq!(stayed, (Some(before.0), Some(before.1)));
    lab.reconnect(&lab.nodes()[0]).unwrap();
    eventually_on_engine(LONG, || {
        ensure!(started("goes")?.is_none(), "the ended container is still registered");
        ensure!(started("stays")? > Some(before.0), "the restarted container is not registered");
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error}: {}", agent.process().tail()));
}

#[test]
fn deploy_labels_route_swarm_tasks_and_their_changes_apply_at_once() {
    let mut stack = SwarmStack::deploy().unwrap();
    stack.discard();
    stack.join("stacks/agent.yml").unwrap();
    stack.join("tests/stacks/unwrapped.yml").unwrap();
    stack.wait_body("/unwrapped").unwrap();
    let [agent, web] = ["agent", "web"].map(|service| stack.joined_stack_with(service).unwrap());

    // It has the socket and nothing else.
    let [container] = &agent.containers_of("agent").unwrap()[..] else { panic!("one node has one agent") };
    let inspected: Value = serde_json::from_str(&container.inspect("{{json .}}").unwrap()).unwrap();
    let host = &inspected["HostConfig"];
    assert_eq!((&host["ReadonlyRootfs"], &host["CapDrop"]), (&true.into(), &serde_json::json!(["ALL"])));
    let sockets = inspected["Mounts"].as_array().unwrap().iter().filter(|mount| mount["RW"] == true).count();
    assert_eq!(sockets, 0, "{inspected}");

    // A rolling update, with tasks of both generations.
    let hosts = || -> BTreeSet<String> {
        web.containers_of("web").unwrap().iter().map(|container| container.host().unwrap()).collect()
    };
    let before = hosts();
    let load = load(stack.url("/unwrapped"));
    load.wait_for_more(100, LONG).unwrap();
    web.force_update("web").unwrap();
    eventually_on_engine(LONG, || hosts().len() == 2 && hosts().is_disjoint(&before)).unwrap();
    load.wait_for_more(100, LONG).unwrap();
    load.pass().unwrap();

    // A change of labels alone restarts no task, with or without a sidecar.
    let relabel = |service: &str, label: &str| {
        let label = format!("--label-add={label}");
        stack
            .docker()
            .run(&["service", "update", "--quiet", "--no-resolve-image", "--detach", &label, service])
            .unwrap();
    };
    let after = hosts();
    relabel(&web.service("web"), "traefik.http.routers.unwrapped.rule=Path(`/relabelled`)");
    eventually(LONG, || http::get_ok(&stack.url("/relabelled"))).unwrap();
    assert_eq!(hosts(), after);
    relabel(
        &stack.stack().service("hello"),
        "traefik.http.routers.hello.rule=PathPrefix(`/hello/`) || Path(`/relabelled-hello`)",
    );
    eventually(LONG, || ensure_not_404(&stack.url("/relabelled-hello"))).unwrap();
    let stale = |expected: bool| {
        let [hub] = &stack.stack().containers_of("hub").unwrap()[..] else { panic!("there is one hub") };
        eventually_on_engine(LONG, || {
            let inside = stack.engine().enter_container(hub)?;
            let list =
                inside.with(|| http::json_as_reader(stack.master(), "http://127.0.0.1:8080/v1/instances"))?;
            let service = stack.stack().service("hello");
            let hellos = list.as_array().into_iter().flatten().filter(|i| i["service"] == service.as_str());
            let stale: Vec<_> = hellos.map(|instance| instance["stale"].clone()).collect();
            ensure!(stale == [expected, expected], "expected {expected}, got {stale:?}");
            Ok(())
        })
        .unwrap();
    };
    stale(true);
    // The agent tells what `hub wait` needs, also of labels that changed alone, and of tasks without a sidecar.
    let wait = |service: &str| {
        let [hub] = &stack.stack().containers_of("hub").unwrap()[..] else { panic!("there is one hub") };
        hub.exec(&["/hub", "wait", service, "--timeout", "1m"]).unwrap()
    };
    for service in [stack.stack().service("hello"), web.service("web")] {
        assert!(wait(&service).contains("2 task(s) routed"), "{service}");
    }
    stack.stack().force_update("hello").unwrap();
    stale(false);
    assert!(wait(&stack.stack().service("hello")).contains("2 task(s) routed"));
}

fn ensure_not_404(url: &str) -> anyhow::Result<()> {
    let status = http::get(url)?.status;
    ensure!(status != 404, "status {status}");
    Ok(())
}
