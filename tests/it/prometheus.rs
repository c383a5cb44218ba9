//! `stacks/monitoring`: Debian's Prometheus finds real tasks through the hub, and evaluates each rule and each query of the dashboard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::loopback::free_at_source;
use harness::tokens::write_token;
use harness::{Fleet, Instance, Process, SpawnOptions, eventually, http, process};
use serde_json::Value;

const LONG: Duration = Duration::from_mins(1);

fn stacks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks")
}

#[test]
fn rules_raise_their_alerts() {
    let directory = tempfile::tempdir().unwrap();
    let cases =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("stacks/rules_test.yml")).unwrap();
    let rules = stacks().join("monitoring/rules.yml").canonicalize().unwrap();
    let names = |text: &str, key: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| Some(line.split_once(key)?.1.trim_matches(&[' ', '}', ','][..]).to_owned()))
            .collect()
    };
    for alert in names(&fs::read_to_string(&rules).unwrap(), "- alert: ") {
        assert!(names(&cases, "alertname: ").contains(&alert), "no case for {alert}");
    }
    let file = directory.path().join("rules_test.yml");
    fs::write(&file, cases.replace("RULES", rules.to_str().unwrap())).unwrap();
    process::run_ok(Command::new("promtool").args(["test", "rules"]).arg(&file)).unwrap();
}

/// A running Prometheus.
struct Prometheus {
    url: String,
    _process: Process,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it with the stack's configuration, for the hub of a fleet.
    fn start(fleet: &Fleet) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("reader");
        write_token(&token, &fleet.hub.master().unwrap().role("reader")).unwrap();
        let hub = fleet.hub.options().address;
        let mut configuration = fs::read_to_string(stacks().join("monitoring/prometheus.yml")).unwrap();
        for (stack, test) in [
            ("/run/secrets/reader", token.to_str().unwrap()),
            ("http://hub:8080", &fleet.hub.url()),
            ("15s", "1s"),
            ("10s", "1s"),
        ] {
            assert!(configuration.contains(stack), "{stack} is not in the stack's configuration");
            configuration = configuration.replace(stack, test);
        }
        // No DNS server knows the name in a test.
        let discovery = configuration.find("    dns_sd_configs:").unwrap();
        let configuration =
            format!("{}    static_configs: [{{targets: ['{hub}']}}]\n", &configuration[..discovery]);
        let file = directory.path().join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        fs::copy(stacks().join("monitoring/rules.yml"), directory.path().join("rules.yml")).unwrap();
        let address = free_at_source().unwrap();
        let mut command = Command::new("prometheus");
        command.arg("--config.file").arg(&file).arg("--storage.tsdb.path").arg(directory.path().join("data"));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::spawn("prometheus", &mut command, SpawnOptions::default()).unwrap();
        Self { url: format!("http://{address}"), _process: process, _directory: directory }
    }

    fn get(&self, path: &str) -> Result<Value> {
        let answer = http::json(&format!("{}/api/v1/{path}", self.url))?;
        ensure!(answer["status"] == "success", "{path}: {answer}");
        Ok(answer["data"].clone())
    }

    /// Returns the samples that a query gives.
    fn query(&self, query: &str) -> Result<Vec<Value>> {
        let escaped: Vec<_> = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("query?query={}", escaped.concat()))?;
        answer["result"].as_array().cloned().with_context(|| format!("{query}: {answer}"))
    }
}

#[test]
fn prometheus_finds_every_task_and_evaluates_all_queries() {
    let fleet = Fleet::start().unwrap();
    let mut tasks: Vec<Instance> = ["ping", "hello"]
        .map(|service| {
            let mut spec = fleet.spec(service, &format!("{service}-1")).unwrap();
            spec.labels.push(("prometheus.port".to_owned(), spec.admin.port().to_string()));
            Instance::spawn(spec, SpawnOptions::default()).unwrap()
        })
        .into();
    fleet.wait_routed(&mut tasks).unwrap();
    let prometheus = Prometheus::start(&fleet);
    eventually(LONG, || {
        let up = prometheus.query("up{job=\"tasks\"} == 1")?;
        ensure!(up.len() == tasks.len(), "{up:?}");
        for expected in ["ping", "hello"] {
            ensure!(up.iter().any(|sample| sample["metric"]["service"] == expected), "{up:?}");
        }
        Ok(())
    })
    .unwrap();
    let text = fs::read_to_string(stacks().join("monitoring/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<_> = queries.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() >= panels.len() && panels.len() > 5);
    eventually(LONG, || {
        http::get(&format!("{}/ping", fleet.traefik.url()))?;
        for query in &queries {
            let samples = prometheus.query(query)?;
            // Nothing was withdrawn.
            ensure!(!samples.is_empty() || query.contains("withdrawn"), "no sample for {query}");
        }
        Ok(())
    })
    .unwrap();
    let rules = prometheus.get("rules").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
}

#[test]
fn dashboard_and_stack_file_fit_together() {
    let text = fs::read_to_string(stacks().join("monitoring/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let datasource = fs::read_to_string(stacks().join("monitoring/datasource.yml")).unwrap();
    let mut places = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let uid = panel["datasource"]["uid"].as_str().unwrap();
        assert!(datasource.contains(&format!("uid: {uid}")), "{panel}");
        assert!(["stat", "timeseries"].contains(&panel["type"].as_str().unwrap()), "{panel}");
        let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(place[0] + place[2] <= 24, "{panel}");
        let overlaps = |other: &[u64; 4]| {
            (0..2).all(|axis| {
                place[axis] < other[axis] + other[axis + 2] && other[axis] < place[axis] + place[axis + 2]
            })
        };
        assert!(!places.iter().any(overlaps), "{panel}");
        places.push(place);
    }
    let stack = fs::read_to_string(stacks().join("monitoring.yml")).unwrap();
    for file in fs::read_dir(stacks().join("monitoring")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(stack.contains(&format!("file: ./monitoring/{name}")), "{name} is not in monitoring.yml");
    }
}
