//! Tests of generations, conflicts and trials, with the registry and scripted routers.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use protocol::{Health, InstanceId, Labels, Registration, Routing, ServiceSpec, Services};
use serde_json::{Value, json};
use traefik::Exposure;

use super::*;
use crate::key::Key;
use crate::registry::tests::registration;
use crate::registry::{Registry, Settings};

/// Routers that report on definitions.
#[derive(Default)]
struct Routers {
    can_try: bool,
    /// Generation that all routers use.
    confirmed: u64,
    /// Errors by the end of a definition's name.
    errors: RefCell<BTreeMap<String, String>>,
    /// Number of errors that have been looked up.
    looks: Cell<u64>,
    revision: u64,
}

impl Reports for Routers {
    fn can_try(&self) -> bool {
        self.can_try
    }

    fn is_confirmed(&self, generation: u64) -> bool {
        generation <= self.confirmed
    }

    fn error(&self, _: u64, protocol: &str, kind: &str, name: &str) -> Option<String> {
        self.looks.update(|looks| looks + 1);
        self.errors.borrow().get(&format!("{protocol}.{kind}.{name}")).cloned()
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}

/// A registry with routers. Tasks are named SERVICE.NUMBER; one with a higher number started later.
struct Scene {
    registry: Registry,
    routers: Routers,
    now: Instant,
    document: Value,
    /// Refusals that began, changed or ended.
    log: Vec<Option<String>>,
    /// Service that registers with its own token.
    limited: &'static str,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

impl Scene {
    fn new(can_try: bool) -> Self {
        let hour = Duration::from_hours(1);
        let settings = Settings {
            ttl: hour,
            lost_after: hour,
            agent_lost_after: hour,
            keep_empty: Duration::from_mins(1),
            exposure: Exposure::default(),
            key: Key::default(),
            policy: Policy::default(),
        };
        let now = Instant::now();
        let routers = Routers { can_try, ..Routers::default() };
        Self {
            registry: Registry::new(settings, now, 1),
            routers,
            now,
            document: Value::Null,
            log: Vec::new(),
            limited: "",
        }
    }

    fn register(&mut self, id: &str, health: Health, labels: Pairs<'_>) {
        let registration =
            Registration { labels: read_labels(labels).into(), ..registration(id, health, &[]) };
        let (id, connection) = (id.parse().unwrap(), registration.started);
        let is_limited = registration.service == self.limited;
        self.registry.register(self.now, false, &id, connection, registration, is_limited).unwrap();
        self.now += Duration::from_millis(1);
    }

    /// Registers a healthy task, and applies that.
    fn healthy(&mut self, id: &str, labels: Pairs<'_>) {
        self.register(id, Health::Healthy, labels);
        self.update();
    }

    fn withdraw(&mut self, id: &str) {
        self.registry.withdraw(self.now, &id.parse().unwrap(), 0);
        self.update();
    }

    /// Starts a generation of the document, as the hub does. Routers do not use it yet.
    fn update(&mut self) {
        self.registry.advance(self.now);
        self.registry.update(&self.routers);
        let json = self.registry.document.to_json();
        self.document = serde_json::from_str(&json).unwrap();
        let changes = self.registry.set_generation(self.now, self.routers.confirmed + 1);
        self.log.extend(changes.into_iter().map(|(.., reason)| reason));
    }

    /// Lets the routers use and report the latest generation.
    fn report(&mut self) {
        self.routers.confirmed += 1;
        self.routers.revision += 1;
        if self.registry.settle_trials(&self.routers) {
            self.update();
        }
    }

    fn fail(&mut self, name: &str, error: Option<&str>) {
        let mut errors = self.routers.errors.borrow_mut();
        match error {
            Some(error) => drop(errors.insert(name.to_owned(), error.to_owned())),
            None => drop(errors.remove(name)),
        }
    }

    /// Returns the routing state of an instance.
    fn routing(&self, id: &str) -> Routing {
        self.registry.routing(&id.parse::<InstanceId>().unwrap(), &self.routers)
    }

    fn refusal(&self, id: &str) -> String {
        match self.routing(id) {
            Routing::Refused { reason } => reason,
            other => panic!("{id} is {other:?}"),
        }
    }

    fn rule(&self, router: &str) -> &str {
        self.document["http"]["routers"][router]["rule"].as_str().unwrap_or_default()
    }

    /// Returns the last octets of the servers of a service.
    fn servers(&self, service: &str) -> Vec<u8> {
        let servers = &self.document["http"]["services"][service]["loadbalancer"]["servers"];
        let octet = |server: &Value| {
            let url = server["url"].as_str().unwrap().to_owned();
            url.strip_prefix("http://10.0.1.").unwrap().split_once(':').unwrap().0.parse().unwrap()
        };
        servers.as_array().into_iter().flatten().map(octet).collect()
    }
}

fn read_labels(pairs: Pairs<'_>) -> Labels {
    Labels(pairs.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned())).collect())
}

const A: Pairs<'_> = &[("http.routers.a.rule", "Path(`/a`)")];
const B: Pairs<'_> = &[("http.routers.b.rule", "Path(`/b`)")];
const B2: Pairs<'_> = &[("http.routers.b.rule", "Path(`/b2`)")];

#[test]
fn conflicting_generation_is_refused_and_the_one_in_use_keeps_serving() {
    let mut scene = Scene::new(false);
    scene.healthy("a.1", A);
    scene.healthy("b.2", B);
    let both = [("http.routers.b.rule", "Path(`/b2`)"), ("http.routers.a.rule", "Path(`/b`)")];
    scene.healthy("b.3", &both);
    scene.report();
    assert_eq!((scene.rule("a"), scene.rule("b")), ("Path(`/a`)", "Path(`/b`)"));
    assert_eq!(scene.servers("b"), [2]);
    assert_eq!((scene.routing("a.1"), scene.routing("b.2")), (Routing::Confirmed, Routing::Confirmed));
    assert!(scene.refusal("b.3").contains("traefik.http.routers.a already belongs to service a"));
    // The refused generation does not take the place of one that ends.
    scene.withdraw("b.2");
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![]));
    // It does once there is no conflict.
    scene.withdraw("a.1");
    scene.now += Duration::from_mins(2);
    scene.healthy("b.3", &both);
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b2`)", vec![3]));
}

#[test]
fn faulty_labels_of_running_tasks_take_nothing_out_of_routing() {
    for faulty in [&[("http.routers.b.rulle", "x")], &[("http.routers.a.rule", "x")]] {
        let mut scene = Scene::new(false);
        scene.healthy("a.1", A);
        scene.healthy("b.2", B);
        scene.report();
        let spec = ServiceSpec { version: 1, labels: read_labels(faulty), templated: true, settled: true };
        let services = Services { services: [("b".to_owned(), spec)].into() };
        assert!(scene.registry.publish(scene.now, "n".parse().unwrap(), services).0);
        scene.update();
        assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![2]));
        assert!(scene.refusal("b.2").contains("traefik.http.routers."));
    }
}

#[test]
fn generations_that_started_together_keep_the_one_in_use() {
    let mut scene = Scene::new(false);
    scene.healthy("b.1", B);
    let (id, connection) = ("b.2".parse().unwrap(), 2);
    scene.register("b.3", Health::Starting, B2);
    let mut second = scene.registry.instances[&"b.3".parse().unwrap()].registration.clone();
    for (older_by, rule) in [(0, "Path(`/b`)"), (2_000, "Path(`/b2`)")] {
        second.age_ms = 10_000 * 255 - older_by;
        (second.health, second.started) = (Health::Healthy, 100 + older_by);
        scene.registry.register(scene.now, false, &id, connection, second.clone(), false).unwrap();
        scene.update();
        assert_eq!(scene.rule("b"), rule);
        assert_eq!(scene.servers("b"), [1, 3]);
    }
}

#[test]
fn shared_middleware_that_changes_in_one_service_takes_neither_out() {
    let mut scene = Scene::new(false);
    let labels = |name: &'static str, value: &'static str| {
        let router = if name == "a" { A[0] } else { B[0] };
        let key = if name == "a" { "http.routers.a.middlewares" } else { "http.routers.b.middlewares" };
        [router, (key, "hdr"), ("http.middlewares.hdr.headers.customrequestheaders.x", value)]
    };
    scene.healthy("a.1", &labels("a", "1"));
    scene.healthy("b.2", &labels("b", "1"));
    let middlewares = |scene: &Scene| {
        let http = &scene.document["http"];
        let used = |router: &str| {
            let name = http["routers"][router]["middlewares"][0].as_str().unwrap();
            let headers = &http["middlewares"][name]["headers"]["customrequestheaders"];
            headers["x"].as_str().unwrap().to_owned()
        };
        (used("a"), used("b"), http["middlewares"].as_object().unwrap().len())
    };
    let pair = |a: &str, b: &str, count| (a.to_owned(), b.to_owned(), count);
    assert_eq!(middlewares(&scene), pair("1", "1", 1));
    scene.healthy("a.3", &labels("a", "2"));
    assert_eq!(middlewares(&scene), pair("2", "1", 2));
    scene.healthy("b.4", &labels("b", "2"));
    assert_eq!(middlewares(&scene), pair("2", "2", 1));
    scene.report();
    for id in ["a.1", "b.2", "a.3", "b.4"] {
        assert_eq!(scene.routing(id), Routing::Confirmed, "{id}");
    }
    assert_eq!((scene.servers("a"), scene.servers("b")), (vec![1, 3], vec![2, 4]));
}

const STORE: Pairs<'_> = &[
    ("http.routers.store.rule", "Host(`store.lan`)"),
    ("http.routers.store.service", "store"),
    ("http.services.store.loadbalancer.server.port", "9000"),
];

#[test]
fn services_with_equal_definitions_share_them() {
    let mut scene = Scene::new(false);
    for id in ["m1.1", "m2.2", "m3.3"] {
        scene.healthy(id, STORE);
    }
    scene.report();
    assert_eq!(scene.servers("store"), [1, 2, 3]);
    for id in ["m1.1", "m2.2", "m3.3"] {
        assert_eq!(scene.routing(id), Routing::Confirmed, "{id}");
    }
    scene.withdraw("m1.1");
    assert_eq!(scene.servers("store"), [2, 3]);
    scene.now += Duration::from_mins(2);
    scene.healthy("m2.2", STORE);
    assert_eq!(scene.servers("store"), [2, 3], "the definition does not belong to the first service");
}

#[test]
fn shared_definition_changes_once_all_services_agree() {
    for can_try in [false, true] {
        let mut scene = Scene::new(can_try);
        let new = [("http.routers.store.rule", "Host(`new.lan`)"), STORE[1], STORE[2]];
        for id in ["m1.1", "m2.2", "m3.3"] {
            scene.healthy(id, STORE);
        }
        scene.healthy("m2.12", &new);
        scene.healthy("m1.11", &new);
        scene.report();
        assert!(scene.refusal("m1.11").contains("already belongs to service m3"));
        assert_eq!((scene.rule("store"), scene.servers("store")), ("Host(`store.lan`)", vec![1, 2, 3]));
        scene.healthy("m3.13", &new);
        scene.report();
        scene.report();
        assert_eq!(scene.rule("store"), "Host(`new.lan`)");
        let mut servers = scene.servers("store");
        servers.sort_unstable();
        assert_eq!(servers, [1, 2, 3, 11, 12, 13]);
        assert_eq!(scene.routing("m3.13"), Routing::Confirmed);
    }
}

#[test]
fn reference_to_nothing_is_refused_until_it_is_defined() {
    let mut scene = Scene::new(false);
    let auth = [A[0], ("http.routers.a.middlewares", "auth@docker,f@file")];
    scene.healthy("a.1", &auth);
    assert_eq!(
        scene.refusal("a.1"),
        "traefik.http.routers.a.middlewares refers to middleware auth, which no service defines; define \
         traefik.http.middlewares.auth.… or, if Traefik's own configuration defines it, write auth@file"
    );
    scene.healthy("b.2", &[("http.middlewares.auth.compress", "true")]);
    scene.report();
    assert_eq!(scene.routing("a.1"), Routing::Confirmed);
    // Two services that need each other come together.
    scene.healthy("c.3", &[("http.routers.c.rule", "Path(`/r`)"), ("http.routers.c.service", "d")]);
    let back = [("http.routers.d.rule", "Path(`/r`)"), ("http.routers.d.service", "c")];
    scene.healthy("d.4", &[&back[..], &[("http.services.d.loadbalancer.server.port", "1")]].concat());
    assert!(scene.refusal("d.4").contains("refers to service c, which no service defines"));
    let own = [("http.services.c.loadbalancer.server.port", "1"), ("http.routers.c.rule", "Path(`/r`)")];
    scene.healthy("c.3", &[&own[..], &[("http.routers.c.service", "d")]].concat());
    scene.report();
    assert_eq!((scene.routing("c.3"), scene.routing("d.4")), (Routing::Confirmed, Routing::Confirmed));
}

/// A service whose router refers to definitions of the service `a`.
const REFERRING: Pairs<'_> = &[
    ("http.routers.b.rule", "Host(`b.lan`)"),
    ("http.routers.b.middlewares", "chain@docker"),
    ("http.routers.b.service", "a"),
    ("http.routers.b.tls.options", "strict"),
];

const DEFINITIONS: Pairs<'_> = &[
    ("http.routers.a.rule", "Path(`/a`)"),
    ("http.services.a.loadbalancer.server.port", "81"),
    ("http.services.a.loadbalancer.serverstransport", "quick"),
    ("http.serverstransports.quick.maxidleconnsperhost", "1"),
    ("http.middlewares.chain.chain.middlewares", "gzip"),
    ("http.middlewares.gzip.compress", "true"),
    ("http.middlewares.unused.compress", "true"),
    ("tls.options.strict.minversion", "VersionTLS13"),
];

/// Returns names of definitions in the document.
fn defined(scene: &Scene) -> Vec<&str> {
    let places = [
        ("http", "routers"),
        ("http", "services"),
        ("http", "middlewares"),
        ("http", "serverstransports"),
        ("tls", "options"),
    ];
    let names = |(protocol, kind): (&str, &str)| scene.document[protocol][kind].as_object();
    places.into_iter().filter_map(names).flatten().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn definition_stays_while_another_service_refers_to_it() {
    let mut scene = Scene::new(false);
    scene.healthy("a.1", DEFINITIONS);
    scene.healthy("b.2", REFERRING);
    scene.report();
    // A generation without the definitions is no reason to refuse it, nor to take the other service out of routing.
    scene.healthy("a.3", &[("http.routers.a.rule", "Path(`/new`)"), ("http.routers.a.service", "x@file")]);
    let kept = ["a", "b", "a", "chain", "gzip", "quick", "strict"];
    assert_eq!((scene.rule("a"), defined(&scene)), ("Path(`/new`)", kept.to_vec()));
    let servers = &scene.document["http"]["services"]["a"]["loadbalancer"]["servers"];
    assert_eq!(servers[1]["url"], "http://10.0.1.3:81", "the port of the former definition");
    let warnings: Vec<_> = scene.registry.new_warnings().into_iter().map(|(_, warning)| warning).collect();
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    assert!(warnings.contains(
        &"traefik.http.routers.b.middlewares refers to middleware chain, which no service defines; its last definition \
          stays until the hub restarts"
            .to_owned()
    ));
    for id in ["a.1", "a.3"] {
        scene.withdraw(id);
    }
    scene.now += Duration::from_mins(2);
    scene.update();
    assert_eq!(defined(&scene), kept[1..]);
    assert_eq!(scene.servers("a"), [] as [u8; 0]);
    scene.now += Duration::from_mins(2);
    scene.update();
    scene.report();
    assert_eq!((scene.routing("b.2"), scene.registry.new_warnings()), (Routing::Confirmed, Vec::new()));
    // A service that defines one of them replaces it, and the chain's middleware is no longer needed.
    scene.healthy("c.4", &[("http.middlewares.chain.compress", "true")]);
    assert_eq!(defined(&scene), ["b", "a", "chain", "quick", "strict"]);
    assert_eq!(scene.document["http"]["middlewares"]["chain"]["compress"], "true");
    scene.withdraw("b.2");
    scene.now += Duration::from_mins(2);
    scene.update();
    assert_eq!(defined(&scene), ["chain"]);
}

#[test]
fn nesting_across_services_is_bounded_in_whatever_order_they_change() {
    let mut scene = Scene::new(false);
    let plain = |level: usize| (format!("http.services.w{level}.loadbalancer.server.port"), "1".to_owned());
    let doubled = |level: usize| {
        let target = |index| format!("http.services.w{level}.weighted.services[{index}].name");
        [0, 1].map(|index| (target(index), format!("w{}", level + 1)))
    };
    let start = |scene: &mut Scene, id: usize, level: usize, labels: &[(String, String)]| {
        let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        scene.healthy(&format!("s{level}.{id}"), &labels);
    };
    for level in 0..10 {
        start(&mut scene, level + 1, level, &[plain(level)]);
    }
    // Each of them leads to a service without references when it changes.
    for level in 0..9 {
        start(&mut scene, level + 101, level, &doubled(level));
    }
    assert_eq!(scene.routing("s7.108"), Routing::Pending);
    let refusal = scene.refusal("s8.109");
    assert!(
        refusal.starts_with("service s0 needs these definitions: traefik.http.services.w0: "),
        "{refusal}"
    );
    assert_eq!(scene.servers("w8"), [9]);
}

const TRIAL: &str = "b-swarmlings-trial";

#[test]
fn changed_definition_is_tried_before_it_comes_into_use() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", B);
    assert_eq!(scene.rule("b"), "Path(`/b`)", "the first one is not tried");
    scene.report();
    scene.register("b.2", Health::Starting, B2);
    scene.update();
    scene.healthy("b.2", B2);
    assert_eq!(scene.rule(TRIAL), "Host(`a.invalid`) && Host(`b.invalid`) && (Path(`/b2`))");
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![1]));
    assert_eq!(scene.routing("b.2"), Routing::Pending);
    scene.report();
    assert_eq!((scene.rule(TRIAL), scene.rule("b")), ("", "Path(`/b2`)"));
    assert_eq!((scene.servers("b"), scene.routing("b.2")), (vec![1, 2], Routing::Pending));
    scene.report();
    assert_eq!(scene.routing("b.2"), Routing::Confirmed);
}

#[test]
fn failed_trial_is_refused_in_traefiks_words_until_the_error_ends() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", B);
    scene.report();
    let router = format!("http.routers.{TRIAL}");
    scene.fail(&router, Some("service \"b-swarmlings-trial@http\" needs x@file"));
    scene.healthy("b.2", B2);
    scene.report();
    let reason = "Traefik reports for traefik.http.routers.b: service \"b@http\" needs x@file";
    assert_eq!(scene.refusal("b.2"), reason);
    scene.report();
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![1]));
    assert_eq!(scene.routing("b.1"), Routing::Confirmed);
    // It does not take the place of a generation that ends.
    scene.withdraw("b.1");
    assert_eq!(scene.rule("b"), "Path(`/b`)");
    scene.fail(&router, None);
    scene.report();
    scene.report();
    assert_eq!((scene.rule("b"), scene.routing("b.2")), ("Path(`/b2`)", Routing::Confirmed));
}

const B3: Pairs<'_> = &[("http.routers.b.rule", "Path(`/b3`)")];

#[test]
fn generation_older_than_a_rejected_one_is_tried() {
    let router = format!("http.routers.{TRIAL}");
    for works in [true, false] {
        let mut scene = Scene::new(true);
        scene.healthy("b.1", B);
        scene.report();
        scene.healthy("b.2", B2);
        scene.healthy("b.3", B3);
        scene.fail(&router, Some("no x@file"));
        scene.report();
        let reason = scene.refusal("b.3");
        assert!(reason.ends_with("no x@file"));
        assert!(scene.rule(TRIAL).ends_with("(Path(`/b2`))"), "{}", scene.rule(TRIAL));
        scene.fail(&router, (!works).then_some("no y@file"));
        scene.report();
        if works {
            assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b2`)", vec![1, 2]));
        } else {
            assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![1]));
            assert!(scene.refusal("b.2").ends_with("no y@file"));
        }
        assert_eq!(scene.refusal("b.3"), reason);
        // The newest one is watched, so that it comes into use when the error ends.
        assert!(scene.rule(TRIAL).ends_with("(Path(`/b3`))"));
        scene.fail(&router, Some("no x@file"));
        scene.report();
        assert_eq!(scene.refusal("b.3"), reason);
        scene.fail(&router, None);
        scene.report();
        assert_eq!(scene.rule("b"), "Path(`/b3`)");
    }
}

#[test]
fn refused_generation_with_changing_health_is_reported_and_tried_once() {
    let conflict = [B2[0], ("http.routers.a.rule", "Path(`/x`)")];
    for (labels, error) in [(B2, Some("no x@file")), (&conflict, None)] {
        let mut scene = Scene::new(true);
        scene.healthy("a.4", A);
        scene.healthy("b.1", B);
        scene.report();
        scene.healthy("b.2", labels);
        scene.fail(&format!("http.routers.{TRIAL}"), error);
        scene.report();
        let reason = scene.refusal("b.2");
        let trial = scene.rule(TRIAL).to_owned();
        assert_eq!(trial.is_empty(), error.is_none());
        scene.log.clear();
        for health in [Health::Unhealthy, Health::Healthy, Health::Unhealthy] {
            scene.register("b.2", health, labels);
            scene.update();
            assert_eq!((scene.rule(TRIAL), scene.refusal("b.2")), (trial.as_str(), reason.clone()));
            scene.report();
        }
        assert_eq!(scene.log, []);
        // With other labels it is another generation.
        scene.register("b.2", Health::Starting, B3);
        scene.update();
        assert_eq!((scene.routing("b.2"), scene.log.len(), scene.rule(TRIAL)), (Routing::Pending, 1, ""));
    }
}

#[test]
fn reports_are_read_once_per_change() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", B);
    let looks = |scene: &mut Scene| {
        scene.registry.settle_trials(&scene.routers);
        scene.routers.looks.take()
    };
    scene.report();
    scene.routers.looks.take();
    assert_eq!(looks(&mut scene), 0);
    scene.routers.revision += 1;
    assert_ne!(looks(&mut scene), 0);
    // The document after a decision may be the same as before, and in use already.
    scene.healthy("b.2", B2);
    assert_ne!(looks(&mut scene), 0);
    assert_eq!(looks(&mut scene), 0);
}

#[test]
fn generation_that_is_tried_takes_the_place_of_one_that_ends() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", B);
    scene.report();
    scene.healthy("b.2", B2);
    scene.withdraw("b.1");
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b2`)", vec![2]));
}

#[test]
fn other_port_needs_no_trial() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", &[B[0], ("http.services.b.loadbalancer.server.port", "1")]);
    scene.report();
    scene.healthy("b.2", &[B[0], ("http.services.b.loadbalancer.server.port", "2")]);
    assert_eq!((scene.servers("b"), scene.rule(TRIAL)), (vec![1, 2], ""));
}

#[test]
fn error_about_definitions_in_use_refuses_their_instances_only() {
    let mut scene = Scene::new(true);
    scene.healthy("a.1", A);
    scene.healthy("b.2", B);
    scene.fail("http.routers.b", Some("entryPoint not found"));
    scene.report();
    assert_eq!(scene.refusal("b.2"), "Traefik reports for traefik.http.routers.b: entryPoint not found");
    assert_eq!((scene.routing("a.1"), scene.rule("b")), (Routing::Confirmed, "Path(`/b`)"));
    // A newer generation does not need a trial against one that does not work, but gets one.
    scene.fail("http.routers.b", None);
    scene.report();
    assert_eq!(scene.routing("b.2"), Routing::Confirmed);
}

#[test]
fn without_reports_the_newest_generation_comes_into_use_at_once() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", B);
    scene.report();
    scene.healthy("b.2", B2);
    scene.routers.can_try = false;
    scene.healthy("a.3", A);
    assert_eq!(scene.rule("b"), "Path(`/b2`)");
}

#[test]
fn restarted_hub_begins_with_the_oldest_generation() {
    let mut scene = Scene::new(true);
    scene.register("b.2", Health::Healthy, B2);
    scene.register("b.1", Health::Healthy, B);
    scene.update();
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![1]));
    scene.report();
    scene.report();
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b2`)", vec![1, 2]));
}

/// An event of the property test.
#[derive(Clone, Debug)]
enum Step {
    /// A task registers as healthy, with a router of this name and rule, and a middleware with this value.
    Start {
        service: usize,
        router: usize,
        rule: usize,
        middleware: Option<usize>,
    },
    Withdraw {
        task: usize,
    },
    Report {
        failing: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3_usize, 0..4_usize, 0..2_usize, prop::option::of(0..2_usize)).prop_map(
            |(service, router, rule, middleware)| Step::Start { service, router, rule, middleware }
        ),
        2 => (0..60_usize).prop_map(|task| Step::Withdraw { task }),
        2 => any::<bool>().prop_map(|failing| Step::Report { failing }),
    ]
}

/// Returns rule, service and middleware of a router.
fn served(scene: &Scene, router: &str) -> Option<[String; 3]> {
    let http = &scene.document["http"];
    let router = http["routers"].get(router)?;
    let middleware = router["middlewares"][0].as_str().unwrap_or_default();
    // The name of the middleware may change.
    Some([&router["rule"], &router["service"], &http["middlewares"][middleware]].map(Value::to_string))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// As long as a healthy task with the configuration in use stays, and no newer configuration comes into use, its
    /// routers have the same rule and middleware and the task is a server. References lead to a definition.
    #[test]
    fn no_registration_takes_a_healthy_generation_out_of_use(
        can_try in any::<bool>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut scene = Scene::new(can_try);
        // ID, router, and what its own labels ask for.
        let mut tasks: Vec<(String, usize, [String; 3])> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let before: Vec<_> = tasks
                .iter()
                .filter(|(id, ..)| matches!(scene.routing(id), Routing::Confirmed | Routing::Pending))
                .filter_map(|(id, router, own)| {
                    let number: u8 = id.split_once('.').unwrap().1.parse().unwrap();
                    let name = format!("r{router}");
                    let service = scene.document["http"]["routers"][&name]["service"].as_str()?;
                    let is_server = scene.servers(service).contains(&number);
                    // Otherwise it serves for a newer task's configuration, which may go.
                    let served = served(&scene, &name).filter(|served| served == own);
                    is_server.then_some((id.clone(), number, name, served?))
                })
                .collect();
            let mut changed = None;
            match step {
                Step::Start { service, router, rule, middleware } => {
                    let service = ["x", "y", "z"][service];
                    let id = format!("{service}.{}", number + 1);
                    let key = format!("http.routers.r{router}");
                    let (rule_key, used_key) = (format!("{key}.rule"), format!("{key}.middlewares"));
                    let rule = format!("Path(`/{rule}`)");
                    let header = format!("{}", middleware.unwrap_or_default());
                    let mut labels = vec![(rule_key.as_str(), rule.as_str())];
                    if middleware.is_some() {
                        labels.push((&used_key, "hdr"));
                        labels.push(("http.middlewares.hdr.headers.customrequestheaders.x", &header));
                    }
                    scene.healthy(&id, &labels);
                    changed = Some(service.to_owned());
                    let middleware = middleware.map_or(Value::Null, |_| {
                        json!({"headers": {"customrequestheaders": {"x": header}}})
                    });
                    let own = [Value::from(rule), service.into(), middleware].map(|value| value.to_string());
                    tasks.push((id, router, own));
                }
                Step::Withdraw { task } if !tasks.is_empty() => {
                    let (id, ..) = tasks.remove(task % tasks.len());
                    scene.withdraw(&id);
                    changed = Some(id.split_once('.').unwrap().0.to_owned());
                }
                Step::Withdraw { .. } => {}
                Step::Report { failing } => {
                    for router in 0..4 {
                        let name = format!("http.routers.r{router}-swarmlings-trial");
                        scene.fail(&name, failing.then_some("fails"));
                    }
                    scene.report();
                }
            }
            for (id, number, router, former) in before {
                let service = id.split_once('.').unwrap().0.to_owned();
                if !tasks.iter().any(|(task, ..)| *task == id) || changed.as_ref() == Some(&service) {
                    continue;
                }
                let now = served(&scene, &router);
                // A newer generation may have come into use.
                let is_replaced = tasks.iter().any(|(task, ..)| {
                    let (other, newer) = task.split_once('.').unwrap();
                    let is_newer = other == service && newer.parse::<u8>().unwrap() > number;
                    is_newer && !matches!(scene.routing(task), Routing::Refused { .. })
                });
                prop_assert!(now.as_ref() == Some(&former) || is_replaced, "{id}: {former:?} became {now:?}");
                if now == Some(former) {
                    let target = scene.document["http"]["routers"][&router]["service"].as_str().unwrap();
                    prop_assert!(scene.servers(target).contains(&number), "{id} is no server");
                }
            }
            for (_, router) in scene.document["http"]["routers"].as_object().into_iter().flatten() {
                for middleware in router["middlewares"].as_array().into_iter().flatten() {
                    prop_assert!(scene.document["http"]["middlewares"].get(middleware.as_str().unwrap()).is_some());
                }
            }
        }
    }
}

#[test]
fn refused_generation_stays_refused_while_no_router_reports() {
    let mut scene = Scene::new(true);
    scene.healthy("b.1", B);
    scene.report();
    scene.healthy("b.2", B2);
    scene.fail("http.routers.b-swarmlings-trial", Some("no x@file"));
    scene.report();
    assert!(scene.refusal("b.2").contains("no x@file"));
    // Its API does not answer, so that the report is gone and the beacon counts.
    scene.routers.can_try = false;
    scene.fail("http.routers.b-swarmlings-trial", None);
    scene.report();
    scene.healthy("a.1", A);
    scene.report();
    assert!(scene.refusal("b.2").contains("no x@file"));
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![1]));
    scene.routers.can_try = true;
    scene.report();
    scene.report();
    assert_eq!((scene.rule("b"), scene.routing("b.2")), ("Path(`/b2`)", Routing::Confirmed));
}

#[test]
fn new_hub_puts_the_oldest_generation_in_use_in_whatever_order_tasks_return() {
    let mut scene = Scene::new(true);
    scene.healthy("b.3", B2);
    scene.registry.start_over();
    scene.healthy("b.1", B);
    assert_eq!((scene.rule("b"), scene.servers("b")), ("Path(`/b`)", vec![1]));
    assert_eq!(scene.rule("b-swarmlings-trial"), "Host(`a.invalid`) && Host(`b.invalid`) && (Path(`/b2`))");
    assert_eq!(scene.routing("b.3"), Routing::Pending);
}

const PROTECTED: Pairs<'_> = &[
    ("http.routers.a.rule", "Host(`a.lan`)"),
    ("http.routers.a.tls.options", "mtls"),
    ("tls.options.mtls.minversion", "VersionTLS13"),
];

const WEAK: Pairs<'_> = &[("http.routers.b.rule", "Host(`a.lan`) && Path(`/b`)")];

#[test]
fn router_without_tls_options_for_a_protected_host_is_refused() {
    let mut scene = Scene::new(false);
    scene.healthy("a.1", PROTECTED);
    scene.healthy("b.1", WEAK);
    assert!(
        scene.refusal("b.1").contains("would switch off the TLS options mtls with which service a protects")
    );
    assert_eq!(scene.rule("b"), "");
    // Neither under the same name with options of its own, nor in a later generation of a routed service.
    let own: Pairs<'_> = &[
        ("http.routers.c.rule", "Host(`a.lan`)"),
        ("http.routers.c.tls.options", "mtls"),
        ("tls.options.mtls.minversion", "VersionTLS12"),
    ];
    scene.healthy("c.1", own);
    assert!(scene.refusal("c.1").contains("different ones (mtls) would switch them off"));
    scene.healthy("d.1", &[("http.routers.d.rule", "Host(`d.lan`)")]);
    scene.now += Duration::from_secs(2);
    scene.healthy("d.2", &[("http.routers.d.rule", "Host(`a.lan`)")]);
    assert!(scene.refusal("d.2").contains("would switch off"));
    assert_eq!(scene.rule("d"), "Host(`d.lan`)");
    // Equal definitions do not conflict.
    scene.healthy("e.1", &[("http.routers.e.rule", "Host(`a.lan`)"), ("http.routers.e.tls.options", "mtls")]);
    assert_eq!(scene.rule("e"), "Host(`a.lan`)");
    // The protection ends with its service.
    scene.withdraw("a.1");
    scene.withdraw("e.1");
    scene.now += Duration::from_mins(2);
    scene.update();
    assert_eq!(scene.rule("b"), WEAK[0].1);
}

#[test]
fn tls_options_for_a_host_that_is_routed_without_them_are_refused() {
    let mut scene = Scene::new(false);
    scene.healthy("b.1", WEAK);
    scene.healthy("a.1", PROTECTED);
    assert!(scene.refusal("a.1").contains("mtls would not apply, since traefik.http.routers.b of service b"));
    assert_eq!(scene.rule("b"), WEAK[0].1);
    // After a restart the earlier ticket decides, also if the services return in another order.
    let mut scene = Scene::new(false);
    scene.register("b.1", Health::Healthy, WEAK);
    scene.register("a.1", Health::Healthy, PROTECTED);
    scene.update();
    assert_eq!((scene.rule("b"), scene.rule("a")), (WEAK[0].1, ""));
}

#[test]
fn services_with_tokens_of_their_own_share_names_only_by_policy() {
    let labels: Pairs<'_> = &[A[0], ("http.services.web.loadbalancer.server.port", "80")];
    for (merge, is_limited, expected) in
        [("[]", true, false), (r#"[["a", "b"]]"#, true, true), ("[]", false, true)]
    {
        let text = format!(r#"{{"services": {{"*": {{}}}}, "merge": {merge}}}"#);
        let mut scene = Scene::new(false);
        scene.registry.settings.policy = Policy::parse(&text).unwrap();
        scene.healthy("a.1", labels);
        scene.limited = if is_limited { "b" } else { "" };
        scene.healthy("b.1", labels);
        match scene.routing("b.1") {
            Routing::Refused { reason } => {
                assert!(
                    !expected && reason.contains("list both services under `merge`"),
                    "{merge}: {reason}"
                );
            }
            _ => assert!(expected, "{merge}"),
        }
    }
}

#[test]
fn definition_of_a_limited_service_does_not_take_the_name_of_another_one() {
    let middleware = |size| [("http.middlewares.m.buffering.maxrequestbodybytes", size)];
    let mut scene = Scene::new(false);
    scene.limited = "a";
    scene.healthy("a.1", &[A[0], middleware("1")[0]]);
    scene.healthy("b.1", &[B[0], middleware("2")[0]]);
    let middlewares = &scene.document["http"]["middlewares"];
    assert_eq!(middlewares["m"]["buffering"]["maxrequestbodybytes"], "2", "{middlewares}");
    assert_eq!(middlewares["m-a"]["buffering"]["maxrequestbodybytes"], "1", "{middlewares}");
}

#[test]
fn limits_apply_to_labels_of_a_services_own_token() {
    let mut scene = Scene::new(false);
    let labels: Pairs<'_> =
        &[("http.routers.a.rule", "Path(`/`)"), ("http.routers.a.service", "api@internal")];
    scene.limited = "a";
    scene.healthy("a.1", labels);
    assert!(
        scene.refusal("a.1").contains("api@internal is not the service's own"),
        "{}",
        scene.refusal("a.1")
    );
    assert!(scene.registry.new_warnings()[0].1.contains("Without --policy FILE"));
    // Also if nothing but the token changes.
    scene.limited = "";
    scene.healthy("a.1", labels);
    assert_eq!(scene.rule("a"), "Path(`/`)");
    scene.limited = "a";
    scene.healthy("a.1", labels);
    assert!(matches!(scene.routing("a.1"), Routing::Refused { .. }));
    assert!(scene.registry.new_warnings().is_empty(), "the missing policy is reported once");
}
