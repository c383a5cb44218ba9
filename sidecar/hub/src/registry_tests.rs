//! Tests of the registry, with a simulated clock.

use std::net::IpAddr;
use std::num::NonZeroU16;

use protocol::{Labels, ServiceSpec};
use serde_json::Value;

use super::*;

const TTL: Duration = Duration::from_secs(3);
const LOST_AFTER: Duration = Duration::from_millis(100);
const AGENT_LOST_AFTER: Duration = Duration::from_secs(30);
const KEEP_EMPTY: Duration = Duration::from_mins(1);

/// Routers without an API that use this generation.
struct Confirmed(u64);

impl Reports for Confirmed {
    fn can_try(&self) -> bool {
        false
    }

    fn is_confirmed(&self, generation: u64) -> bool {
        generation <= self.0
    }

    fn error(&self, _: u64, _: &str, _: &str, _: &str) -> Option<String> {
        None
    }

    fn revision(&self) -> u64 {
        self.0
    }
}

/// Time of the start of the registry.
const UNIX_MILLIS: u64 = 1_700_000_000_000;

struct Scene {
    registry: Registry,
    now: Instant,
    generation: u64,
}

impl Scene {
    fn new() -> Self {
        let settings = Settings {
            ttl: TTL,
            lost_after: LOST_AFTER,
            agent_lost_after: AGENT_LOST_AFTER,
            keep_empty: KEEP_EMPTY,
            exposure: Exposure::default(),
            key: Key::new(b"secret"),
            policy: crate::policy::Policy::default(),
        };
        let now = Instant::now();
        Self { registry: Registry::new(settings, now, UNIX_MILLIS), now, generation: 0 }
    }

    /// Registers `id`, SERVICE.NUMBER. The number is the last octet of its address and its connection. A task with a higher
    /// number started later.
    fn register(&mut self, id: &str, health: Health, labels: &[(&str, &str)]) {
        let number = id.split_once('.').unwrap().1.parse().unwrap();
        self.put(id, number, registration(id, health, labels));
    }

    fn put(&mut self, id: &str, connection: u64, registration: Registration) {
        self.registry
            .register(self.now, false, &id.parse().unwrap(), connection, registration, false)
            .unwrap();
    }

    fn healthy(&mut self, id: &str, labels: &[(&str, &str)]) {
        self.register(id, Health::Healthy, labels);
    }

    /// Publishes labels of the service `a` as a manager does. Returns whether the configuration from any instance's labels changed.
    fn publish(&mut self, version: u64, labels: &[(&str, &str)]) -> bool {
        let spec = ServiceSpec { version, labels: read_labels(labels), templated: true, settled: true };
        let services = Services { services: [("a".to_owned(), spec)].into() };
        self.registry.publish(self.now, "n".parse().unwrap(), services).0
    }

    fn pass(&mut self, time: Duration) -> Vec<InstanceId> {
        self.now += time;
        self.registry.advance(self.now).0
    }

    fn document(&mut self) -> Value {
        self.registry.advance(self.now);
        self.registry.update(&Confirmed(0));
        self.generation += 1;
        self.registry.set_generation(self.now, self.generation);
        serde_json::from_str(&self.registry.document.to_json()).unwrap()
    }

    /// Returns the URLs of the servers of a Traefik service.
    fn servers(&mut self, service: &str) -> Vec<String> {
        let document = self.document();
        let servers = &document["http"]["services"][service]["loadbalancer"]["servers"];
        servers.as_array().unwrap().iter().map(|s| s["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns the routing state of an instance, after all routers have acknowledged the latest generation.
    fn routing(&self, id: &str) -> Routing {
        self.registry.routing(&id.parse().unwrap(), &Confirmed(self.generation))
    }

    /// Returns the reason why an instance is refused.
    fn refusal(&self, id: &str) -> Option<String> {
        match self.routing(id) {
            Routing::Refused { reason } => Some(reason),
            _ => None,
        }
    }

    fn since(&self, id: &str) -> Option<u64> {
        self.registry.instances[&id.parse().unwrap()].since
    }
}

/// Registration of the instance `SERVICE.NUMBER`. Higher numbers start later, 10 s apart.
pub(crate) fn registration(id: &str, health: Health, labels: &[(&str, &str)]) -> Registration {
    let (service, number) = id.split_once('.').unwrap();
    let number: u8 = number.parse().unwrap();
    Registration {
        service: service.to_owned(),
        host: id.to_owned(),
        node: None,
        slot: None,
        address: IpAddr::from([10, 0, 1, number]),
        port: NonZeroU16::new(8080).unwrap(),
        started: number.into(),
        age_ms: 10_000 * (256 - u64::from(number)),
        health,
        labels: read_labels(labels).into(),
        source: Source::Sidecar,
        published: BTreeMap::new(),
        ticket: None,
    }
}

fn read_labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

const A: &[(&str, &str)] = &[("traefik.http.routers.a.rule", "Path(`/a`)")];

#[test]
fn only_healthy_instances_get_requests() {
    let mut scene = Scene::new();
    scene.register("s.1", Health::Starting, A);
    assert_eq!(scene.document(), serde_json::json!({}));
    assert_eq!(scene.routing("s.1"), Routing::Pending);
    scene.healthy("s.1", A);
    scene.healthy("s.2", A);
    assert_eq!(scene.servers("s"), ["http://10.0.1.1:8080", "http://10.0.1.2:8080"]);
    scene.register("s.1", Health::Unhealthy, A);
    assert_eq!(scene.servers("s"), ["http://10.0.1.2:8080"]);
    assert_eq!(scene.routing("s.1"), Routing::Pending);
}

#[test]
fn leases_last_longer_the_more_instances_there_are() {
    let mut scene = Scene::new();
    let ttl = |scene: &Scene| [Source::Sidecar, Source::Agent].map(|source| scene.registry.ttl(source));
    for (count, expected) in [(200, TTL), (1000, Duration::from_secs(10)), (5000, MAX_TTL)] {
        for number in 0..count {
            scene.put(&format!("s.{number}"), number, registration("s.1", Health::Healthy, A));
        }
        assert_eq!(ttl(&scene), [expected, TTL]);
    }
    assert_eq!(scene.registry.heartbeat(scene.now, 7), (1, MAX_TTL));
    assert!(!scene.pass(MAX_TTL / 2).contains(&"s.7".parse().unwrap()));
    scene.registry.settings.ttl = Duration::from_mins(1);
    assert_eq!(ttl(&scene), [Duration::from_mins(1); 2]);
}

#[test]
fn lease_expires_without_a_heartbeat() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.pass(TTL / 2);
    scene.healthy("s.1", A);
    assert!(scene.pass(TTL / 2).is_empty());
    assert!(scene.registry.next_change() <= Some(scene.now + TTL / 2));
    assert_eq!(scene.pass(TTL / 2), ["s.1".parse().unwrap()]);
}

#[test]
fn lease_expires_soon_after_its_connection_closed_unless_another_renews_it() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.healthy("s.2", A);
    scene.registry.disconnected(scene.now, 1, LOST_AFTER);
    scene.registry.disconnected(scene.now, 2, LOST_AFTER);
    scene.healthy("s.2", A);
    assert_eq!(scene.pass(LOST_AFTER), ["s.1".parse().unwrap()]);
    scene.registry.disconnected(scene.now, 77, LOST_AFTER);
    assert_eq!(scene.servers("s"), ["http://10.0.1.2:8080"]);
}

#[test]
fn late_renewal_does_not_undo_a_withdrawal() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    let id = "s.1".parse().unwrap();
    let mut registration = scene.registry.instances.iter().next().unwrap().1.registration.clone();
    scene.registry.withdraw(scene.now, &id, 1);
    scene.pass(TTL);
    assert_eq!(
        scene.registry.register(scene.now, false, &id, 1, registration.clone(), false),
        Err(Withdrawn)
    );
    registration.started += 1;
    assert_eq!(
        scene.registry.register(scene.now, false, &id, 1, registration, false),
        Ok(true),
        "the task has started again"
    );
}

#[test]
fn service_without_instances_keeps_its_router_for_keep_empty() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.document();
    assert!(scene.registry.withdraw(scene.now, &"s.1".parse().unwrap(), 0));
    assert!(scene.servers("s").is_empty());
    scene.pass(KEEP_EMPTY / 2);
    assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/a`)");
    scene.pass(KEEP_EMPTY);
    assert_eq!(scene.document(), serde_json::json!({}));
}

#[test]
fn service_without_replicas_keeps_its_router_while_a_manager_lists_it() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.document();
    let spec = ServiceSpec { version: 1, labels: read_labels(A), templated: true, settled: true };
    let listed = Services { services: [("s".to_owned(), spec)].into() };
    scene.registry.publish(scene.now, "manager".parse().unwrap(), listed);
    assert!(scene.registry.withdraw(scene.now, &"s.1".parse().unwrap(), 0));
    for _ in 0..3 {
        scene.pass(KEEP_EMPTY * 2);
        assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/a`)");
    }
    scene.registry.publish(scene.now, "manager".parse().unwrap(), Services::default());
    scene.pass(KEEP_EMPTY * 2);
    assert_eq!(scene.document(), serde_json::json!({}));
}

/// A definition of each kind, with another value for the same option.
const DEFINITIONS: &[(&str, &str, &str)] = &[
    ("http.routers.x.rule", "Path(`/x`)", "Path(`/y`)"),
    ("http.services.x.loadbalancer.passhostheader", "true", "false"),
    ("tcp.routers.x.rule", "HostSNI(`a`) && ALPN(`b`)", "HostSNI(`a`) || HostSNI(`b`)"),
    ("tcp.services.x.loadbalancer.terminationdelay", "1", "2"),
    ("udp.routers.x.entrypoints", "a", "b"),
    ("tls.stores.default.defaultgeneratedcert.resolver", "a", "b"),
    ("http.middlewares.x.stripprefix.prefixes", "/a", "/b"),
    ("http.serverstransports.x.servername", "a", "b"),
    ("tcp.middlewares.x.inflightconn.amount", "1", "2"),
    ("tcp.serverstransports.x.dialtimeout", "1s", "2s"),
    ("tls.options.x.minversion", "VersionTLS12", "VersionTLS13"),
];

/// Registers two services that define the same name. Returns the key of the definition.
fn define_twice(scene: &mut Scene, option: &str, first: &str, second: &str) -> String {
    let key = format!("traefik.{option}");
    let tls = if option.starts_with("tcp.routers.") { "traefik.tcp.routers.x.tls" } else { "other" };
    let tls = (tls, "true");
    scene.healthy("first.1", &[(&key, first), ("traefik.http.routers.first.rule", "Path(`/r`)"), tls]);
    // The same name, as the Docker provider of Traefik writes it.
    let key = key.replace(".x.", ".x@docker.");
    scene.healthy("second.2", &[(&key, second), ("traefik.http.routers.second.rule", "Path(`/r`)"), tls]);
    option.split('.').take(3).collect::<Vec<_>>().join(".")
}

#[test]
fn router_or_service_belongs_to_the_service_that_registered_first() {
    for (option, first, second) in &DEFINITIONS[..6] {
        let mut scene = Scene::new();
        let name = define_twice(&mut scene, option, first, second);
        scene.document();
        let reason = format!(
            "traefik.{name} already belongs to service first, which defines it differently; use another name"
        );
        assert_eq!(scene.refusal("second.2"), Some(reason), "{option}");
        assert_eq!(scene.routing("first.1"), Routing::Confirmed, "{option}");
    }
}

#[test]
fn service_with_another_middleware_of_the_same_name_gets_its_own() {
    for (option, first, second) in &DEFINITIONS[6..] {
        let mut scene = Scene::new();
        let name = define_twice(&mut scene, option, first, second);
        let document = scene.document();
        let [protocol, kind, _] = name.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
        let section = &document[protocol][kind];
        assert!(section["x"].to_string().contains(first), "{option}: {section}");
        assert!(section["x-second"].to_string().contains(second), "{option}: {section}");
        assert_eq!(scene.refusal("second.2"), None, "{option}");
        let warnings = scene.registry.new_warnings();
        assert!(warnings.len() == 1 && warnings[0].0 == "second", "{warnings:?}");
        assert!(warnings[0].1.contains(&name) && warnings[0].1.contains("x-second"), "{warnings:?}");
        scene.document();
        assert_eq!(scene.registry.new_warnings(), [], "{option}");
    }
}

#[test]
fn router_name_stays_with_the_first_service_while_it_may_return() {
    let mut scene = Scene::new();
    scene.healthy("first.9", A);
    scene.healthy("second.1", A);
    assert_eq!(scene.servers("first").len(), 1);
    let reason = "traefik.http.routers.a already belongs to service first, which defines it differently; use another name".to_owned();
    assert_eq!(scene.refusal("second.1"), Some(reason));
    assert_eq!((scene.routing("first.9"), scene.since("first.9")), (Routing::Confirmed, Some(1)));
    scene.registry.withdraw(scene.now, &"first.9".parse().unwrap(), 0);
    scene.document();
    assert!(scene.refusal("second.1").is_some(), "the first service may return");
    scene.pass(KEEP_EMPTY);
    scene.healthy("second.1", A);
    assert_eq!(scene.servers("second").len(), 1);
}

/// Registers tasks with a hub that has just started. Those of the service `limited` have its own token.
fn warm_up(scene: &mut Scene, registrations: &[(&str, Registration)], limited: &str) {
    for (id, registration) in registrations {
        let (id, registration) = (id.parse().unwrap(), registration.clone());
        let is_limited = registration.service == limited;
        scene.registry.register(scene.now, true, &id, 1, registration, is_limited).unwrap();
    }
}

#[test]
fn during_the_warm_up_the_service_with_the_oldest_task_comes_first() {
    let mut scene = Scene::new();
    let of = |id| (id, registration(id, Health::Healthy, A));
    warm_up(&mut scene, &[of("second.8"), of("first.1")], "");
    assert_eq!(scene.servers("first").len(), 1);
    assert!(scene.refusal("second.8").is_some());
    // A service with a token of its own could take names by claiming any age.
    let mut scene = Scene::new();
    warm_up(&mut scene, &[of("first.1"), of("second.8")], "first");
    assert_eq!(scene.servers("second").len(), 1);
    assert!(scene.refusal("first.1").is_some());
}

#[test]
fn ticket_keeps_the_order_of_services_when_the_hub_restarts() {
    let mut scene = Scene::new();
    // The oldest task belongs to another service than the first registration.
    scene.healthy("z.8", A);
    scene.pass(Duration::from_millis(1));
    scene.healthy("a.1", A);
    let ticket = |scene: &Scene, service: &str| scene.registry.ticket(service).unwrap();
    let (first, second) = (ticket(&scene, "z"), ticket(&scene, "a"));
    assert_eq!(
        [&first, &second].map(|ticket| ticket.split_once('.').unwrap().0.to_owned()),
        [UNIX_MILLIS.to_string(), (UNIX_MILLIS + 1).to_string()]
    );
    let of = |id, ticket: &str| {
        let ticket = Some(ticket.to_owned());
        (id, Registration { ticket, ..registration(id, Health::Healthy, A) })
    };
    let mut scene = Scene::new();
    warm_up(&mut scene, &[of("a.1", &second), of("z.8", &first)], "");
    assert_eq!(scene.servers("z").len(), 1);
    assert!(scene.refusal("a.1").is_some());
    assert_eq!((ticket(&scene, "z"), ticket(&scene, "a")), (first, second));
    assert_eq!(scene.registry.new_warnings(), []);
}

#[test]
fn invalid_ticket_is_reported_once_and_ignored() {
    let mut scene = Scene::new();
    scene.healthy("z.8", A);
    scene.pass(Duration::from_millis(1));
    let forged = scene.registry.ticket("z").unwrap().replacen('1', "0", 1);
    for _ in 0..2 {
        let ticket = Some(forged.clone());
        scene.put("a.9", 9, Registration { ticket, ..registration("a.9", Health::Healthy, A) });
    }
    assert_eq!(scene.servers("z").len(), 1);
    let warnings = scene.registry.new_warnings();
    assert!(warnings.len() == 1 && warnings[0].1.contains("invalid ticket"), "{warnings:?}");
}

#[test]
fn age_orders_generations_although_clocks_of_nodes_differ() {
    let mut scene = Scene::new();
    let new = &[("traefik.http.routers.a.rule", "Path(`/new`)")];
    scene.healthy("s.1", A);
    let hour_behind = Registration { started: 0, ..registration("s.2", Health::Healthy, new) };
    scene.put("s.2", 2, hour_behind);
    assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/new`)");
    // A renewal does not change the order, whatever age it reports.
    scene.put("s.1", 1, Registration { age_ms: 0, ..registration("s.1", Health::Healthy, A) });
    scene.healthy("s.1", &[A[0], ("other", "label")]);
    assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/new`)");
}

#[test]
fn labels_of_the_newest_healthy_task_apply_and_both_generations_serve() {
    let new = &[("traefik.http.routers.a.rule", "Path(`/new`)")];
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.register("s.2", Health::Starting, new);
    assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/a`)");
    scene.healthy("s.2", new);
    assert_eq!(scene.servers("s").len(), 2);
    assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/new`)");
    scene.healthy("s.1", A);
    assert_eq!(scene.document()["http"]["routers"]["a"]["rule"], "Path(`/new`)", "a renewal changes nothing");
}

#[test]
fn bad_label_harms_only_the_task_that_carries_it() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.healthy("s.2", &[("traefik.http.routers.a.rulle", "Path(`/a`)")]);
    scene.healthy("t.3", &[("traefik.http.routers.t.priority", "high")]);
    assert_eq!(scene.servers("s"), ["http://10.0.1.1:8080"]);
    assert!(scene.refusal("s.2").unwrap().contains("rulle"));
    assert!(scene.refusal("t.3").unwrap().contains("\"high\""));
}

#[test]
fn change_of_a_refusal_is_reported_once() {
    let mut scene = Scene::new();
    let mut reasons = |priority: &str| {
        scene.healthy("s.1", &[A[0], ("traefik.http.routers.a.priority", priority)]);
        scene.registry.update(&Confirmed(0));
        scene.registry.set_generation(scene.now, 1)
    };
    assert_eq!(reasons("1"), []);
    let [(service, id, first)] = &reasons("x")[..] else { panic!("refused") };
    assert_eq!((service.as_str(), &*id.to_string()), ("s", "s.1"));
    assert_eq!(reasons("x"), []);
    let [(.., second)] = &reasons("y")[..] else { panic!("refused for another reason") };
    assert!(first.is_some() && second.is_some() && first != second);
    assert_eq!(reasons("2"), [("s".to_owned(), "s.1".parse().unwrap(), None)]);
    assert_eq!(reasons("2"), []);
    assert_eq!(reasons("x").len(), 1);
}

#[test]
fn instance_without_router_labels_is_unrouted() {
    let mut scene = Scene::new();
    scene.healthy("s.1", &[("com.example", "x")]);
    assert_eq!(scene.document(), serde_json::json!({}));
    assert_eq!(scene.routing("s.1"), Routing::Unrouted);
    assert!(scene.registry.is_routed("s", &Confirmed(scene.generation)), "as ready as it gets");
    scene.put("t.1", 1, registration("t.1", Health::Starting, &[]));
    assert!(!scene.registry.is_routed("t", &Confirmed(scene.generation)));
}

#[test]
fn instance_is_routed_since_the_generation_that_added_it() {
    let mut scene = Scene::new();
    scene.healthy("s.1", A);
    scene.document();
    scene.healthy("s.2", A);
    scene.document();
    scene.document();
    assert_eq!((scene.routing("s.1"), scene.since("s.1")), (Routing::Confirmed, Some(1)));
    assert_eq!((scene.routing("s.2"), scene.since("s.2")), (Routing::Confirmed, Some(2)));
}

#[test]
fn heartbeat_renews_all_leases_of_its_connection_only() {
    let mut scene = Scene::new();
    for id in ["a.1", "a.2"] {
        scene.put(id, 7, registration(id, Health::Healthy, A));
    }
    scene.put("a.3", 8, registration("a.3", Health::Healthy, A));
    assert_eq!(scene.pass(TTL / 2), []);
    assert_eq!(scene.registry.heartbeat(scene.now, 7), (2, TTL));
    assert_eq!(scene.pass(TTL / 2), ["a.3".parse().unwrap()]);
    assert_eq!(scene.registry.heartbeat(scene.now, 9), (0, TTL));
    assert_eq!(scene.pass(TTL / 2), ["a.1".parse().unwrap(), "a.2".parse().unwrap()]);
}

#[test]
fn agents_leases_outlive_its_connection_but_not_its_silence() {
    let mut scene = Scene::new();
    let container = Registration { source: Source::Agent, ..registration("a.1", Health::Healthy, A) };
    scene.put("a.1", 7, container.clone());
    scene.registry.disconnected(scene.now, 7, LOST_AFTER);
    assert_eq!(scene.pass(AGENT_LOST_AFTER / 2), []);
    assert_eq!(scene.servers("a"), ["http://10.0.1.1:8080"]);
    assert_eq!(scene.pass(AGENT_LOST_AFTER / 2), ["a.1".parse().unwrap()]);
    scene.put("a.1", 8, container);
    assert_eq!(scene.pass(TTL), ["a.1".parse().unwrap()], "a dead node closes no connection");
}

#[test]
fn published_labels_apply_without_a_new_registration() {
    let mut scene = Scene::new();
    let container = Registration { source: Source::Agent, ..registration("a.1", Health::Healthy, &[]) };
    scene.put("a.1", 7, Registration { slot: Some("1".to_owned()), ..container });
    scene.healthy("a.2", A);
    assert!(scene.publish(1, A));
    assert_eq!(scene.servers("a"), ["http://10.0.1.1:8080", "http://10.0.1.2:8080"]);
    assert!(!scene.registry.instances.iter().any(|(_, instance)| instance.stale));
    assert!(scene.publish(2, &[("traefik.http.routers.b.rule", "Path(`/b`)")]));
    assert_eq!(scene.document()["http"]["routers"].as_object().unwrap().keys().collect::<Vec<_>>(), ["b"]);
    let stale: Vec<_> = scene.registry.instances.iter().filter(|(_, i)| i.stale).collect();
    assert_eq!(stale.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["a.2"]);
    assert!(!scene.publish(2, &[("traefik.http.routers.b.rule", "Path(`/b`)")]), "nothing changed");
}

#[test]
fn published_labels_with_errors_change_no_route() {
    let rule = |scene: &mut Scene| scene.document()["http"]["routers"]["a"]["rule"].clone();
    let (good, bad) =
        ([("traefik.http.routers.a.rule", "Path(`/a2`)")], [("traefik.http.routers.a.rule", "Path(`")]);
    for has_router in [true, false] {
        let mut scene = Scene::new();
        scene.healthy("a.1", A);
        for (version, labels) in [&good, &bad, &bad].into_iter().enumerate() {
            scene.publish(version as u64, labels);
            if !has_router {
                scene.registry.start_over();
                // It stays in use while the task is unhealthy for a moment.
                scene.register("a.1", Health::Unhealthy, A);
                scene.document();
                scene.registry.start_over();
                scene.healthy("a.1", A);
            }
            assert_eq!(rule(&mut scene), "Path(`/a2`)", "{version}, {has_router}");
        }
        assert!(scene.refusal("a.1").is_some());
        assert!(scene.registry.is_serving(&"a.1".parse().unwrap(), &Confirmed(scene.generation)));
    }
    // A hub that starts afterwards does not guess: the labels that the task was started with may be too open.
    let mut scene = Scene::new();
    scene.publish(1, &bad);
    scene.healthy("a.1", A);
    assert!(scene.document()["http"]["routers"].get("a").is_none());
    assert!(scene.refusal("a.1").is_some());
    assert!(!scene.registry.is_serving(&"a.1".parse().unwrap(), &Confirmed(scene.generation)));
}

#[test]
fn warnings_are_returned_once_per_service() {
    let mut scene = Scene::new();
    let old = [("traefik.frontend.rule", "Path:/a"), ("traefik.tags", "a")];
    scene.healthy("a.1", &old);
    scene.healthy("a.2", &old);
    let new = scene.registry.new_warnings();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].0 == "a" && new[0].1.starts_with("label traefik.tags: "), "{new:?}");
    scene.healthy("a.3", &[old[0], ("traefik.portIndex", "1")]);
    scene.healthy("b.4", &[("traefik.frontend.rule", "Path:/b")]);
    let new = scene.registry.new_warnings();
    assert!(new.len() == 1 && new[0].1.starts_with("label traefik.portIndex: "), "{new:?}");
}

proptest::proptest! {
    #[test]
    fn rendering_only_what_changed_gives_the_same_as_rendering_everything(
        steps in proptest::collection::vec((0..3_usize, 1..5_u8, 0..5_usize, 0..4_usize), 1..40)
    ) {
        let shared = |rule: &'static str| [("traefik.http.routers.x.rule", rule)];
        let services = ["s", "t", "u"];
        let own = ["Path(`/s`)", "Path(`/t`)", "Path(`/u`)"];
        let router = ["traefik.http.routers.s.rule", "traefik.http.routers.t.rule", "traefik.http.routers.u.rule"];
        let mut scenes = [Scene::new(), Scene::new()];
        scenes[1].now = scenes[0].now;
        for (service, number, action, labels) in steps {
            let labels = match labels {
                0 | 1 => [(router[service], own[service])],
                2 => shared("Path(`/1`)"),
                _ => shared("Path(`/2`)"),
            };
            let id = format!("{}.{number}", services[service]);
            let documents = scenes.each_mut().map(|scene| {
                match action {
                    0 => drop(scene.registry.withdraw(scene.now, &id.parse().unwrap(), 0)),
                    1 => drop(scene.pass(TTL / 2)),
                    _ => {
                        let health = if action == 2 { Health::Unhealthy } else { Health::Healthy };
                        let started = u64::from(number) + if action == 3 { 10 * scene.generation } else { 0 };
                        let registration = Registration { started, ..registration(&id, health, &labels) };
                        let id = id.parse().unwrap();
                        // A withdrawn task cannot return.
                        let _ = scene.registry.register(scene.now, false, &id, number.into(), registration, false);
                    }
                }
                scene.document()
            });
            // Has the second one decide each time.
            scenes[1].registry.undecided = true;
            let [fast, full] = documents;
            assert_eq!(fast, full);
            let routing = scenes.each_ref().map(|scene| {
                scene.registry.instances.keys().map(|id| scene.routing(&id.to_string())).collect::<Vec<_>>()
            });
            assert_eq!(routing[0], routing[1]);
        }
    }
}

/// What happens to a task at one of several hubs: its registration arrives, or its connection is lost, or time passes.
#[derive(Clone, Copy, Debug)]
enum Event {
    Registered { hub: usize, task: usize },
    Lost { hub: usize, task: usize },
    Passed(u64),
}

fn event(hubs: usize, tasks: usize) -> impl proptest::strategy::Strategy<Value = Event> {
    use proptest::prelude::*;
    prop_oneof![
        3 => (0..hubs, 0..tasks).prop_map(|(hub, task)| Event::Registered { hub, task }),
        1 => (0..hubs, 0..tasks).prop_map(|(hub, task)| Event::Lost { hub, task }),
        1 => (0..1000_u64).prop_map(Event::Passed),
    ]
}

/// Three services, two of which claim the same router. Two generations of the first one.
const TASKS: [(&str, &str, &str); 6] = [
    ("a.1", "traefik.http.routers.a.rule", "Path(`/a`)"),
    ("a.2", "traefik.http.routers.a.rule", "Path(`/a`)"),
    ("a.3", "traefik.http.routers.a.rule", "Path(`/new`)"),
    ("b.4", "traefik.http.routers.shared.rule", "Path(`/b`)"),
    ("c.5", "traefik.http.routers.shared.rule", "Path(`/c`)"),
    ("c.6", "traefik.http.routers.shared.rule", "Path(`/c`)"),
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Hubs share nothing. Clients hand the earliest ticket of their service to every hub.
    #[test]
    fn hubs_converge_to_the_same_document_once_all_clients_have_renewed(
        events in proptest::collection::vec(event(3, TASKS.len()), 0..40),
        withdrawn in proptest::bits::u8::masked(0b11_1111),
    ) {
        let mut hubs = [(); 3].map(|()| Scene::new());
        let mut tickets: BTreeMap<&str, Option<String>> = BTreeMap::new();
        let start = hubs[0].now;
        let mut register = |scene: &mut Scene, task: usize, now: Instant| {
            let (id, key, rule) = TASKS[task];
            let mut registration = registration(id, Health::Healthy, &[(key, rule)]);
            registration.age_ms += u64::try_from((now - start).as_millis()).unwrap();
            let service = id.split_once('.').unwrap().0;
            let ticket = tickets.entry(service).or_default();
            registration.ticket.clone_from(ticket);
            scene.now = now;
            // Fails for a withdrawn task.
            let (id, connection) = (id.parse().unwrap(), u64::try_from(task).unwrap());
            let _ = scene.registry.register(now, false, &id, connection, registration, false);
            *ticket = protocol::earlier_ticket(ticket.take(), scene.registry.ticket(service));
        };
        let mut now = start;
        // The service that a hub has in use keeps its names. So hubs that first see different ones of two services in conflict
        // do not agree: each refuses one of them. Here all of them see `b` first.
        for hub in &mut hubs {
            register(hub, 3, now);
            hub.document();
        }
        for event in events {
            match event {
                Event::Registered { hub, task } => register(&mut hubs[hub], task, now),
                Event::Lost { hub, task } => {
                    hubs[hub].registry.disconnected(now, u64::try_from(task).unwrap(), LOST_AFTER);
                }
                Event::Passed(millis) => now += Duration::from_millis(millis),
            }
            for hub in &mut hubs {
                hub.now = now;
                hub.document();
            }
        }
        // Each task has been registered with every hub, and some are withdrawn from all of them. The routers of services
        // without tasks are forgotten after a while.
        for second in 0..KEEP_EMPTY.as_secs() + 5 {
            now += Duration::from_secs(1);
            for hub in &mut hubs {
                for (task, (id, ..)) in TASKS.iter().enumerate() {
                    if withdrawn & 1 << task == 0 || second == 0 {
                        register(hub, task, now);
                    } else {
                        hub.registry.withdraw(now, &id.parse().unwrap(), 0);
                    }
                }
                hub.document();
            }
        }
        let [first, second, third] = hubs.map(|mut hub| hub.document());
        proptest::prop_assert_eq!(&first, &second);
        proptest::prop_assert_eq!(&first, &third);
    }
}
