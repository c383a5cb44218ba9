//! Every option of Traefik in a label, through the hub to Traefik's API and log, except options that labels must not set.
//! `cargo xtask fields` checks that these include all options of Traefik's reference.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Fleet, FleetOptions, eventually, labels};
use serde_json::{Value, json};

#[path = "../../sidecar/traefik/tests/support/examples.rs"]
pub(crate) mod examples;

const SOON: Duration = Duration::from_mins(1);

/// Options that Traefik shows nowhere, with everything below them, and the reason. It accepts them nevertheless, because it
/// rejects a document with an unknown option.
const HIDDEN: [(&str, &str); 8] = [
    ("enable", "only the hub uses it"),
    ("docker", "only sidecar and agent use it"),
    ("swarm", "only sidecar and agent use it"),
    ("http.serverstransports.*.certificates", "the API shows no transports, and the log no certificates"),
    ("http.serverstransports.*.rootcas", "the API shows no transports, and the log no certificates"),
    ("tcp.serverstransports.*.tls.certificates", "the API shows no transports, and the log no certificates"),
    ("tcp.serverstransports.*.tls.rootcas", "the API shows no transports, and the log no certificates"),
    ("tls.options.*.clientauth.cafiles", "the API shows no TLS options, and the log no certificates"),
];

/// Options that are true by default, so that only `false` shows that Traefik has read them.
const TRUE_BY_DEFAULT: [&str; 3] = ["passhostheader", "followredirects", "mirrorbody"];

/// A line of fields.txt as a label, with its expected value in Traefik.
struct Shown {
    /// The path in fields.txt.
    path: String,
    /// Key and value of the label.
    label: (String, String),
    /// Place in Traefik's configuration: sections, names and fields; fields in any case.
    place: Vec<String>,
    expected: Value,
}

fn options() -> Vec<Shown> {
    let fields = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sidecar/traefik/src/fields.txt");
    let fields = fs::read_to_string(fields).unwrap();
    let lines = fields.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let options = lines.map(|(number, line)| (number, line.split_once(' ').unwrap()));
    let options = options.filter(|(_, (path, _))| !examples::is_refused(path));
    options.map(|(number, (path, kind))| option(number, path, kind)).collect()
}

fn option(number: usize, path: &str, kind: &str) -> Shown {
    // Each line has its own router, service or middleware, so that lines do not interfere.
    let named = path.replacen('*', &format!("N{number}"), 1);
    // The name of a header or a status code.
    let chosen = if path.contains("statusrewrites") { "404" } else { "Key" };
    let key = named.replace(".**", ".Deep.er").replace('*', chosen).replace(".[n]", "[0]");
    let last = path.rsplit('.').next().unwrap_or_default();
    let unique = format!("{last}-{number}");
    let (value, expected) = match (last, kind) {
        _ if path.ends_with("server.url") => {
            (format!("http://10.0.0.1:{number}"), json!(format!("http://10.0.0.1:{number}")))
        }
        _ if path.ends_with("server.scheme") => ("h2c".to_owned(), json!("h2c://")),
        _ if path.ends_with("server.port") => (number.to_string(), json!(format!(":{number}"))),
        (_, kind) if let Some(example) = examples::value(path) => (example.to_owned(), parsed(kind, example)),
        (last, "bool") if TRUE_BY_DEFAULT.contains(&last) => ("false".to_owned(), json!(false)),
        (_, "bool") => ("true".to_owned(), json!(true)),
        // Enabled, with default values.
        (_, "switch") => ("true".to_owned(), json!({})),
        (_, "int") => (number.to_string(), json!(number)),
        (_, "duration") => (format!("{number}ms"), json!(format!("{number}ms"))),
        (_, "list") => (format!("{unique}, other"), json!([unique, "other"])),
        // Names of another provider: the hub refuses references to what no label defines.
        (_, "names") => (format!("{unique}@file, o@file"), json!([format!("{unique}@file"), "o@file"])),
        ("rule", _) if path.starts_with("tcp") => {
            let rule = format!("HostSNI(`*`) || ALPN(`{unique}`)");
            (rule.clone(), json!(rule))
        }
        ("rule", _) => (format!("Path(`/{unique}`)"), json!(format!("Path(`/{unique}`)"))),
        (_, "name") => (format!("{unique}@file"), json!(format!("{unique}@file"))),
        _ => (unique.clone(), json!(unique)),
    };
    let place = named.replace(".**", ".Deep.er").replace('*', chosen).replace("[n]", "0");
    let place =
        place.replace(".server.port", ".servers.0.ADDRESS").replace(".server.scheme", ".servers.0.url");
    let place = place
        .replace(".server.", ".servers.0.")
        .replace("ADDRESS", if path.starts_with("http") { "url" } else { "address" });
    // Options are case-insensitive.
    let key = match key.strip_suffix(last).filter(|_| number.is_multiple_of(2)) {
        Some(before) => before.to_owned() + &last.to_ascii_uppercase(),
        None => key,
    };
    Shown {
        path: path.to_owned(),
        label: (format!("traefik.{key}"), value),
        place: place.split('.').map(str::to_owned).collect(),
        expected,
    }
}

/// Returns an example as Traefik shows it.
fn parsed(kind: &str, example: &str) -> Value {
    match kind {
        "int" => json!(example.parse::<i64>().unwrap()),
        "list" => example.split(',').map(str::trim).collect(),
        _ => json!(example),
    }
}

/// Returns the other labels that the definition of an option needs.
fn companions(option: &Shown) -> Vec<(String, String)> {
    let [protocol, kind, name, ..] = option.place.as_slice() else { return Vec::new() };
    if option.path.ends_with("weighted.services.[n].weight") {
        let key = format!("traefik.{protocol}.{kind}.{name}.weighted.services[0].name");
        return vec![(key, "elsewhere@file".to_owned())];
    }
    if kind != "routers" {
        let needed = examples::companions(&option.path);
        let label =
            |(field, value)| (format!("traefik.{protocol}.{kind}.{name}.{field}"), String::from(value));
        return needed.map(label).collect();
    }
    let last = option.place.last().map(String::as_str);
    // Each has its own host: routers of one host must agree on TLS.
    let host = format!("Host(`{name}.lan`)");
    let rule = if protocol == "http" { host.as_str() } else { "HostSNI(`*`)" };
    let needed = match protocol.as_str() {
        "http" => &[("rule", rule), ("service", "elsewhere@file")][..],
        "tcp" => &[("rule", rule), ("service", "elsewhere@file"), ("entrypoints", "web")],
        _ => &[("service", "elsewhere@file")],
    };
    let needed = needed.iter().filter(|(field, _)| Some(*field) != last);
    needed
        .map(|(field, value)| (format!("traefik.{protocol}.routers.{name}.{field}"), (*value).to_owned()))
        .collect()
}

/// Returns the value at `place`, ignoring the case of fields.
fn at<'a>(tree: &'a Value, place: &[String]) -> Option<&'a Value> {
    place.iter().try_fold(tree, |tree, step| match tree {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields
            .get(step)
            .or_else(|| Some(fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(step))?.1)),
        _ => None,
    })
}

/// Whether `found` is the expected value of `option`.
fn shows(option: &Shown, found: &Value) -> bool {
    match (&option.expected, found) {
        (Value::Object(_), found) => found.is_object(),
        (Value::String(part), Value::String(whole)) if option.path.ends_with("server.port") => {
            whole.ends_with(part.as_str())
        }
        (Value::String(part), Value::String(whole)) if option.path.ends_with("server.scheme") => {
            whole.starts_with(part.as_str())
        }
        (expected, found) => expected == found,
    }
}

/// Returns the place in the API's `rawdata`, for sections that it contains.
fn in_api(place: &[String]) -> Option<Vec<String>> {
    let [protocol, kind, name, rest @ ..] = place else { return None };
    let section = match (protocol.as_str(), kind.as_str()) {
        (_, "serverstransports") | ("tls", _) => return None,
        ("http", kind) => kind.to_owned(),
        (protocol, kind) => format!("{protocol}{kind}"),
    };
    Some([&[section, format!("{name}@http")], rest].concat())
}

/// Returns the last configuration in Traefik's log.
fn logged(fleet: &mut Fleet) -> Result<Value> {
    let lines = fleet.traefik.process().log().lines();
    let line = lines
        .iter()
        .rev()
        .find(|line| line.contains("Configuration received") && line.contains("config={\"http\""));
    let line = line.context("no configuration in Traefik's log")?;
    let text =
        line.split_once("config=").map(|(_, config)| config).context("log line without a configuration")?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    Ok(values.next().context("empty configuration")??)
}

#[test]
fn every_option_reaches_traefik() {
    let options = options();
    assert!(options.len() > 300, "{}", options.len());
    let options_for_fleet = FleetOptions { traefik_log_level: Some("DEBUG"), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options_for_fleet).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut spec = fleet.ping_as("ping", "ping-1").unwrap();
    spec.labels = labels::of("ping", spec.address.port()).unwrap();
    for option in &options {
        spec.labels.push(option.label.clone());
        spec.labels.extend(companions(option));
    }
    spec.labels.push(("traefik.http.routers.ping.service".to_owned(), "ping".to_owned()));
    let instance = fleet.launch(spec).unwrap();
    eventually(SOON, || {
        let listed = fleet.hub.instances()?;
        let routing = listed.first().map(|entry| entry["routing"].clone()).unwrap_or_default();
        // Traefik reports routers on entry points that it does not have. It has the options nevertheless.
        let reason = routing["reason"].as_str().unwrap_or_default();
        ensure!(reason.starts_with("Traefik reports"), "{} is {routing}", instance.host());
        Ok(())
    })
    .unwrap();
    let api = fleet.traefik.api().get("rawdata").unwrap();
    let log = logged(&mut fleet).unwrap();

    let mut wrong = String::new();
    for option in &options {
        let (key, value) = &option.label;
        let is_below = |above: &str| {
            option.path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_hidden = HIDDEN.iter().any(|(above, _)| is_below(above));
        let found = match in_api(&option.place) {
            Some(place) => at(&api, &place),
            None => at(&log, &option.place),
        };
        match found {
            Some(found) if shows(option, found) && !is_hidden => {}
            Some(found) if shows(option, found) => {
                writeln!(wrong, "{key} is in HIDDEN, but Traefik shows it").unwrap();
            }
            _ if is_hidden => {}
            found => writeln!(wrong, "{key}={value}: expected {}, got {found:?}", option.expected).unwrap(),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
