//! The document that Traefik polls: the configurations of all services, with their instances as servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use serde_json::{Value, json};

use crate::service_config::{PROTOCOLS, ServiceConfig, has_servers};
use crate::tree::object;

/// Name of the hub's own router and service in Traefik. They show which document Traefik has in use.
pub const BEACON: &str = "swarmlings-beacon";

/// Name of the hub's own router and middleware that let the hub read Traefik's API.
pub const API: &str = "swarmlings-api";

/// Name of the hub's own router, middleware and service in Traefik for its page.
pub const PAGE: &str = "swarmlings-page";

/// Host name of the router [`API`], which no DNS server knows.
pub const API_HOST: &str = "swarmlings-api.invalid";

/// Priority of the router [`API`], the highest that Traefik allows on 32-bit platforms. Labels can only set lower ones.
pub(crate) const API_PRIORITY: i64 = i32::MAX as i64 - 1_000;

/// Traefik's internal entry point.
pub(crate) const API_ENTRY_POINT: &str = "traefik";

/// Protocol, kind and name of a definition.
type Key = (String, String, String);

/// Traefik's dynamic configuration, in the format of its HTTP provider. It keeps the JSON text of each definition, so that a change
/// of some instances renders only the services that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    definitions: BTreeMap<Key, String>,
    /// Definitions that have the servers of several services.
    shared: BTreeSet<Key>,
    /// Certificates, which have no names.
    certificates: Vec<Value>,
}

/// Definitions of a [`Document`] that is being made.
#[derive(Debug, Default)]
pub struct Draft {
    definitions: BTreeMap<Key, Value>,
    shared: BTreeSet<Key>,
}

/// An instance that receives requests.
pub struct Backend<'a> {
    /// IP address.
    pub address: IpAddr,
    /// Port, unless the labels set another.
    pub port: NonZeroU16,
    /// Published ports by the port that labels set, such as `8080/tcp`; empty if they are the same.
    pub published: &'a BTreeMap<String, NonZeroU16>,
    /// Configuration from the instance's own labels: during an update each generation keeps its port and scheme.
    pub config: &'a ServiceConfig,
}

impl Draft {
    /// Adds a service, with `backends` as the servers of each of its Traefik services.
    ///
    /// A definition that already exists stays. If it has servers, the backends become servers of it, too.
    pub fn add(&mut self, config: &ServiceConfig, backends: &[Backend<'_>]) {
        for (protocol, kind, name, value) in config.claims() {
            let key = key(protocol, kind, name);
            let is_known = self.definitions.contains_key(&key);
            let value = self.definitions.entry(key.clone()).or_insert_with(|| value.clone());
            if kind == "services" && PROTOCOLS.contains(&protocol) && has_servers(value) {
                if is_known {
                    self.shared.insert(key);
                }
                let Some(service) = value.as_object_mut() else { continue };
                let balancer = object(service.entry("loadbalancer"));
                let servers = balancer.entry("servers").or_insert_with(|| Value::Array(Vec::new()));
                let Some(servers) = servers.as_array_mut() else { continue };
                for backend in backends {
                    let server = server(protocol, name, config, backend);
                    // A label may set the URL itself, which is then the same for all instances.
                    let url = server.get("url");
                    if url.is_none() || servers.iter().all(|other| other.get("url") != url) {
                        servers.push(server);
                    }
                }
            }
        }
    }

    /// Returns a definition.
    pub fn get(&self, protocol: &str, kind: &str, name: &str) -> Option<&Value> {
        self.definitions.get(&key(protocol, kind, name))
    }

    /// Renders the definitions.
    pub fn finish(self) -> Document {
        let definitions = self.definitions.into_iter().map(|(key, value)| (key, text(&value))).collect();
        Document { definitions, shared: self.shared, certificates: Vec::new() }
    }
}

fn key(protocol: &str, kind: &str, name: &str) -> Key {
    (protocol.to_owned(), kind.to_owned(), name.to_owned())
}

/// Protocol of the ports of an HTTP, TCP or UDP service.
pub(crate) fn transport(protocol: &str) -> &str {
    if protocol == "udp" { "udp" } else { "tcp" }
}

fn server(protocol: &str, name: &str, newest: &ServiceConfig, backend: &Backend<'_>) -> Value {
    let key = (protocol.to_owned(), name.to_owned());
    let options = backend.config.server_options.get(&key).or_else(|| newest.server_options.get(&key));
    let mut server = options.cloned().unwrap_or_default();
    let port =
        server.remove("port").and_then(|port| port.as_str()?.parse().ok()).unwrap_or(backend.port.get());
    let published = backend.published.get(&format!("{port}/{}", transport(protocol)));
    let port = published.map_or(port, |port| port.get());
    let address = SocketAddr::new(backend.address, port);
    if protocol == "http" {
        let scheme = server.remove("scheme");
        let scheme = scheme.as_ref().and_then(Value::as_str).filter(|scheme| !scheme.is_empty());
        let scheme = scheme.unwrap_or("http");
        server.entry("url").or_insert_with(|| format!("{scheme}://{address}").into());
    } else {
        server.insert("address".to_owned(), address.to_string().into());
    }
    Value::Object(server)
}

impl Document {
    /// Renders the servers of a service in the document again. Returns whether anything changed; `None` if another
    /// service shares them, so that a new [`Draft`] is needed.
    pub fn update(&mut self, config: &ServiceConfig, backends: &[Backend<'_>]) -> Option<bool> {
        let mut draft = Draft::default();
        draft.add(config, backends);
        let mut changed = false;
        for (key, new) in draft.finish().definitions {
            if self.shared.contains(&key) {
                return None;
            }
            changed |= self.definitions.insert(key, new.clone()).as_ref() != Some(&new);
        }
        Some(changed)
    }

    /// Serialises the document. Equal configurations give equal bytes.
    pub fn to_json(&self) -> String {
        self.to_json_with(&Self::default())
    }

    /// Serialises the definitions of this document and those of `other` that it does not have, with the certificates of `other`.
    pub fn to_json_with(&self, other: &Self) -> String {
        let others = other.definitions.iter().filter(|(key, _)| !self.definitions.contains_key(key));
        let mut all: Vec<_> = self.definitions.iter().chain(others).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        let size = all.iter().map(|((.., name), text)| name.len() + text.len() + 8).sum::<usize>();
        let mut json = String::with_capacity(size + 256);
        let mut last = ("", "");
        let certificates = other.certificates.clone();
        let mut certificates = Some(certificates).filter(|all| !all.is_empty()).map(|all| text(&all.into()));
        for ((protocol, kind, name), text) in all {
            let certificates = certificates.take_if(|_| protocol == "tls");
            let first = certificates.map(|text| format!("\"certificates\":{text},")).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = match last {
                ("", _) => write!(json, "{{\"{protocol}\":{{{first}\"{kind}\":{{"),
                (before, _) if before != protocol => {
                    write!(json, "}}}},\"{protocol}\":{{{first}\"{kind}\":{{")
                }
                (_, before) if before != kind => write!(json, "}},\"{kind}\":{{"),
                _ => write!(json, ","),
            };
            let _ = write!(json, "{}:{text}", self::text(&name.as_str().into()));
            last = (protocol, kind);
        }
        let _ = match (certificates, last.0.is_empty()) {
            (None, true) => write!(json, "{{}}"),
            (None, false) => write!(json, "}}}}}}"),
            (Some(text), is_empty) => {
                let start = if is_empty { "{" } else { "}}," };
                write!(json, "{start}\"tls\":{{\"certificates\":{text}}}}}")
            }
        };
        json
    }

    /// Returns the text between quotes: all strings without a quote in them, such as URLs, among others.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        self.definitions.values().flat_map(|text| text.split('"'))
    }

    fn insert(&mut self, protocol: &str, kind: &str, name: &str, value: &Value) {
        self.definitions.insert(key(protocol, kind, name), text(value));
    }

    /// Adds the beacon: a service whose health check requests `path` at `host`, an address of the hub.
    ///
    /// Traefik starts the health checks of a configuration when it applies it, so a request for `path` proves that it
    /// has. It checks only services that a router uses; the beacon's router never matches.
    pub fn add_beacon(&mut self, host: &str, path: &str) {
        let router = json!({"rule": "Host(`a.invalid`) && Host(`b.invalid`)", "service": BEACON});
        self.insert("http", "routers", BEACON, &router);
        // The hub delays its response, so `interval` applies to the first request only. A hub that does not respond is
        // asked once a minute; its successor has another path, which starts a new check.
        let check = json!({"path": path, "interval": "50ms", "timeout": "60s", "unhealthyinterval": "60s"});
        let balancer = json!({"servers": [{"url": format!("http://{host}")}], "healthcheck": check});
        self.insert("http", "services", BEACON, &json!({"loadbalancer": balancer}));
    }

    /// Adds a router that serves Traefik's API to `user`, a line as `htpasswd` writes it.
    ///
    /// Traefik's internal entry point `traefik` serves it. Routers of labels get that entry point only if they ask for it, and
    /// their priority is lower, so that none of them receives the hub's password. TCP routers, which come first, cannot use it.
    pub fn add_api(&mut self, user: &str) {
        let router = json!({
            "entrypoints": [API_ENTRY_POINT],
            "rule": format!("Host(`{API_HOST}`)"),
            "priority": API_PRIORITY.to_string(),
            "middlewares": [API],
            "service": "api@internal",
        });
        self.insert("http", "routers", API, &router);
        let middleware = json!({"basicauth": {"users": [user], "removeheader": "true"}});
        self.insert("http", "middlewares", API, &middleware);
    }

    /// Adds a router that serves the hub's page under `prefix`, such as `/hub/`, on the default entry points. The hub is reached
    /// at `host`; with `tls` over HTTPS, where it has the certificate of that name, from the CA in that file of the router.
    pub fn add_page(&mut self, prefix: &str, host: &str, tls: Option<(&str, &str)>) {
        // Not the hub's other paths, which clients of Traefik do not need.
        let paths = ["", "page.css", "page.js", "v1/events"].map(|path| format!("Path(`{prefix}{path}`)"));
        let rule = paths.join(" || ");
        let router = json!({"rule": rule, "middlewares": [PAGE], "service": PAGE});
        self.insert("http", "routers", PAGE, &router);
        let prefix = prefix.trim_end_matches('/');
        self.insert("http", "middlewares", PAGE, &json!({"stripprefix": {"prefixes": [prefix]}}));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut balancer = json!({"servers": [{"url": format!("{scheme}://{host}")}]});
        if let Some((name, ca)) = tls {
            balancer["serverstransport"] = PAGE.into();
            let transport = json!({"servername": name, "rootcas": [ca]});
            self.insert("http", "serverstransports", PAGE, &transport);
        }
        self.insert("http", "services", PAGE, &json!({"loadbalancer": balancer}));
    }

    /// Adds a certificate and its key, both as PEM, for the names in it.
    pub fn add_certificate(&mut self, chain: &str, key: &str) {
        self.certificates.push(json!({"certfile": chain, "keyfile": key}));
    }

    /// Adds a default certificate and its key, both as PEM.
    pub fn add_default_certificate(&mut self, chain: &str, key: &str) {
        let certificate = json!({"defaultcertificate": {"certfile": chain, "keyfile": key}});
        self.insert("tls", "stores", "default", &certificate);
    }
}

/// Serialises a part of the document.
fn text(value: &Value) -> String {
    let json = value.to_string();
    if json.bytes().all(|byte| byte < 0x7f) { json } else { escape_for_yaml(&json) }
}

/// Escapes characters that JSON allows and YAML does not. Traefik also parses the document as YAML and would reject it
/// as a whole. In JSON such characters occur in strings only.
fn escape_for_yaml(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use protocol::Labels;

    use crate::Exposure;

    use super::*;

    fn config(service: &str, pairs: &[(&str, &str)]) -> ServiceConfig {
        let labels = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ServiceConfig::read(service, &Labels(labels), &Exposure::default()).unwrap()
    }

    static UNPUBLISHED: BTreeMap<String, NonZeroU16> = BTreeMap::new();

    fn backend(config: &ServiceConfig, last: u8) -> Backend<'_> {
        let port = NonZeroU16::new(8080).unwrap();
        Backend { address: IpAddr::from([10, 0, 1, last]), port, published: &UNPUBLISHED, config }
    }

    fn rendered(config: &ServiceConfig, backends: &[Backend<'_>]) -> Document {
        let mut draft = Draft::default();
        draft.add(config, backends);
        draft.finish()
    }

    fn document(config: &ServiceConfig, backends: &[Backend<'_>]) -> Value {
        serde_json::from_str(&rendered(config, backends).to_json()).unwrap()
    }

    #[test]
    fn port_that_labels_name_becomes_the_published_one() {
        let label = |key: &str, value: &str| (format!("traefik.{key}"), value.to_owned());
        let labels = Labels(
            [
                label("http.routers.a.rule", "Path(`/`)"),
                label("http.routers.a.service", "a"),
                label("http.services.a.loadbalancer.server.port", "80"),
                label("http.services.b.loadbalancer.server.scheme", "https"),
                label("udp.services.u.loadbalancer.server.port", "80"),
            ]
            .into(),
        );
        let config = ServiceConfig::read("a", &labels, &Exposure::default()).unwrap();
        let port = |port| NonZeroU16::new(port).unwrap();
        let published = [("80/tcp".to_owned(), port(32768)), ("80/udp".to_owned(), port(32769))].into();
        let backend = Backend { port: port(443), published: &published, ..backend(&config, 1) };
        let document = document(&config, &[backend]);
        let server = |protocol: &str, name: &str| {
            document[protocol]["services"][name]["loadbalancer"]["servers"][0].clone()
        };
        assert_eq!(server("http", "a")["url"], "http://10.0.1.1:32768");
        assert_eq!(server("http", "b")["url"], "https://10.0.1.1:443");
        assert_eq!(server("udp", "u")["address"], "10.0.1.1:32769");

        assert_eq!(config.unpublished_ports(&published), []);
        assert_eq!(config.unpublished_ports(&BTreeMap::new()), []);
        let other = [("81/tcp".to_owned(), port(1)), ("80/udp".to_owned(), port(2))].into();
        let errors = config.unpublished_ports(&other);
        assert_eq!(errors.len(), 1, "{errors:?}");
        let expected = "traefik.http.services.a.loadbalancer.server.port: the container does not publish its port 80/tcp on this \
                        host, only 80/udp, 81/tcp";
        assert_eq!(errors[0].to_string(), expected);
    }

    #[test]
    fn servers_of_a_service_are_replaced_unless_another_service_shares_them() {
        let router = |name: &str| (format!("traefik.http.routers.{name}.rule"), "Path(`/`)".to_owned());
        let labels = |name: &str| Labels([router(name)].into());
        let [a, b] =
            ["a", "b"].map(|name| ServiceConfig::read(name, &labels(name), &Exposure::default()).unwrap());
        let draft = |backends: &[Backend<'_>]| {
            let mut draft = Draft::default();
            draft.add(&a, backends);
            draft.add(&b, &[backend(&b, 9)]);
            draft
        };
        let mut document = draft(&[backend(&a, 1), backend(&a, 2)]).finish();
        assert_eq!(document.update(&a, &[backend(&a, 1), backend(&a, 2)]), Some(false));
        assert_eq!(document.update(&a, &[backend(&a, 3)]), Some(true));
        assert_eq!(document, draft(&[backend(&a, 3)]).finish());
        let mut shared = draft(&[]);
        shared.add(&a, &[backend(&a, 4)]);
        let mut shared = shared.finish();
        assert_eq!(shared.update(&a, &[]), None);
        assert_eq!(shared.update(&b, &[]), Some(true));
    }

    #[test]
    fn joined_documents_are_sorted_and_the_first_one_wins() {
        let mut document = Document::default();
        document.insert("http", "routers", "b", &json!({"rule": "1"}));
        document.insert("udp", "services", "é\"\u{7f}", &json!({}));
        let mut own = Document::default();
        own.insert("http", "routers", "b", &json!({"rule": "2"}));
        own.insert("http", "routers", "c", &json!({}));
        own.insert("http", "middlewares", "d", &json!({}));
        assert_eq!(
            document.to_json_with(&own),
            r#"{"http":{"middlewares":{"d":{}},"routers":{"b":{"rule":"1"},"c":{}}},"udp":{"services":{"é\"\u007f":{}}}}"#
        );
    }

    #[test]
    fn each_instance_keeps_its_own_port_and_scheme() {
        let old = config(
            "s",
            &[
                ("traefik.http.routers.a.rule", "Path(`/`)"),
                ("traefik.http.services.x.loadbalancer.server.port", "80"),
                ("traefik.http.services.x.loadbalancer.server.scheme", ""),
            ],
        );
        let new = config(
            "s",
            &[
                ("traefik.http.routers.a.rule", "Path(`/`)"),
                ("traefik.http.services.x.loadbalancer.server.port", "81"),
                ("traefik.http.services.x.loadbalancer.server.scheme", "https"),
            ],
        );
        let document = document(&new, &[backend(&old, 1), backend(&new, 2)]);
        assert_eq!(
            document["http"]["services"]["x"],
            json!({"loadbalancer": {"servers": [{"url": "http://10.0.1.1:80"}, {"url": "https://10.0.1.2:81"}]}})
        );
    }

    #[test]
    fn service_without_instances_has_an_empty_server_list() {
        let config = config("s", &[("traefik.http.routers.a.rule", "Path(`/`)")]);
        assert_eq!(
            document(&config, &[]),
            json!({"http": {
                "routers": {"a": {"rule": "Path(`/`)", "service": "s"}},
                "services": {"s": {"loadbalancer": {"servers": []}}},
            }})
        );
    }

    #[test]
    fn weighted_service_gets_no_servers() {
        let config = config(
            "s",
            &[
                ("traefik.http.routers.a.rule", "Path(`/`)"),
                ("traefik.http.routers.a.service", "w"),
                ("traefik.http.services.w.weighted.services[0].name", "x"),
                ("traefik.http.services.x.middlewares", "m"),
            ],
        );
        assert_eq!(
            document(&config, &[backend(&config, 1)])["http"]["services"],
            json!({
                "w": {"weighted": {"services": [{"name": "x"}]}},
                "x": {"middlewares": ["m"], "loadbalancer": {"servers": [{"url": "http://10.0.1.1:8080"}]}},
            })
        );
    }

    #[test]
    fn url_from_a_label_is_rendered_once() {
        let label = "traefik.http.services.x.loadbalancer.server";
        let config =
            config("s", &[(&format!("{label}.url"), "http://a:1"), (&format!("{label}.weight"), "2")]);
        assert_eq!(
            document(&config, &[backend(&config, 1), backend(&config, 2)])["http"]["services"]["x"],
            json!({"loadbalancer": {"servers": [{"url": "http://a:1", "weight": "2"}]}})
        );
    }

    #[test]
    fn characters_that_yaml_rejects_are_escaped() {
        let strange = "a\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}é😀\t";
        let config = config(
            "s",
            &[
                ("traefik.http.middlewares.a.basicauth.realm", strange),
                ("traefik.http.middlewares.a.basicauth.users", "a:b"),
            ],
        );
        let json = rendered(&config, &[]).to_json();
        assert!(json.contains(r#""a\u007f\u0085\u2028\ufeff\uffffé😀\t""#), "{json}");
        assert_eq!(document(&config, &[])["http"]["middlewares"]["a"]["basicauth"]["realm"], strange);
    }

    #[test]
    fn default_store_from_labels_is_kept() {
        let label = ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "le");
        let labelled = rendered(&config("s", &[label]), &[]);
        let mut own = Document::default();
        own.add_default_certificate("chain", "key");
        assert_eq!(labelled.to_json_with(&own), labelled.to_json());
        let bare = Document::default().to_json_with(&own);
        assert!(bare.contains(r#"{"certfile":"chain","keyfile":"key"}"#), "{bare}");
    }

    #[test]
    fn certificates_are_a_list_beside_other_tls_definitions() {
        let mut own = Document::default();
        own.add_certificate("a\nb", "key-a");
        own.add_certificate("c", "key-c");
        let list = json!([{"certfile": "a\nb", "keyfile": "key-a"}, {"certfile": "c", "keyfile": "key-c"}]);
        let parsed = |labels: &[(&str, &str)]| -> Value {
            let json = rendered(&config("s", labels), &[]).to_json_with(&own);
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
        };
        assert_eq!(parsed(&[]), json!({"tls": {"certificates": list}}));
        let rule = ("traefik.http.routers.a.rule", "Path(`/`)");
        let udp = ("traefik.udp.routers.a.entrypoints", "dns");
        let tls = ("traefik.tls.options.a.minversion", "VersionTLS13");
        for labels in [&[rule][..], &[udp], &[tls], &[rule, udp], &[rule, tls], &[rule, tls, udp]] {
            let document = parsed(labels);
            assert_eq!(document["tls"]["certificates"], list, "{document}");
            let mut rest = document.clone();
            rest["tls"].as_object_mut().unwrap().remove("certificates");
            let mut without: Value =
                serde_json::from_str(&rendered(&config("s", labels), &[]).to_json()).unwrap();
            without.as_object_mut().unwrap().entry("tls").or_insert_with(|| json!({}));
            assert_eq!(rest, without);
        }
    }

    #[test]
    fn empty_document_is_an_empty_object() {
        assert_eq!(Document::default().to_json(), "{}");
    }

    #[test]
    fn tcp_server_has_an_address_with_ipv6_in_brackets() {
        let config = config(
            "s",
            &[
                ("traefik.tcp.routers.a.rule", "HostSNI(`*`)"),
                ("traefik.tcp.routers.a.entrypoints", "db"),
                ("traefik.tcp.services.x.loadbalancer.server.port", "5432"),
            ],
        );
        let address = "fd00::1".parse().unwrap();
        let backend = Backend { address, port: NonZeroU16::MIN, published: &UNPUBLISHED, config: &config };
        assert_eq!(
            document(&config, &[backend])["tcp"]["services"]["x"]["loadbalancer"]["servers"],
            json!([{"address": "[fd00::1]:5432"}])
        );
    }
}
