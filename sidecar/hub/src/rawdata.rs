//! Reports of Traefik: the responses of its API to `/api/rawdata`, which has everything, and to smaller requests. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use traefik::{BEACON, PAGE};

/// Suffix of the names that come from the HTTP provider, which is the hub.
const PROVIDER: &str = "@http";

/// Definitions from a hub that a router (Traefik instance) has in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Path of the beacon.
    pub(crate) beacon: Option<String>,
    /// Errors of disabled definitions by name, such as `http.routers.ping`.
    pub(crate) errors: BTreeMap<String, String>,
    /// Errors of definitions that work in part.
    pub(crate) warnings: BTreeMap<String, String>,
    /// URLs of HTTP servers, and addresses of TCP servers.
    pub(crate) servers: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawData {
    routers: Definitions,
    middlewares: Definitions,
    services: Definitions,
    tcp_routers: Definitions,
    tcp_middlewares: Definitions,
    tcp_services: Definitions,
    udp_routers: Definitions,
    udp_services: Definitions,
}

type Definitions = BTreeMap<String, Definition>;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Definition {
    status: String,
    error: Vec<String>,
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LoadBalancer {
    servers: Vec<Server>,
    health_check: HealthCheck,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Server {
    url: String,
    address: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HealthCheck {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Overview {
    http: OverviewOfProtocol,
    tcp: OverviewOfProtocol,
    udp: OverviewOfProtocol,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OverviewOfProtocol {
    routers: Counts,
    services: Counts,
    middlewares: Counts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    warnings: u64,
    errors: u64,
}

/// Parses the response to `/api/overview`, and returns whether any definition has an error or a warning.
pub(crate) fn has_messages(json: &[u8]) -> serde_json::Result<bool> {
    let Overview { http, tcp, udp } = serde_json::from_slice(json)?;
    let counts = [http, tcp, udp].map(|kinds| [kinds.routers, kinds.services, kinds.middlewares]);
    Ok(counts.iter().flatten().any(|counts| counts.warnings + counts.errors > 0))
}

/// Parses the response for the service of the beacon. The report of a router without errors and warnings has nothing else.
pub(crate) fn without_messages(json: &[u8]) -> serde_json::Result<Report> {
    let service: Definition = serde_json::from_slice(json)?;
    Ok(Report { beacon: Some(service.load_balancer.health_check.path), ..Report::default() })
}

/// Parses the response to `/api/rawdata`.
pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Report> {
    let data: RawData = serde_json::from_slice(json)?;
    let mut report = Report::default();
    for (kind, definitions) in [
        ("http.routers", data.routers),
        ("http.middlewares", data.middlewares),
        ("http.services", data.services),
        ("tcp.routers", data.tcp_routers),
        ("tcp.middlewares", data.tcp_middlewares),
        ("tcp.services", data.tcp_services),
        ("udp.routers", data.udp_routers),
        ("udp.services", data.udp_services),
    ] {
        for (full_name, definition) in definitions {
            let Some(name) = full_name.strip_suffix(PROVIDER) else { continue };
            let LoadBalancer { servers, health_check } = definition.load_balancer;
            if name == BEACON {
                if kind == "http.services" {
                    report.beacon = Some(health_check.path);
                }
                continue;
            }
            // The server of the page is the hub that sent it.
            if kind != "udp.services" && name != PAGE {
                let servers = servers.into_iter().flat_map(|server| [server.url, server.address]);
                report.servers.extend(servers.filter(|server| !server.is_empty()));
            }
            let list = match definition.status.as_str() {
                "disabled" => &mut report.errors,
                "warning" => &mut report.warnings,
                _ => continue,
            };
            list.insert(format!("{kind}.{name}"), definition.error.join("; "));
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn report_has_errors_and_servers_of_the_hubs_definitions() {
        let data = json!({
            "routers": {
                "ping@http": {"rule": "x", "status": "disabled", "using": ["web"], "error": ["no a", "no b"]},
                "hello@http": {"status": "warning", "error": ["no c"]},
                "other@file": {"status": "disabled", "error": ["no d"]},
                "fine@http": {"status": "enabled"},
            },
            "services": {
                "ping@http": {
                    "loadBalancer": {"servers": [{"url": "http://10.0.1.2:80", "weight": 2}], "passHostHeader": true},
                    "status": "enabled", "serverStatus": {"http://10.0.1.2:80": "UP"},
                },
                "swarmlings-beacon@http": {
                    "loadBalancer": {"servers": [{"url": "http://10.0.1.9:80"}], "healthCheck": {"path": "/beacon?x=1"}},
                },
                "swarmlings-page@http": {"loadBalancer": {"servers": [{"url": "http://10.0.1.9:80"}]}},
                "api@internal": {"status": "enabled"},
            },
            "tcpServices": {"db@http": {"loadBalancer": {"servers": [{"address": "10.0.1.3:5432"}]}}},
            "udpServices": {"dns@http": {"loadBalancer": {"servers": [{"address": "10.0.1.4:53"}]}}},
            "new": [1],
        });
        let report = parse(data.to_string().as_bytes()).unwrap();
        let list = |items: &[(&str, &str)]| items.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        assert_eq!(report.errors, list(&[("http.routers.ping", "no a; no b")]));
        assert_eq!(report.warnings, list(&[("http.routers.hello", "no c")]));
        assert_eq!(report.servers, ["10.0.1.3:5432", "http://10.0.1.2:80"].map(str::to_owned).into());
        assert_eq!(report.beacon.as_deref(), Some("/beacon?x=1"));
    }

    #[test]
    fn overview_tells_whether_any_definition_has_an_error_or_a_warning() {
        let overview = |http: &str, udp: &str| {
            let counts = r#"{"total": 3, "warnings": 0, "errors": 0}"#;
            let json = format!(
                r#"{{"http": {{"routers": {counts}, "middlewares": {http}}}, "tcp": {{}}, "udp": {{"services": {udp}}}, "features": {{}}}}"#
            );
            has_messages(json.as_bytes()).unwrap()
        };
        assert!(!overview(r#"{"errors": 0}"#, "{}"));
        assert!(overview(r#"{"errors": 1}"#, "{}"));
        assert!(overview("{}", r#"{"warnings": 1}"#));
        let beacon = json!({"loadBalancer": {"healthCheck": {"path": "/beacon?x=1"}}, "name": "x", "status": "enabled"});
        let report = without_messages(beacon.to_string().as_bytes()).unwrap();
        assert_eq!(report, Report { beacon: Some("/beacon?x=1".to_owned()), ..Report::default() });
    }

    #[test]
    fn traefik_without_a_configuration_reports_nothing() {
        assert_eq!(parse(b"{}").unwrap(), Report::default());
        for text in ["", "404 page not found", "{\"routers\": 1}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
