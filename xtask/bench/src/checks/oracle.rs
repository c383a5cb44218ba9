//! A real Traefik that polls documents with many label sets, and reports which routers it disables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::process::SpawnOptions;
use harness::tools;
use harness::traefik::{Traefik, TraefikOptions};
use harness::{Loopback, eventually};
use serde_json::{Map, Value, json};

use super::Case;

const TIMEOUT: Duration = Duration::from_mins(2);

pub(super) struct Oracle {
    traefik: Traefik,
    document: Arc<Mutex<String>>,
    batch: usize,
}

/// Name of the service and of the router of a case.
pub(super) fn service(number: usize) -> String {
    format!("c{number}")
}

impl Oracle {
    pub(super) fn start() -> Result<Self> {
        let loopback = Loopback::new();
        let document = Arc::new(Mutex::new("{}".to_owned()));
        let listener = TcpListener::bind(loopback.free()?).context("listening for Traefik's polls")?;
        let hub = format!("http://{}", listener.local_addr()?);
        let served = Arc::clone(&document);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let document = served.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A lost poll is followed by another.
                let _ = respond(connection, &document);
            }
        });
        let mut options = TraefikOptions::new(tools::traefik()?, loopback.free()?, loopback.free()?, hub);
        options.log_level = "FATAL";
        let mut traefik = Traefik::spawn(options, SpawnOptions::default())?;
        traefik.wait_ready()?;
        Ok(Self { traefik, document, batch: 0 })
    }

    /// Returns the cases with a disabled router, with Traefik's reason.
    pub(super) fn disabled(&mut self, cases: &[Case]) -> Result<BTreeMap<usize, String>> {
        self.batch += 1;
        let marker = format!("batch-{}", self.batch);
        let mut tree = json!({
            "http": {
                "routers": {(&*marker): {"rule": "Path(`/`)", "service": (&*marker)}},
                "services": {(&*marker): {"loadbalancer": {"servers": [{"url": "http://127.0.0.1:1"}]}}},
            }
        });
        for (number, case) in cases.iter().enumerate() {
            add(&mut tree, &service(number), case);
        }
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = to_json(&tree);
        let api = self.traefik.api();
        eventually(TIMEOUT, || {
            let routers = api.routers()?;
            ensure!(
                routers.contains_key(&format!("{marker}@http")),
                "Traefik has not taken {marker} into use"
            );
            Ok(())
        })?;
        let mut disabled = BTreeMap::new();
        for protocol in ["http", "tcp"] {
            let list = api.get(&format!("{protocol}/routers?per_page=100000"))?;
            for router in list.as_array().into_iter().flatten() {
                let name = router["name"].as_str().unwrap_or_default();
                if router["status"] == "disabled" && router["provider"] == "http" {
                    disabled.insert(Case::number_of(name)?, router["error"].to_string());
                }
            }
        }
        Ok(disabled)
    }
}

fn respond(mut connection: TcpStream, document: &str) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let length = document.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(document.as_bytes())
}

/// Adds the labels of a case to the document, as Traefik's own providers would: without any check.
fn add(tree: &mut Value, service: &str, case: &Case) {
    let mut own = Value::Object(Map::new());
    for (key, value) in &case.labels {
        let mut place = &mut own;
        for step in key.split(['.', '[']) {
            place = &mut place[step.trim_end_matches(']')];
        }
        *place = value.as_str().into();
    }
    for (protocol, server) in
        [("http", json!({"url": "http://127.0.0.1:1"})), ("tcp", json!({"address": "127.0.0.1:1"}))]
    {
        let Some(section) = own.get_mut(protocol).and_then(Value::as_object_mut) else { continue };
        let mut needs_service = false;
        let routers = section.get_mut("routers").and_then(Value::as_object_mut);
        for router in routers.into_iter().flat_map(Map::values_mut) {
            if router.get("service").is_none() {
                router["service"] = service.into();
                needs_service = true;
            }
        }
        let services = section.entry("services").or_insert_with(|| json!({}));
        if needs_service && services.get(service).is_none() {
            services[service] = json!({"loadbalancer": {}});
        }
        for service in services.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(balancer) = service.get_mut("loadbalancer").and_then(Value::as_object_mut) {
                balancer.remove("server");
                balancer.insert("servers".to_owned(), json!([server]));
            }
        }
    }
    merge(tree, lists(own));
}

/// Turns `{"0": …, "1": …}` into a list.
fn lists(tree: Value) -> Value {
    let Value::Object(fields) = tree else { return tree };
    let is_list = !fields.is_empty() && fields.keys().all(|key| key.parse::<usize>().is_ok());
    if is_list {
        return fields.into_iter().map(|(_, item)| lists(item)).collect();
    }
    Value::Object(fields.into_iter().map(|(key, value)| (key, lists(value))).collect())
}

fn merge(tree: &mut Value, more: Value) {
    match (tree, more) {
        (Value::Object(tree), Value::Object(more)) => {
            for (key, value) in more {
                // Traefik rejects empty maps.
                if value != json!({}) {
                    merge(tree.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (tree, more) => *tree = more,
    }
}

/// Escapes characters that YAML, as which Traefik reads the document, does not allow.
fn to_json(tree: &Value) -> String {
    let mut json = String::new();
    for letter in tree.to_string().chars() {
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(letter));
            }
            letter => json.push(letter),
        }
    }
    json
}
