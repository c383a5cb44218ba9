//! What a service's labels ask of Traefik, checked before it gets there.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use serde_json::{Map, Value};
use swarmlings_protocol::Labels;

use super::DefaultRule;
use super::fields::{Field, Step};

/// A part of Traefik's configuration as a tree; its leaves are text.
pub type Tree = Map<String, Value>;

/// The protocols that have routers, services and middlewares.
pub(crate) const PROTOCOLS: [&str; 3] = ["http", "tcp", "udp"];

/// What a service's labels ask of Traefik: all but the addresses of its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// `http`, `tcp`, `udp` and `tls`, word for word, but for `loadbalancer.server`.
    pub(crate) tree: Tree,
    /// What `loadbalancer.server` said: port, scheme, … by protocol and Traefik service.
    pub(crate) server: BTreeMap<(String, String), Tree>,
}

impl Plan {
    /// Reads the labels of `service`. Labels that are not Traefik's are left alone.
    ///
    /// # Errors
    /// Every fault found, each with the key of its label.
    pub fn read(service: &str, labels: &Labels, default_rule: Option<&DefaultRule>) -> Result<Self, String> {
        let mut plan = Self::default();
        let mut faults = Vec::new();
        let mut enabled = true;
        for (key, value) in &labels.0 {
            let Some(path) = strip_root(key) else { continue };
            match path.to_ascii_lowercase().as_str() {
                "enable" => {
                    enabled = !matches!(value.as_str(), "0" | "f" | "F" | "FALSE" | "false" | "False");
                }
                "docker.network" | "docker.lbswarm" | "swarm.network" | "swarm.lbswarm" => {}
                _ => {
                    if let Err(why) = insert(&mut plan.tree, path, value) {
                        faults.push(format!("{key}: {why}"));
                    }
                }
            }
        }
        if !enabled {
            return Ok(Self::default());
        }
        plan.take_servers(&mut faults);
        plan.connect(service, default_rule, &mut faults);
        if faults.is_empty() {
            lists(&mut plan.tree);
            Ok(plan)
        } else {
            Err(faults.join("; "))
        }
    }

    /// Whether instances of the service get requests: it has routers or Traefik services.
    pub fn is_routed(&self) -> bool {
        PROTOCOLS.iter().any(|protocol| {
            ["routers", "services"]
                .iter()
                .any(|kind| self.section(protocol, kind).is_some_and(|s| !s.is_empty()))
        })
    }

    /// The names that the service claims and what it says of them: `http`, `routers`, `ping`.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &str, &str, &Value)> {
        self.tree.iter().flat_map(|(protocol, kinds)| {
            kinds.as_object().into_iter().flatten().flat_map(move |(kind, names)| {
                let names = names.as_object().into_iter().flatten();
                names.map(move |(name, value)| (protocol.as_str(), kind.as_str(), name.as_str(), value))
            })
        })
    }

    fn section(&self, protocol: &str, kind: &str) -> Option<&Tree> {
        self.tree.get(protocol)?.get(kind)?.as_object()
    }

    fn take_servers(&mut self, faults: &mut Vec<String>) {
        for protocol in PROTOCOLS {
            let Some(services) = self.tree.get_mut(protocol).and_then(|p| p.get_mut("services")) else {
                continue;
            };
            for (name, service) in services.as_object_mut().into_iter().flatten() {
                let balancer = service.get_mut("loadbalancer").and_then(Value::as_object_mut);
                if let Some(Value::Object(server)) = balancer.and_then(|b| b.remove("server")) {
                    let port = server.get("port").and_then(Value::as_str);
                    if let Some(port) = port.filter(|port| port.parse::<NonZeroU16>().is_err()) {
                        let label = format!("traefik.{protocol}.services.{name}.loadbalancer.server.port");
                        faults.push(format!("{label}: a port from 1 to 65535 is expected, not {port:?}"));
                    }
                    self.server.insert((protocol.to_owned(), name.clone()), server);
                }
            }
        }
    }

    /// Gives each router its service and rule where labels leave them out, as Traefik's own providers do.
    fn connect(&mut self, service: &str, default_rule: Option<&DefaultRule>, faults: &mut Vec<String>) {
        if let Some(rule) = default_rule
            && PROTOCOLS.iter().all(|protocol| self.section(protocol, "routers").is_none())
        {
            let router = Value::from_iter([("rule", rule.of(service))]);
            let http = object(self.tree.entry("http"));
            object(http.entry("routers")).insert(service.to_owned(), router);
        }
        for protocol in PROTOCOLS {
            let Some(kinds) = self.tree.get_mut(protocol).and_then(Value::as_object_mut) else { continue };
            let services: Vec<String> = kinds
                .get("services")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
            let mut wants_own = false;
            for (name, router) in
                kinds.get_mut("routers").and_then(Value::as_object_mut).into_iter().flatten()
            {
                let Some(router) = router.as_object_mut() else { continue };
                if !router.contains_key("rule") && protocol != "udp" {
                    match default_rule.filter(|_| protocol == "http") {
                        Some(rule) => drop(router.insert("rule".to_owned(), rule.of(service).into())),
                        None => faults.push(format!("traefik.{protocol}.routers.{name}: it has no rule")),
                    }
                }
                if router.contains_key("service") {
                    continue;
                }
                let target = match services.as_slice() {
                    [] => service,
                    [only] => only,
                    several => {
                        let names = several.join(", ");
                        faults.push(format!(
                            "traefik.{protocol}.routers.{name}: it names no service, and there are {names}"
                        ));
                        continue;
                    }
                };
                wants_own |= services.is_empty();
                router.insert("service".to_owned(), target.into());
            }
            if wants_own {
                object(kinds.entry("services")).insert(service.to_owned(), Value::Object(Tree::new()));
            }
        }
    }
}

/// The key without `traefik.`; none if the label is not Traefik's.
fn strip_root(key: &str) -> Option<&str> {
    let (root, path) = key.split_at_checked("traefik.".len())?;
    root.eq_ignore_ascii_case("traefik.").then_some(path)
}

/// The object in `entry`, made if it is not there. A leaf in its place, as `tls=true` beside `tls.options=…`, gives way.
pub(crate) fn object(entry: serde_json::map::Entry<'_>) -> &mut Tree {
    let value = entry.or_insert_with(|| Value::Object(Tree::new()));
    if !value.is_object() {
        *value = Value::Object(Tree::new());
    }
    value.as_object_mut().expect("it was made an object just now")
}

fn insert(tree: &mut Tree, path: &str, value: &str) -> Result<(), String> {
    let segments = segments(path)?;
    let mut tree = tree;
    let mut field = Some(Field::root());
    for (index, segment) in segments.iter().enumerate() {
        let is_index = segment.starts_with('[');
        let key = match field.map(|field| field.step(segment)) {
            None => (*segment).to_owned(),
            Some(Some(Step::Field(next))) => {
                field = Some(next);
                segment.to_ascii_lowercase()
            }
            Some(Some(Step::Chosen(next))) => {
                field = Some(next);
                (*segment).to_owned()
            }
            Some(Some(Step::Open)) => {
                field = None;
                (*segment).to_owned()
            }
            Some(None) => return Err(format!("Traefik has no such option ({segment:?} is unknown)")),
        };
        if is_index && segment[1..segment.len() - 1].parse::<u16>().is_err() {
            return Err(format!("{segment:?} is not an index"));
        }
        if index + 1 < segments.len() {
            if tree
                .get(&key)
                .is_some_and(|leaf| leaf.as_str().is_some_and(|leaf| !leaf.eq_ignore_ascii_case("true")))
            {
                // `tls=false` switches off what stands below.
                return Ok(());
            }
            tree = object(tree.entry(key));
            continue;
        }
        if let Some(field) = field {
            let kind = field.kind.ok_or("it takes no value, an option below it does")?;
            if let Some(expected) = kind.refuses(value) {
                return Err(format!("{expected}, not {value:?}"));
            }
        }
        tree.entry(key).or_insert_with(|| value.into());
    }
    Ok(())
}

/// `tls.domains[0].main` as `tls`, `domains`, `[0]`, `main`.
fn segments(path: &str) -> Result<Vec<&str>, String> {
    let mut segments = Vec::new();
    for part in path.split('.') {
        match part.find('[') {
            _ if part.is_empty() => return Err("a name is missing between two dots".to_owned()),
            Some(0) => return Err(format!("{part:?} has no name before its index")),
            Some(at) if part.ends_with(']') => segments.extend([&part[..at], &part[at..]]),
            _ => segments.push(part),
        }
    }
    Ok(segments)
}

/// Turns `{"[0]": …, "[1]": …}` into `[…, …]`, all the way down.
fn lists(tree: &mut Tree) {
    for value in tree.values_mut() {
        let Value::Object(below) = value else { continue };
        lists(below);
        if !below.is_empty() && below.keys().all(|key| key.starts_with('[')) {
            let mut items: Vec<(u16, Value)> = std::mem::take(below)
                .into_iter()
                .map(|(key, item)| (key[1..key.len() - 1].parse().unwrap_or(u16::MAX), item))
                .collect();
            items.sort_by_key(|(index, _)| *index);
            *value = items.into_iter().map(|(_, item)| item).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Plan, String> {
        Plan::read("demo_ping", &labels(pairs), None)
    }

    fn tree(pairs: &[(&str, &str)]) -> Value {
        Value::Object(read(pairs).unwrap().tree)
    }

    #[test]
    fn labels_become_a_tree_word_for_word() {
        let tree = tree(&[
            ("traefik.http.routers.Ping.rule", "Path(`/ping`)"),
            ("traefik.http.routers.Ping.EntryPoints", "web, other"),
            ("traefik.http.routers.Ping.tls", "true"),
            ("traefik.http.routers.Ping.tls.domains[1].main", "b"),
            ("traefik.http.routers.Ping.tls.domains[0].main", "a"),
            ("traefik.http.middlewares.p.plugin.some.Deep.value", "1"),
            ("com.example.other", "left alone"),
        ]);
        assert_eq!(
            tree,
            serde_json::json!({"http": {
                "routers": {"Ping": {
                    "rule": "Path(`/ping`)", "entrypoints": "web, other", "service": "demo_ping",
                    "tls": {"domains": [{"main": "a"}, {"main": "b"}]},
                }},
                "services": {"demo_ping": {}},
                "middlewares": {"p": {"plugin": {"some": {"Deep": {"value": "1"}}}}},
            }})
        );
    }

    #[test]
    fn a_router_without_a_service_gets_the_only_one() {
        let plan = read(&[
            ("traefik.http.routers.a.rule", "Path(`/a`)"),
            ("traefik.http.services.x.loadbalancer.server.port", "80"),
        ])
        .unwrap();
        assert_eq!(plan.tree["http"]["routers"]["a"]["service"], "x");
        assert_eq!(plan.server[&("http".to_owned(), "x".to_owned())]["port"], "80");
    }

    #[test]
    fn a_fault_names_its_label_and_what_was_expected() {
        let fault = |key, value| read(&[(key, value)]).unwrap_err();
        assert_eq!(
            fault("traefik.http.middlewares.s.strippprefix.prefixes", "/"),
            "traefik.http.middlewares.s.strippprefix.prefixes: Traefik has no such option (\"strippprefix\" is unknown)"
        );
        assert!(
            fault("traefik.http.middlewares.r.retry.attempts", "many")
                .ends_with("a whole number is expected, not \"many\"")
        );
        assert!(fault("traefik.http.routers.a.tls.domains[x].main", "a").contains("\"[x]\" is not an index"));
        assert!(fault("traefik.http.routers.a.tls.domains.x.main", "a").contains("(\"x\" is unknown)"));
        assert!(fault("traefik.http.routers[0].rule", "a").contains("(\"[0]\" is unknown)"));
        assert!(fault("traefik.http..a.rule", "a").ends_with("a name is missing between two dots"));
        assert!(fault("traefik.http.routers.a", "a").ends_with("it takes no value, an option below it does"));
        assert!(fault("traefik.http.routers.a.priority", "1").ends_with("it has no rule"));
        assert!(fault("traefik.port", "80").contains("unknown"));
        let port = fault("traefik.http.services.x.loadbalancer.server.port", "70000");
        assert!(port.ends_with("server.port: a port from 1 to 65535 is expected, not \"70000\""), "{port}");
        let two = read(&[
            ("traefik.http.routers.a.rule", "r"),
            ("traefik.http.services.x.loadbalancer.server.port", "1"),
            ("traefik.http.services.y.loadbalancer.server.port", "2"),
        ]);
        assert!(two.unwrap_err().ends_with("it names no service, and there are x, y"));
    }

    #[test]
    fn what_is_disabled_or_unlabelled_is_not_routed() {
        assert!(!read(&[]).unwrap().is_routed());
        assert!(
            !read(&[("traefik.enable", "false"), ("traefik.http.routers.a.rule", "r")]).unwrap().is_routed()
        );
        assert!(!read(&[("traefik.http.middlewares.m.compress", "true")]).unwrap().is_routed());
        assert!(
            read(&[("traefik.enable", "true"), ("traefik.http.routers.a.rule", "r")]).unwrap().is_routed()
        );
    }

    #[test]
    fn a_default_rule_routes_what_has_no_router() {
        let rule: DefaultRule = "Host(`{{ normalize .Name }}.lan`)".parse().unwrap();
        let plan = Plan::read("demo_ping", &labels(&[]), Some(&rule)).unwrap();
        assert_eq!(plan.tree["http"]["routers"]["demo_ping"]["rule"], "Host(`demo-ping.lan`)");
        assert!(plan.is_routed());
        let off = Plan::read("demo_ping", &labels(&[("traefik.enable", "false")]), Some(&rule)).unwrap();
        assert!(!off.is_routed());
    }
}
