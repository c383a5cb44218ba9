//! A real Traefik that polls documents with many label sets, and reports which routers it disables.

use std::collections::{BTreeMap, BTreeSet};
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
use harness::{Loopback, eventually, http};
use serde_json::{Map, Value, json};

use super::Case;

/// Time in which Traefik uses a document, unless it rejects it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// In a value, the address of the server.
const BACKEND: &str = "BACKEND";

pub(super) struct Oracle {
    traefik: Traefik,
    document: Arc<Mutex<String>>,
    /// Address of the only server: it answers every request.
    backend: String,
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
        let backend = listener.local_addr()?.to_string();
        let hub = format!("http://{backend}");
        let served = Arc::clone(&document);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let document = Arc::clone(&served);
                // A lost poll is followed by another.
                thread::spawn(move || respond(connection, &document));
            }
        });
        let mut options = TraefikOptions::new(tools::traefik()?, loopback.free()?, loopback.free()?, hub);
        options.log_level = "FATAL";
        let mut traefik = Traefik::spawn(options, SpawnOptions::default())?;
        traefik.wait_ready()?;
        Ok(Self { traefik, document, backend, batch: 0 })
    }

    /// Returns the cases with a disabled router, with Traefik's reason. If Traefik rejects the whole document, halves of it
    /// find the case that is the cause.
    pub(super) fn disabled(&mut self, cases: &[&(usize, Case)]) -> Result<BTreeMap<usize, String>> {
        if self.accepts(cases)? {
            return self.read();
        }
        if let [(number, _)] = cases {
            return Ok([(*number, "rejects the whole document".to_owned())].into());
        }
        let (first, second) = cases.split_at(cases.len() / 2);
        let mut disabled = self.disabled(first)?;
        disabled.extend(self.disabled(second)?);
        Ok(disabled)
    }

    fn url(&self) -> String {
        format!("http://{}", self.backend)
    }

    /// Returns those of the cases whose HTTP router answers a request with an error. They are alone in the document, since
    /// rules of others may match the request too.
    pub(super) fn failing(&mut self, cases: &[&(usize, Case)]) -> Result<BTreeSet<usize>> {
        let host = |number: usize| format!("{}.lan", service(number));
        let has_host = |number: usize, case: &Case| {
            let rule = format!("Host(`{}`)", host(number));
            case.labels.iter().any(|(key, value)| key.starts_with("http.") && *value == rule)
                && !case.labels.iter().any(|(key, _)| key.contains(".tls"))
        };
        let cases: Vec<_> = cases.iter().copied().filter(|(number, case)| has_host(*number, case)).collect();
        if cases.is_empty() || !self.accepts(&cases)? {
            return Ok(BTreeSet::new());
        }
        let mut failing = BTreeSet::new();
        for (number, _) in cases {
            let host = host(*number);
            let response = http::request("GET", &format!("{}/", self.traefik.url()), &[("host", &host)])?;
            if response.status >= 500 || response.status == 429 {
                failing.insert(*number);
            }
        }
        Ok(failing)
    }

    /// Publishes a document with these cases. Returns whether Traefik takes it into use.
    fn accepts(&mut self, cases: &[&(usize, Case)]) -> Result<bool> {
        self.batch += 1;
        let marker = format!("batch-{}", self.batch);
        let mut tree = json!({
            "http": {
                "routers": {(&*marker): {"rule": "Path(`/`)", "service": (&*marker)}},
                "services": {(&*marker): {"loadbalancer": {"servers": [{"url": self.url()}]}}},
            }
        });
        for (number, case) in cases {
            add(&mut tree, &service(*number), case, &self.backend);
        }
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = to_json(&tree);
        let api = self.traefik.api();
        let in_use = eventually(TIMEOUT, || {
            ensure!(api.routers()?.contains_key(&format!("{marker}@http")), "Traefik does not use {marker}");
            Ok(())
        });
        self.traefik.wait_ready().context("looking for Traefik after a document")?;
        Ok(in_use.is_ok())
    }

    /// Reads which routers Traefik disables.
    fn read(&self) -> Result<BTreeMap<usize, String>> {
        let mut disabled = BTreeMap::new();
        for protocol in ["http", "tcp"] {
            let list = self.traefik.api().get(&format!("{protocol}/routers?per_page=100000"))?;
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

/// Answers a poll with the document, and any other request with nothing.
fn respond(mut connection: TcpStream, document: &Mutex<String>) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let is_poll = request.starts_with(b"GET /traefik?");
    let document = document.lock().unwrap_or_else(PoisonError::into_inner);
    let document = if is_poll { document.clone() } else { String::new() };
    let length = document.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(document.as_bytes())
}

/// Adds the labels of a case to the document, as Traefik's own providers would: without any check.
fn add(tree: &mut Value, service: &str, case: &Case, backend: &str) {
    let mut own = Value::Object(Map::new());
    for (key, value) in &case.labels {
        let mut place = &mut own;
        for step in key.split(['.', '[']) {
            // `tls=true` beside `tls.options=…`.
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[step.trim_end_matches(']')];
        }
        *place = value.replace(BACKEND, backend).into();
    }
    for protocol in ["http", "tcp"] {
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
                let options = balancer.remove("server").unwrap_or_default();
                let server = if protocol == "http" {
                    let scheme =
                        options["scheme"].as_str().filter(|scheme| !scheme.is_empty()).unwrap_or("http");
                    json!({"url": format!("{scheme}://{backend}")})
                } else {
                    json!({"address": backend})
                };
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
