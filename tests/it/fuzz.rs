//! Random labels that the hub accepts, in a real Traefik: none takes away the route of another service, or stops Traefik.
//!
//! `SWARMLINGS_SEED` changes the labels, and `SWARMLINGS_ROUNDS` their number.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::process::SpawnOptions;
use harness::traefik::{Traefik, TraefikOptions};
use harness::{Loopback, eventually, http, tools};
use protocol::Labels;
use traefik::{Backend, Draft, Exposure, ServiceConfig};

use crate::options::examples;

const TIMEOUT: Duration = Duration::from_secs(30);

static UNPUBLISHED: BTreeMap<String, NonZeroU16> = BTreeMap::new();

/// Services with random labels in one document.
const SERVICES: usize = 40;

const ODD_VALUES: [&str; 44] = [
    "",
    " ",
    ",",
    "0",
    "1",
    "-1",
    "2147483647",
    "9223372036854775807",
    "-9223372036854775808",
    "1ns",
    "-1s",
    "2562047h",
    "1h",
    "/dev/zero",
    "/dev/ptmx",
    "a\u{2551}b",
    "\0",
    "\u{7f}",
    "a\nb",
    "{{.}}",
    "${1}",
    "*",
    "(",
    "(a*)*",
    "[",
    "a,b",
    "victim",
    "victim@http",
    "victim@docker",
    "api@internal",
    "noop@internal",
    "default",
    "true",
    "false",
    "\u{e9}",
    "http://127.0.0.1:1",
    "h2c",
    "::",
    "%zz",
    "a:b:c",
    "a:$2y$31$a",
    "web",
    "traefik",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
];

const ODD_NAMES: [&str; 14] = [
    "<<", "~", "null", "true", "1", "- a", "{}", "\u{80}", "\u{2028}", "a b", "&a", "*a", "victim", "VICTIM",
];

struct Random(u64);

impl Random {
    /// A number below `end`, by splitmix64.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    /// Labels of a service with a router, and up to three more definitions.
    fn labels(&mut self, service: &str, fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let protocol = if self.chance(80) { "http" } else { self.pick(&["tcp", "udp"]) };
        let router = format!("traefik.{protocol}.routers.{service}");
        let rule = if protocol == "http" { "PathPrefix(`/other`)" } else { "HostSNI(`other.lan`)" };
        if protocol != "udp" {
            labels.insert(format!("{router}.rule"), rule.to_owned());
        }
        if protocol == "tcp" {
            labels.insert(format!("{router}.tls"), "true".to_owned());
        }
        for _ in 0..self.below(4) {
            let (path, _) = fields[self.below(fields.len())];
            // Several options of one definition.
            let above: Vec<&str> =
                path.split('.').take(if path.contains(".middlewares.") { 4 } else { 3 }).collect();
            let above = above.join(".");
            let related: Vec<_> = fields.iter().filter(|(path, _)| path.starts_with(&above)).collect();
            let name = if self.chance(5) {
                self.pick(&ODD_NAMES).repeat(1 + self.below(60))
            } else {
                service.to_owned()
            };
            for _ in 0..=self.below(4) {
                let (path, kind) = *related[self.below(related.len())];
                let value = self.value(path, kind, service);
                labels.insert(format!("traefik.{}", self.key(path, &name)), value);
                let definition: Vec<&str> = path.split('.').take(2).collect();
                for (option, value) in examples::companions(path) {
                    let key = format!("traefik.{}.{name}.{option}", definition.join("."));
                    labels.entry(key).or_insert_with(|| value.replace("elsewhere", service));
                }
            }
            if above.contains(".middlewares.") && above.starts_with(protocol) {
                labels.insert(format!("{router}.middlewares"), name);
            }
        }
        labels
    }

    /// The key of an option below a definition.
    fn key(&mut self, path: &str, name: &str) -> String {
        let chosen = if path.contains("statusrewrites") { "404" } else { "X-Other" };
        let chosen = if self.chance(3) { self.pick(&ODD_NAMES) } else { chosen };
        let path = path.replacen('*', name, 1).replace(".**", ".Deep.er").replace('*', chosen);
        path.replace(".[n]", self.pick(&["[0]", "[0]", "[1]", "[65535]"]))
    }

    fn value(&mut self, path: &str, kind: &str, service: &str) -> String {
        if self.chance(25) {
            let odd = self.pick(&ODD_VALUES);
            return if self.chance(3) { odd.repeat(2000) } else { odd.to_owned() };
        }
        if let Some(example) = examples::value(path) {
            return example.to_owned();
        }
        match kind {
            "bool" | "switch" => self.pick(&["true", "false"]).to_owned(),
            "int" => self.pick(&["0", "1", "2", "100", "100000"]).to_owned(),
            "duration" => self.pick(&["0", "1ms", "100ms", "10s", "10"]).to_owned(),
            "name" | "names" => self.pick(&[service, "victim", "c1", "c2@docker", "missing"]).to_owned(),
            _ if path.ends_with("entrypoints") => "web".to_owned(),
            _ => self.pick(&["a", "/a", "a.lan", "80"]).to_owned(),
        }
    }
}

fn config(service: &str, labels: BTreeMap<String, String>) -> Result<ServiceConfig, String> {
    ServiceConfig::read(service, &Labels(labels), &Exposure::default()).map_err(|errors| errors.to_string())
}

/// Answers each request with `body()`.
fn serve(listener: TcpListener, body: impl Fn() -> String + Send + Sync + 'static) {
    let body = Arc::new(body);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let body = Arc::clone(&body);
            thread::spawn(move || drop(respond(connection, &body())));
        }
    });
}

fn respond(mut connection: TcpStream, body: &str) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match connection.read(&mut buffer)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    connection.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// Number from an environment variable.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Adds services with random labels to the document, as the hub does: names belong to the first service. Returns the
/// labels that were accepted.
fn add_random(
    document: &mut Draft,
    random: &mut Random,
    backend: SocketAddr,
    taken: &ServiceConfig,
) -> Vec<String> {
    let fields = include_str!("../../sidecar/traefik/src/fields.txt").lines();
    let fields: Vec<(&str, &str)> =
        fields.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')).collect();
    let names = |config: &ServiceConfig| -> BTreeSet<String> {
        config.claims().map(|(protocol, kind, name, _)| format!("{protocol}.{kind}.{name}")).collect()
    };
    let mut claimed = names(taken);
    let mut accepted = Vec::new();
    for number in 0..SERVICES {
        let service = format!("c{number}");
        let labels = random.labels(&service, &fields);
        let Ok(config) = config(&service, labels.clone()) else { continue };
        let own = names(&config);
        if !own.is_disjoint(&claimed) || config.find_cycle(|p, k, n| document.get(p, k, n)).is_some() {
            continue;
        }
        claimed.extend(own);
        let port = NonZeroU16::new(backend.port()).unwrap();
        document.add(
            &config,
            &[Backend { address: backend.ip(), port, published: &UNPUBLISHED, config: &config }],
        );
        accepted.push(format!("{labels:?}"));
    }
    accepted
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn random_labels_never_harm_another_service() {
    let (seed, rounds) = (setting("SWARMLINGS_SEED", 1_u64), setting("SWARMLINGS_ROUNDS", 60_usize));
    let mut random = Random(seed);
    let loopback = Loopback::new();
    let listen = || TcpListener::bind(loopback.free().unwrap()).unwrap();
    let (hub, backend) = (listen(), listen());
    let (hub_url, address) = (format!("http://{}", hub.local_addr().unwrap()), backend.local_addr().unwrap());
    serve(backend, || "victim".to_owned());
    let served = Arc::new(Mutex::new("{}".to_owned()));
    let document = Arc::clone(&served);
    serve(hub, move || document.lock().unwrap().clone());
    let (entry, api) = (loopback.free().unwrap(), loopback.free().unwrap());
    let mut options = TraefikOptions::new(tools::traefik().unwrap(), entry, api, hub_url);
    options.log_level = "ERROR";
    let mut traefik = Traefik::spawn(options, SpawnOptions::default()).unwrap();
    traefik.wait_ready().unwrap();

    let mut count = 0;
    for round in 0..rounds {
        // The rule tells which document Traefik has in use.
        let rule = format!("Path(`/victim`) || Path(`/{round}`)");
        let labels = BTreeMap::from([("traefik.http.routers.victim.rule".to_owned(), rule.clone())]);
        let victim = config("victim", labels).unwrap();
        let mut document = Draft::default();
        let port = NonZeroU16::new(address.port()).unwrap();
        document.add(
            &victim,
            &[Backend { address: address.ip(), port, published: &UNPUBLISHED, config: &victim }],
        );
        let accepted = add_random(&mut document, &mut random, address, &victim);
        count += accepted.len();
        *served.lock().unwrap() = document.finish().to_json();
        let is_routed = || -> Result<()> {
            let routers = traefik.api().routers()?;
            let router = routers.get("victim@http").context("the victim has no router")?;
            ensure!(
                router["rule"] == *rule && router["status"] == "enabled",
                "the victim's router is {router}"
            );
            let response = http::get(&format!("{}/victim", traefik.url()))?;
            ensure!(response.body == "victim", "the victim's route leads to {response:?}");
            Ok(())
        };
        let outcome = eventually(TIMEOUT, is_routed);
        assert!(outcome.is_ok(), "seed {seed}, round {round}: {outcome:?}\n{}", accepted.join("\n"));
        // Middlewares and balancers run once.
        let _ = http::get(&format!("{}/other", traefik.url()));
    }
    eprintln!("seed {seed}: {rounds} documents with {count} of {} label sets accepted", rounds * SERVICES);
    assert!(count > rounds * SERVICES / 8, "only {count} label sets were accepted");
}
