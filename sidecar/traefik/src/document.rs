//! From plans and instances to the document that Traefik fetches.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use serde_json::{Value, json};

use crate::cycle::find_cycle;
use crate::service_config::{PROTOCOLS, ServiceConfig, has_servers};
use crate::tree::{Tree, object};

/// The name of the hub's own router and service in Traefik, by which Traefik shows what it has in use.
pub const BEACON: &str = "swarmlings-beacon";

/// Traefik's dynamic configuration, as its HTTP provider takes it.
#[derive(Clone, Debug, Default)]
pub struct Document(Tree);

/// An instance that gets requests.
pub struct Backend<'a> {
    /// Where it is.
    pub address: IpAddr,
    /// Its port, unless its config says another.
    pub port: NonZeroU16,
    /// What its own labels say: of two generations each keeps its own port and scheme.
    pub config: &'a ServiceConfig,
}

/// Adds a service to the document: its config, with `backends` as the servers of each of its Traefik services.
///
/// No name of the config may be in the document already, unless with the same content.
pub fn render(document: &mut Document, config: &ServiceConfig, backends: &[Backend<'_>]) {
    for (protocol, kind, name, value) in config.claims() {
        let mut value = value.clone();
        if kind == "services" && PROTOCOLS.contains(&protocol) && has_servers(&value) {
            let mut servers: Vec<Value> = Vec::new();
            for backend in backends {
                let server = server(protocol, name, config, backend);
                // A label may say the whole URL, which is the same for all.
                if !server
                    .get("url")
                    .is_some_and(|url| servers.iter().any(|other| other.get("url") == Some(url)))
                {
                    servers.push(server);
                }
            }
            if let Some(service) = value.as_object_mut() {
                object(service.entry("loadbalancer")).insert("servers".to_owned(), servers.into());
            }
        }
        let kinds = object(document.0.entry(protocol));
        object(kinds.entry(kind)).insert(name.to_owned(), value);
    }
    if !config.certificates().is_empty() {
        let tls = object(document.0.entry("tls"));
        let list = tls.entry("certificates").or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            for certificate in config.certificates() {
                if !list.contains(certificate) {
                    list.push(certificate.clone());
                }
            }
        }
    }
}

fn server(protocol: &str, name: &str, newest: &ServiceConfig, backend: &Backend<'_>) -> Value {
    let key = (protocol.to_owned(), name.to_owned());
    let said = backend.config.server_options.get(&key).or_else(|| newest.server_options.get(&key));
    let mut server = said.cloned().unwrap_or_default();
    let port =
        server.remove("port").and_then(|port| port.as_str()?.parse().ok()).unwrap_or(backend.port.get());
    let address = SocketAddr::new(backend.address, port);
    if protocol == "http" {
        let scheme = server.remove("scheme");
        let scheme = scheme.as_ref().and_then(Value::as_str).unwrap_or("http");
        server.entry("url").or_insert_with(|| format!("{scheme}://{address}").into());
    } else {
        server.insert("address".to_owned(), address.to_string().into());
    }
    Value::Object(server)
}

impl Document {
    /// The bytes that Traefik fetches. The same configuration is always the same bytes.
    pub fn to_json(&self) -> String {
        let json = Value::Object(self.0.clone()).to_string();
        if json.bytes().all(|byte| byte < 0x7f) { json } else { escaped(&json) }
    }

    /// Why `config` may not be added, although nobody claims its names: what Traefik would end of.
    pub fn find_cycle(&self, config: &ServiceConfig) -> Option<String> {
        find_cycle(&self.0, &config.tree)
    }

    /// Adds a beacon: a service whose health check is `path` at `host`, which is the hub.
    ///
    /// Traefik starts the health checks of a configuration when it takes it into use, so a request for `path` proves
    /// that it has. Only services that a router uses are checked, so there is a router, which never matches.
    pub fn add_beacon(&mut self, host: &str, path: &str) {
        let http = object(self.0.entry("http"));
        let router = json!({"rule": "Host(`a.invalid`) && Host(`b.invalid`)", "service": BEACON});
        object(http.entry("routers")).insert(BEACON.to_owned(), router);
        // The hub holds its answer, so the interval only counts for the first one. A hub that is away is asked seldom:
        // the one that comes after it has another path, and so starts another check.
        let check = json!({"path": path, "interval": "50ms", "timeout": "60s", "unhealthyinterval": "60s"});
        let balancer = json!({"servers": [{"url": format!("http://{host}")}], "healthcheck": check});
        object(http.entry("services")).insert(BEACON.to_owned(), json!({"loadbalancer": balancer}));
    }

    /// Adds a certificate and its key, both as PEM, for requests that no other fits; unless a service's labels have
    /// said something of the default store.
    pub fn add_default_certificate(&mut self, chain: &str, key: &str) {
        let stores = object(object(self.0.entry("tls")).entry("stores"));
        let certificate = json!({"defaultcertificate": {"certfile": chain, "keyfile": key}});
        stores.entry("default").or_insert(certificate);
    }
}

/// Traefik reads JSON as the YAML that it is, too, and there some letters may not stand as they are, or are line breaks:
/// one of them, and it rejects the whole document. In JSON all of these are within texts.
fn escaped(json: &str) -> String {
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
    fn each_instance_is_a_server_at_its_own_port() {
        let old = config(
            "s",
            &[
                ("traefik.http.routers.a.rule", "r"),
                ("traefik.http.services.x.loadbalancer.server.port", "80"),
            ],
        );
        let new = config(
            "s",
            &[
                ("traefik.http.routers.a.rule", "r"),
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
    fn a_service_without_instances_keeps_its_router_with_no_servers() {
        let config = config("s", &[("traefik.http.routers.a.rule", "r")]);
        assert_eq!(
            document(&config, &[]),
            json!({"http": {
                "routers": {"a": {"rule": "r", "service": "s"}},
                "services": {"s": {"loadbalancer": {"servers": []}}},
            }})
        );
    }

    #[test]
    fn a_service_that_distributes_requests_gets_no_servers() {
        let config = config(
            "s",
            &[
                ("traefik.http.routers.a.rule", "r"),
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
    fn a_url_that_a_label_says_is_there_once() {
        let label = "traefik.http.services.x.loadbalancer.server";
        let config =
            config("s", &[(&format!("{label}.url"), "http://a:1"), (&format!("{label}.weight"), "2")]);
        assert_eq!(
            document(&config, &[backend(&config, 1), backend(&config, 2)])["http"]["services"]["x"],
            json!({"loadbalancer": {"servers": [{"url": "http://a:1", "weight": "2"}]}})
        );
    }

    #[test]
    fn certificates_of_all_services_are_in_one_list() {
        let certificate = |service: &str, file: &str| {
            config(
                service,
                &[
                    ("traefik.tls.certificates[0].certfile", file),
                    ("traefik.tls.certificates[0].keyfile", "k"),
                ],
            )
        };
        let mut document = Document::default();
        for (service, file) in [("a", "1"), ("b", "2"), ("c", "1")] {
            render(&mut document, &certificate(service, file), &[]);
        }
        let list = json!([{"certfile": "1", "keyfile": "k"}, {"certfile": "2", "keyfile": "k"}]);
        assert_eq!(document.to_json(), json!({"tls": {"certificates": list}}).to_string());
    }

    #[test]
    fn letters_that_yaml_does_not_know_are_escaped() {
        let strange = "a\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}é😀\t";
        let config = config("s", &[("traefik.http.routers.a.rule", strange)]);
        let mut made = Document::default();
        render(&mut made, &config, &[]);
        let json = made.to_json();
        assert!(json.contains(r#""a\u007f\u0085\u2028\ufeff\uffffé😀\t""#), "{json}");
        assert_eq!(document(&config, &[])["http"]["routers"]["a"]["rule"], strange);
    }

    #[test]
    fn a_default_store_that_labels_speak_of_is_left_alone() {
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
    fn an_empty_document_is_the_one_form_of_empty_that_traefik_takes() {
        assert_eq!(Document::default().to_json(), "{}");
    }

    #[test]
    fn tcp_servers_have_an_address_and_ipv6_its_brackets() {
        let config = config(
            "s",
            &[
                ("traefik.tcp.routers.a.rule", "HostSNI(`*`)"),
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
