//! The document that Traefik polls: the configurations of all services, with their instances as servers.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use serde_json::{Value, json};

use crate::service_config::{PROTOCOLS, ServiceConfig, has_servers};
use crate::tree::{Tree, object};

/// Name of the hub's own router and service in Traefik. They show which document Traefik has in use.
pub const BEACON: &str = "swarmlings-beacon";

/// Name of the hub's own router and middleware that let the hub read Traefik's API.
pub const API: &str = "swarmlings-api";

/// Host name of the router [`API`], which no DNS server knows.
pub const API_HOST: &str = "swarmlings-api.invalid";

/// Priority of the router [`API`], the highest that Traefik allows on 32-bit platforms. Labels can only set lower ones.
pub(crate) const API_PRIORITY: i64 = i32::MAX as i64 - 1_000;

/// Traefik's internal entry point.
pub(crate) const API_ENTRY_POINT: &str = "traefik";

/// Traefik's dynamic configuration, in the format of its HTTP provider.
#[derive(Clone, Debug, Default)]
pub struct Document(Tree);

/// An instance that receives requests.
pub struct Backend<'a> {
    /// IP address.
    pub address: IpAddr,
    /// Port, unless the labels set another.
    pub port: NonZeroU16,
    /// Configuration from the instance's own labels: during an update each generation keeps its port and scheme.
    pub config: &'a ServiceConfig,
}

/// Adds a service to the document, with `backends` as the servers of each of its Traefik services.
///
/// A definition that the document already contains stays. If it has servers, the backends become servers of it, too.
pub fn render(document: &mut Document, config: &ServiceConfig, backends: &[Backend<'_>]) {
    for (protocol, kind, name, value) in config.claims() {
        let kinds = object(document.0.entry(protocol));
        let value = object(kinds.entry(kind)).entry(name).or_insert_with(|| value.clone());
        if kind == "services" && PROTOCOLS.contains(&protocol) && has_servers(value) {
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

fn server(protocol: &str, name: &str, newest: &ServiceConfig, backend: &Backend<'_>) -> Value {
    let key = (protocol.to_owned(), name.to_owned());
    let options = backend.config.server_options.get(&key).or_else(|| newest.server_options.get(&key));
    let mut server = options.cloned().unwrap_or_default();
    let port =
        server.remove("port").and_then(|port| port.as_str()?.parse().ok()).unwrap_or(backend.port.get());
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
    /// Serialises the document. Equal configurations give equal bytes.
    pub fn to_json(&self) -> String {
        let json = Value::Object(self.0.clone()).to_string();
        if json.bytes().all(|byte| byte < 0x7f) { json } else { escape_for_yaml(&json) }
    }

    /// Returns a definition.
    pub fn get(&self, protocol: &str, kind: &str, name: &str) -> Option<&Value> {
        self.0.get(protocol)?.get(kind)?.get(name)
    }

    /// Adds the beacon: a service whose health check requests `path` at `host`, an address of the hub.
    ///
    /// Traefik starts the health checks of a configuration when it applies it, so a request for `path` proves that it
    /// has. It checks only services that a router uses; the beacon's router never matches.
    pub fn add_beacon(&mut self, host: &str, path: &str) {
        let http = object(self.0.entry("http"));
        let router = json!({"rule": "Host(`a.invalid`) && Host(`b.invalid`)", "service": BEACON});
        object(http.entry("routers")).insert(BEACON.to_owned(), router);
        // The hub delays its response, so `interval` applies to the first request only. A hub that does not respond is
        // asked once a minute; its successor has another path, which starts a new check.
        let check = json!({"path": path, "interval": "50ms", "timeout": "60s", "unhealthyinterval": "60s"});
        let balancer = json!({"servers": [{"url": format!("http://{host}")}], "healthcheck": check});
        object(http.entry("services")).insert(BEACON.to_owned(), json!({"loadbalancer": balancer}));
    }

    /// Adds a router that serves Traefik's API to `user`, a line as `htpasswd` writes it.
    ///
    /// Traefik's internal entry point `traefik` serves it. Routers of labels get that entry point only if they ask for it, and
    /// their priority is lower, so that none of them receives the hub's password. TCP routers, which come first, cannot use it.
    pub fn add_api(&mut self, user: &str) {
        let http = object(self.0.entry("http"));
        let router = json!({
            "entrypoints": [API_ENTRY_POINT],
            "rule": format!("Host(`{API_HOST}`)"),
            "priority": API_PRIORITY.to_string(),
            "middlewares": [API],
            "service": "api@internal",
        });
        object(http.entry("routers")).insert(API.to_owned(), router);
        let middleware = json!({"basicauth": {"users": [user], "removeheader": "true"}});
        object(http.entry("middlewares")).insert(API.to_owned(), middleware);
    }

    /// Adds a default certificate and its key, both as PEM, unless labels configure the default store.
    pub fn add_default_certificate(&mut self, chain: &str, key: &str) {
        let stores = object(object(self.0.entry("tls")).entry("stores"));
        let certificate = json!({"defaultcertificate": {"certfile": chain, "keyfile": key}});
        stores.entry("default").or_insert(certificate);
    }
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

    fn backend(config: &ServiceConfig, last: u8) -> Backend<'_> {
        Backend { address: IpAddr::from([10, 0, 1, last]), port: NonZeroU16::new(8080).unwrap(), config }
    }

    fn document(config: &ServiceConfig, backends: &[Backend<'_>]) -> Value {
        let mut document = Document::default();
        render(&mut document, config, backends);
        serde_json::from_str(&document.to_json()).unwrap()
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
        let mut made = Document::default();
        render(&mut made, &config, &[]);
        let json = made.to_json();
        assert!(json.contains(r#""a\u007f\u0085\u2028\ufeff\uffffé😀\t""#), "{json}");
        assert_eq!(document(&config, &[])["http"]["middlewares"]["a"]["basicauth"]["realm"], strange);
    }

    #[test]
    fn default_store_from_labels_is_kept() {
        let label = ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "le");
        let mut labelled = Document::default();
        render(&mut labelled, &config("s", &[label]), &[]);
        let before = labelled.to_json();
        labelled.add_default_certificate("chain", "key");
        assert_eq!(labelled.to_json(), before);
        let mut bare = Document::default();
        bare.add_default_certificate("chain", "key");
        assert!(bare.to_json().contains(r#"{"certfile":"chain","keyfile":"key"}"#));
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
        let backend = Backend { address: "fd00::1".parse().unwrap(), port: NonZeroU16::MIN, config: &config };
        assert_eq!(
            document(&config, &[backend])["tcp"]["services"]["x"]["loadbalancer"]["servers"],
            json!([{"address": "[fd00::1]:5432"}])
        );
    }
}
