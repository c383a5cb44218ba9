//! Tests of waiting requests, with tokio's paused clock.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::Change::{Healthy, Lost, Routed, Started, Stopped, Unrouted, Withdrawn};
use protocol::{Health, Labels, Routing};
use runtime::Readiness;
use tokio::time::{advance, sleep, timeout};

use super::*;
use crate::certificate::Certificate;

const WARM_UP: Duration = Duration::from_secs(2);
const THROTTLE: Duration = Duration::from_millis(100);
const WAIT: Duration = Duration::from_secs(4);

fn hub(readiness: &Readiness) -> Arc<Hub> {
    let settings = Settings {
        ttl: Duration::from_secs(3),
        lost_after: THROTTLE,
        agent_lost_after: Duration::from_secs(30),
        keep_empty: Duration::from_mins(1),
        exposure: traefik::Exposure::default(),
        key: crate::key::Key::default(),
        policy: crate::policy::Policy::default(),
    };
    let hub = Hub::new(
        Options {
            host: "hub".to_owned(),
            warm_up: WARM_UP,
            certificate: None,
            certificates: Certificates::new(),
            page: None,
            page_ca: None,
        },
        settings,
        Key::new(b"random"),
        TraefikApi::new(Key::new(b"token")),
        readiness.latch(),
    );
    tokio::spawn(hub.clone().tick());
    hub
}

fn id(number: u8) -> InstanceId {
    format!("ping.{number}").parse().unwrap()
}

fn registration(number: u8) -> Registration {
    let rule = ("traefik.http.routers.ping.rule".to_owned(), "Path(`/ping`)".to_owned());
    Registration {
        service: "ping".to_owned(),
        host: format!("ping-{number}"),
        node: None,
        slot: None,
        address: IpAddr::from([10, 0, 1, number]),
        port: NonZeroU16::new(8080).unwrap(),
        started: number.into(),
        age_ms: 0,
        health: Health::Healthy,
        labels: Labels([rule].into()).into(),
        source: protocol::Source::Sidecar,
        published: std::collections::BTreeMap::new(),
        ticket: None,
    }
}

/// Renews a lease forever.
fn keep_alive(hub: &Arc<Hub>, number: u8) {
    let hub = hub.clone();
    tokio::spawn(async move {
        loop {
            hub.register(&Identity::Master, &id(number), number.into(), registration(number), Duration::ZERO)
                .await
                .unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    });
}

/// Returns connection, generation and nonce of the beacon in a document.
fn beacon_of(document: &str) -> (u64, u64, String) {
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let path = document["http"]["services"]["swarmlings-beacon"]["loadbalancer"]["healthcheck"]["path"]
        .as_str()
        .unwrap();
    let values: Vec<_> = path.split(['=', '&']).skip(1).step_by(2).collect();
    (values[0].parse().unwrap(), values[1].parse().unwrap(), values[2].to_owned())
}

/// Polls and requests beacons forever, as a router.
fn route(hub: &Arc<Hub>) {
    let hub = hub.clone();
    tokio::spawn(async move {
        loop {
            if let Some(document) = poll(&hub, 99, WAIT).await {
                request_beacon(&hub, beacon_of(&document)).await;
            }
        }
    });
}

/// Requests a beacon without waiting for the response, which is delayed.
async fn request_beacon(hub: &Arc<Hub>, (connection, generation, nonce): (u64, u64, String)) {
    let response = timeout(Duration::from_millis(1), hub.beacon(connection, generation, &nonce)).await;
    assert!(response.is_err(), "the response is delayed");
}

async fn poll(hub: &Arc<Hub>, connection: u64, wait: Duration) -> Option<String> {
    let (name, host) = ("traefik".to_owned(), "hub:8080".to_owned());
    let poll = Poll { name, throttle: THROTTLE, host, name_of_hub: "hub".to_owned(), api: None };
    let document = hub.poll(connection, &poll, wait).await?;
    Some(String::from_utf8(document.into()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn new_hub_sends_no_configuration_before_the_end_of_the_warm_up() {
    let readiness = Readiness::default();
    let hub = hub(&readiness);
    sleep(Duration::from_mins(10)).await;
    assert_eq!(poll(&hub, 1, WAIT).await, None, "an empty configuration would remove every route");
    keep_alive(&hub, 1);
    sleep(WARM_UP / 2).await;
    assert_eq!(poll(&hub, 1, Duration::ZERO).await, None, "other instances may still register");
    assert!(!readiness.is_ready());
    keep_alive(&hub, 2);
    let document = poll(&hub, 1, WAIT).await.unwrap();
    assert!(document.contains("10.0.1.1") && document.contains("10.0.1.2"), "{document}");
    assert!(readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn poll_waits_for_a_change() {
    let hub = hub(&Readiness::default());
    keep_alive(&hub, 1);
    sleep(WARM_UP).await;
    let first = poll(&hub, 1, WAIT).await.unwrap();
    let before = now();
    assert_eq!(poll(&hub, 1, WAIT).await.unwrap(), first);
    assert_eq!(now() - before, WAIT);
    let held = tokio::spawn({
        let hub = hub.clone();
        async move { poll(&hub, 1, WAIT).await.unwrap() }
    });
    sleep(WAIT / 2).await;
    let before = now();
    keep_alive(&hub, 2);
    assert!(held.await.unwrap().contains("10.0.1.2"));
    assert!(now() - before < Duration::from_millis(10), "the change is sent at once");
}

#[tokio::test(start_paused = true)]
async fn held_poll_gets_other_certificates_at_once() {
    let hub = hub(&Readiness::default());
    keep_alive(&hub, 1);
    sleep(WARM_UP).await;
    let first = poll(&hub, 1, WAIT).await.unwrap();
    let certificates = Certificate { chain: "the chain".to_owned(), key: "the key".to_owned() };
    let certificates = Certificates::from([("a".to_owned(), certificates)]);
    let held = tokio::spawn({
        let hub = hub.clone();
        async move { poll(&hub, 1, WAIT).await.unwrap() }
    });
    sleep(WAIT / 2).await;
    let before = now();
    hub.set_certificates(certificates);
    let second = held.await.unwrap();
    assert!(!first.contains("the chain") && second.contains("the chain"), "{second}");
    assert!(now() - before < Duration::from_millis(10));
    assert!(!String::from_utf8_lossy(&hub.state().public_document().unwrap()).contains("the key"));
}

#[tokio::test(start_paused = true)]
async fn instance_is_confirmed_once_the_router_uses_it() {
    let hub = hub(&Readiness::default());
    let lease =
        hub.register(&Identity::Master, &id(1), 1, registration(1), Duration::from_secs(1)).await.unwrap();
    assert_eq!(lease.routing, Routing::Pending, "no router polls");
    keep_alive(&hub, 1);
    route(&hub);
    sleep(WARM_UP).await;
    let before = now();
    let lease =
        hub.register(&Identity::Master, &id(1), 1, registration(1), Duration::from_secs(30)).await.unwrap();
    assert!(now() - before < Duration::from_secs(1), "requests are held for less than a third of the lease");
    assert_eq!(lease.routing, Routing::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn beacon_request_confirms_the_instances_of_its_configuration() {
    let hub = hub(&Readiness::default());
    keep_alive(&hub, 1);
    sleep(WARM_UP).await;
    let beacon = beacon_of(&poll(&hub, 1, WAIT).await.unwrap());
    assert_eq!(beacon_of(&poll(&hub, 1, Duration::ZERO).await.unwrap()), beacon, "nothing changed");
    let other = beacon_of(&poll(&hub, 2, WAIT).await.unwrap());
    hub.disconnected(2);
    sleep(Duration::from_secs(5)).await;
    let routing = || hub.state().instances()[0].routing.clone();
    for nonce in [other.2, "0".repeat(64), String::new()] {
        let before = now();
        assert!(!hub.beacon(beacon.0, beacon.1, &nonce).await);
        assert_eq!(now(), before, "the response is not delayed");
    }
    sleep(THROTTLE).await;
    assert_eq!(routing(), Routing::Pending);
    request_beacon(&hub, beacon).await;
    sleep(THROTTLE).await;
    assert_eq!(routing(), Routing::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn withdrawal_waits_until_the_router_uses_a_configuration_without_the_instance() {
    let hub = hub(&Readiness::default());
    keep_alive(&hub, 1);
    hub.register(&Identity::Master, &id(2), 2, registration(2), Duration::ZERO).await.unwrap();
    route(&hub);
    sleep(WARM_UP + THROTTLE * 3).await;
    let before = now();
    let withdrawal = hub.withdraw(&Identity::Master, &id(2), 1, Duration::from_secs(10)).await.unwrap();
    assert_eq!(withdrawal, Withdrawal { confirmed: vec!["traefik".to_owned()], ..Withdrawal::default() });
    assert!(now() - before >= THROTTLE, "Traefik switches a little after it requested the beacon");
    let list = hub.state().instances();
    assert_eq!(list.iter().map(|i| i.id.to_string()).collect::<Vec<_>>(), ["ping.1"]);
}

#[tokio::test(start_paused = true)]
async fn withdrawal_from_a_new_hub_tells_that_it_expects_a_router() {
    let hub = hub(&Readiness::default());
    let before = now();
    let withdrawal = hub.withdraw(&Identity::Master, &id(1), 1, Duration::from_secs(10)).await.unwrap();
    assert_eq!(withdrawal, Withdrawal { expects_router: true, ..Withdrawal::default() });
    assert_eq!(now(), before, "the client knows whether routers poll another hub");
    sleep(Duration::from_mins(2)).await;
    let withdrawal = hub.withdraw(&Identity::Master, &id(1), 1, Duration::from_secs(10)).await;
    assert_eq!(withdrawal, Ok(Withdrawal::default()));
}

#[tokio::test(start_paused = true)]
async fn token_changes_only_instances_that_it_may_replace() {
    let hub = hub(&Readiness::default());
    let (ping, hello) = (Identity::Service("ping".to_owned()), Identity::Service("hello".to_owned()));
    let by_agent = |number| Registration { source: protocol::Source::Agent, ..registration(number) };
    for (number, owner, registration, denied) in [
        (1, &ping, registration(1), [&hello, &Identity::Agent, &Identity::Manager].as_slice()),
        (2, &Identity::Master, registration(2), &[&hello, &Identity::Agent]),
        (3, &Identity::Agent, by_agent(3), &[&hello]),
        (4, &Identity::Manager, by_agent(4), &[&hello]),
    ] {
        hub.register(owner, &id(number), 1, registration.clone(), Duration::ZERO).await.unwrap();
        for identity in denied {
            let mut other = Registration { host: "other".to_owned(), ..by_agent(number) };
            if let Identity::Service(name) = identity {
                other.service.clone_from(name);
            }
            let owned = Err(Denied::Owned("ping".to_owned()));
            let register = hub.register(identity, &id(number), 2, other, Duration::ZERO).await;
            assert_eq!(register.map(drop), owned, "{identity} replaces an instance of {owner}");
            let withdraw = hub.withdraw(identity, &id(number), 1, Duration::ZERO).await;
            assert_eq!(withdraw.map(drop), owned, "{identity} withdraws an instance of {owner}");
        }
        let state = hub.state();
        assert_eq!(state.registry.instances[&id(number)].registration, registration);
    }
    for identity in [&Identity::Manager, &ping] {
        hub.register(identity, &id(3), 2, by_agent(3), Duration::ZERO).await.unwrap();
    }
    hub.withdraw(&ping, &id(3), 1, Duration::ZERO).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn instance_is_removed_after_its_connection_closed_and_subscribers_get_events() {
    let hub = hub(&Readiness::default());
    hub.register(&Identity::Master, &id(1), 7, registration(1), Duration::ZERO).await.unwrap();
    let instances = hub.state().instances();
    let mut changes = hub.state().events.subscribe(&instances, 0);
    assert!(instances[0].connected);
    hub.disconnected(7);
    let status = changes.recv().await.unwrap();
    assert!(status.starts_with(b"event: status\ndata: {\"hub\":"), "{status:?}");
    let change = String::from_utf8(changes.recv().await.unwrap().into()).unwrap();
    let instance: protocol::Instance =
        serde_json::from_str(change.strip_prefix("event: instance\ndata: ").unwrap()).unwrap();
    assert_eq!((instance.id, instance.connected), (id(1), false));
    let status = changes.recv().await.unwrap();
    assert!(status.starts_with(b"event: status\n"), "the configuration changed: {status:?}");
    let lost = changes.recv().await.unwrap();
    assert!(lost.ends_with(b",\"change\":\"lost\"}\n\n"), "{lost:?}");
    assert_eq!(changes.recv().await.unwrap(), "event: gone\ndata: \"ping.1\"\n\n");
    assert!(hub.state().instances().is_empty());
    assert_eq!(hub.state().counters.lost, 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_hub_ends_all_waits() {
    let hub = hub(&Readiness::default());
    let (gone, before) = (id(1), now());
    let (poll, withdrawal, ()) =
        tokio::join!(poll(&hub, 1, WAIT), hub.withdraw(&Identity::Master, &gone, 1, WAIT), async {
            hub.drain();
        });
    assert_eq!((poll, withdrawal.unwrap().pending.len()), (None, 1));
    assert_eq!(now(), before);
    assert!(hub.state().draining);
}

#[tokio::test(start_paused = true)]
async fn paused_hub_expires_no_lease_for_that_time() {
    let hub = hub(&Readiness::default());
    let registered = || hub.state().instances().len();
    hub.register(&Identity::Master, &id(1), 1, registration(1), Duration::ZERO).await.unwrap();
    hub.register(&Identity::Master, &id(2), 2, registration(2), Duration::ZERO).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    advance(Duration::from_secs(10)).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(registered(), 2);
    // The client gave up waiting during the pause, and comes back.
    hub.disconnected(2);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(registered(), 2);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(registered(), 0, "without renewals the leases end as usual");
}

#[tokio::test(start_paused = true)]
async fn older_generation_that_returns_second_to_a_new_hub_is_in_use() {
    let readiness = Readiness::default();
    let hub = hub(&readiness);
    let rule = ("traefik.http.routers.ping.rule".to_owned(), "Path(`/new`)".to_owned());
    let new = Registration { labels: Labels([rule].into()).into(), age_ms: 5000, ..registration(2) };
    hub.register(&Identity::Master, &id(2), 2, new, Duration::ZERO).await.unwrap();
    hub.register(
        &Identity::Master,
        &id(1),
        1,
        Registration { age_ms: 60_000, ..registration(1) },
        Duration::ZERO,
    )
    .await
    .unwrap();
    sleep(WARM_UP + THROTTLE).await;
    let document = String::from_utf8(hub.state().public_document().unwrap().to_vec()).unwrap();
    assert!(document.contains("\"Path(`/ping`)\""), "{document}");
}

#[tokio::test(start_paused = true)]
async fn renewal_does_not_wait_for_changes_of_other_services() {
    let hub = hub(&Readiness::default());
    route(&hub);
    keep_alive(&hub, 1);
    sleep(WARM_UP + THROTTLE * 10).await;
    // As after a rendering that took long.
    hub.state().rests_until = now() + WAIT;
    let other = Registration { service: "hello".to_owned(), labels: Arc::default(), ..registration(2) };
    hub.register(&Identity::Master, &id(2), 2, other, Duration::ZERO).await.unwrap();
    assert!(hub.state().is_outdated);
    let before = now();
    let lease = hub.register(&Identity::Master, &id(1), 1, registration(1), WAIT).await.unwrap();
    assert_eq!((lease.routing, now() - before), (Routing::Confirmed, Duration::ZERO));
    let changed = Registration { address: IpAddr::from([10, 0, 1, 9]), ..registration(1) };
    hub.register(&Identity::Master, &id(1), 1, changed, WAIT).await.unwrap();
    assert!(now() > before, "its own change is not rendered yet");
}

#[tokio::test(start_paused = true)]
async fn new_hub_does_not_wait_for_tasks_that_have_stopped() {
    let hub = hub(&Readiness::default());
    hub.register(&Identity::Master, &id(1), 1, registration(1), Duration::ZERO).await.unwrap();
    hub.withdraw(&Identity::Master, &id(1), 1, Duration::ZERO).await.unwrap();
    let (name, host) = ("traefik".to_owned(), "hub:8080".to_owned());
    let poll = Poll {
        name,
        throttle: THROTTLE,
        host,
        name_of_hub: "hub".to_owned(),
        api: Some(([10, 0, 1, 9], 8080).into()),
    };
    let servers = [1, 2].map(|number| format!("http://10.0.1.{number}:8080"));
    let missing = hub.update(|state, now| {
        state.routers.poll(now, 99, &poll);
        state.routers.learned(now, 99, servers.clone().into());
        (None, state.missing(now, 99, &BTreeSet::new()))
    });
    assert_eq!(missing, [servers[1].clone()].into());
}

#[tokio::test(start_paused = true)]
async fn delays_count_only_while_a_router_polls_and_reasons_in_events_are_short() {
    let hub = hub(&Readiness::default());
    keep_alive(&hub, 1);
    sleep(WARM_UP + THROTTLE).await;
    keep_alive(&hub, 2);
    sleep(Duration::from_hours(1)).await;
    route(&hub);
    sleep(THROTTLE * 10).await;
    assert_eq!(hub.state().routing(&id(2)), Routing::Confirmed);
    assert_eq!(hub.state().registry.journal.routed.total().0, 0, "it waited for a router, which is no delay");
    let rule = ("traefik.http.routers.ping.rule".to_owned(), "x".repeat(10_000));
    let wrong = Registration { labels: Labels([rule].into()).into(), ..registration(3) };
    hub.register(&Identity::Master, &id(3), 3, wrong, Duration::ZERO).await.unwrap();
    sleep(THROTTLE).await;
    let state = hub.state();
    let refused = state.registry.journal.since(0).find_map(|event| match &event.change {
        protocol::Change::Refused { reason } => Some(reason.len()),
        _ => None,
    });
    assert!(refused.is_some_and(|length| length < 1100), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn new_hub_probes_a_bounded_number_of_servers_at_the_same_time() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut servers: BTreeSet<_> = (0..1000).map(|number: u32| number.to_string()).collect();
    let mut probes = JoinSet::new();
    let (mut asked, before) = (BTreeSet::new(), now());
    while !servers.is_empty() || !probes.is_empty() {
        let probe = |server: String| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                server
            }
        };
        asked.extend(run_bounded(&mut servers, &mut probes, LEARN_PAUSE, probe).await);
    }
    assert_eq!(asked.len(), 1000);
    assert_eq!(most.load(Ordering::Relaxed), MAX_PROBES);
    assert!(now() - before < Duration::from_secs(17), "a slow server delays no more than its own place");
}

#[tokio::test(start_paused = true)]
async fn secrets_in_reports_of_traefik_are_redacted() {
    let hub = hub(&Readiness::default());
    let labels = [
        ("traefik.http.routers.ping.rule", "Path(`/ping`)"),
        ("traefik.http.middlewares.ping.basicauth.users", "admin:$apr1$s3cr3t"),
    ];
    let labels = Labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let registration = Registration { labels: labels.into(), ..registration(1) };
    hub.register(&Identity::Master, &id(1), 1, registration, Duration::ZERO).await.unwrap();
    sleep(WARM_UP).await;
    poll(&hub, 7, WAIT).await.unwrap();
    let question = Question { address: ([127, 0, 0, 1], 1).into(), generation: 1, patience: WAIT };
    let error = "middleware ping@http: parsing admin:$apr1$s3cr3t".to_owned();
    let report = Report { errors: [("http.routers.ping".to_owned(), error)].into(), ..Report::default() };
    hub.update(|state, now| {
        state.reported(now, 7, &question, Ok((state.generation, report)));
        (Some(Effect::Progress), ())
    });
    let routing = hub.state().instances()[0].routing.clone();
    let Routing::Refused { reason } = routing else { panic!("{routing:?}") };
    assert!(reason.contains("parsing (redacted)") && !reason.contains("s3cr3t"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn journal_tells_the_life_of_a_task_in_order() {
    let hub = hub(&Readiness::default());
    route(&hub);
    keep_alive(&hub, 1);
    sleep(WARM_UP + THROTTLE * 10).await;
    let starting = Registration { health: Health::Starting, ..registration(2) };
    hub.register(&Identity::Master, &id(2), 2, starting, Duration::ZERO).await.unwrap();
    hub.register(&Identity::Master, &id(2), 2, registration(2), WAIT).await.unwrap();
    hub.withdraw(&Identity::Master, &id(2), 2, WAIT).await.unwrap();
    // A sidecar repeats the withdrawal, which is no further event.
    hub.withdraw(&Identity::Master, &id(2), 2, WAIT).await.unwrap();
    hub.disconnected(2);
    hub.register(&Identity::Master, &id(3), 3, registration(3), WAIT).await.unwrap();
    hub.disconnected(3);
    sleep(THROTTLE * 2).await;
    let state = hub.state();
    let events: Vec<_> =
        state.registry.journal.since(0).map(|e| (e.instance.clone(), e.change.clone())).collect();
    let of = |number, changes: &[protocol::Change]| {
        changes.iter().map(|change| (id(number), change.clone())).collect::<Vec<_>>()
    };
    let life = of(2, &[Started, Healthy, Routed, Withdrawn, Unrouted, Stopped]);
    assert_eq!(events, [life, of(3, &[Healthy, Routed, Lost])].concat());
    let mut metrics = String::new();
    crate::metrics::write(&mut metrics, &state, now());
    for line in ["hub_healthy_to_routed_seconds_count 2", "hub_withdrawn_to_unrouted_seconds_count 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn withdrawn_container_of_an_agent_has_stopped() {
    let hub = hub(&Readiness::default());
    route(&hub);
    keep_alive(&hub, 1);
    sleep(WARM_UP + THROTTLE * 10).await;
    let container = Registration { source: protocol::Source::Agent, ..registration(2) };
    hub.register(&Identity::Master, &id(2), 1, container, WAIT).await.unwrap();
    hub.withdraw(&Identity::Master, &id(2), 1, Duration::ZERO).await.unwrap();
    let state = hub.state();
    let events: Vec<_> = state.registry.journal.since(0).map(|event| event.change.clone()).collect();
    assert_eq!(events, [Healthy, Routed, Withdrawn, Stopped], "its connection stays open");
}

#[tokio::test(start_paused = true)]
async fn target_of_a_container_has_the_labels_that_a_manager_published() {
    let hub = hub(&Readiness::default());
    let slot = Some("1".to_owned());
    let container = Registration { source: protocol::Source::Agent, slot, ..registration(1) };
    hub.register(&Identity::Master, &id(1), 1, container.clone(), Duration::ZERO).await.unwrap();
    let port = || {
        let state = hub.state();
        let id = id(1);
        let labels = state.registry.labels_of(&container);
        let target = crate::prometheus::target(&id, &container, &labels);
        target.map(|target| serde_json::to_value(target).unwrap()["targets"][0].clone())
    };
    assert_eq!(port(), None);
    let labels = Labels([("prometheus.port".to_owned(), "81".to_owned())].into());
    let spec = protocol::ServiceSpec { version: 1, labels, templated: false, settled: true };
    let services = Services { services: [(container.service.clone(), spec)].into() };
    hub.publish("n".parse().unwrap(), services);
    assert!(port().unwrap().as_str().unwrap().ends_with(":81"));
}
