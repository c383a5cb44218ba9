//! Every option of Traefik's, through label, hub and Traefik, to where Traefik shows it: its documented reference of labels
//! is among them, which `cargo xtask fields` sees to.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Fleet, FleetOptions, eventually};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(1);

/// What Traefik shows nowhere, with all below it, and why. That it takes them is proven all the same: it rejects a document
/// for one option that it does not know.
const HIDDEN: [(&str, &str); 10] = [
    ("enable", "it is for the hub"),
    ("docker", "it is for whoever looks up addresses"),
    ("swarm", "it is for whoever looks up addresses"),
    ("http.serverstransports.*.certificates", "the API has no transports, and the log no certificates"),
    ("http.serverstransports.*.rootcas", "the API has no transports, and the log no certificates"),
    ("tcp.serverstransports.*.tls.certificates", "the API has no transports, and the log no certificates"),
    ("tcp.serverstransports.*.tls.rootcas", "the API has no transports, and the log no certificates"),
    ("tls.certificates", "the API has only those that can be read, and the log none"),
    ("tls.options.*.clientauth.cafiles", "the API has no options of TLS, and the log no certificates"),
    ("tls.stores.*.defaultcertificate", "the API has no stores, and the log no certificates"),
];

/// These are on where nothing is said, so that only `false` shows that they were read.
const ON_ANYWAY: [&str; 3] = ["passhostheader", "followredirects", "mirrorbody"];

/// One line of the tree of fields, as a label, and what Traefik is to show.
struct Shown {
    /// As it is there.
    path: String,
    /// Key and value.
    label: (String, String),
    /// Where in Traefik's configuration: sections, names and fields, these in whatever case.
    place: Vec<String>,
    expected: Value,
}

fn options() -> Vec<Shown> {
    let fields = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sidecar/traefik/src/fields.txt");
    let fields = fs::read_to_string(fields).unwrap();
    let lines = fields.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let (path, kind) = line.split_once(' ').unwrap();
            option(number, path, kind)
        })
        .collect()
}

fn option(number: usize, path: &str, kind: &str) -> Shown {
    // The first name is the router's, service's or middleware's own, so that no line disturbs another.
    let named = path.replacen('*', &format!("N{number}"), 1);
    let key = named.replace(".**", ".Deep.er").replace('*', "Key").replace(".[n]", "[0]");
    let last = path.rsplit('.').next().unwrap_or_default();
    let unique = format!("{last}-{number}");
    let (value, expected) = match (last, kind) {
        _ if path.ends_with("server.url") => {
            (format!("http://10.0.0.1:{number}"), json!(format!("http://10.0.0.1:{number}")))
        }
        _ if path.ends_with("server.scheme") => ("h2c".to_owned(), json!("h2c://")),
        _ if path.ends_with("server.port") => (number.to_string(), json!(format!(":{number}"))),
        (last, "bool") if ON_ANYWAY.contains(&last) => ("false".to_owned(), json!(false)),
        (_, "bool") => ("true".to_owned(), json!(true)),
        // On, with whatever is in it then.
        (_, "switch") => ("true".to_owned(), json!({})),
        (_, "int") => (number.to_string(), json!(number)),
        (_, "duration") => (format!("{number}ms"), json!(format!("{number}ms"))),
        (_, "list") => (format!("{unique}, other"), json!([unique, "other"])),
        (_, "names") => (format!("{unique}@docker, o@file"), json!([format!("{unique}@http"), "o@file"])),
        (_, "name") => (format!("{unique}@swarm"), json!(format!("{unique}@http"))),
        _ => (unique.clone(), json!(unique)),
    };
    let place = named.replace(".**", ".Deep.er").replace('*', "Key").replace("[n]", "0");
    let place =
        place.replace(".server.port", ".servers.0.ADDRESS").replace(".server.scheme", ".servers.0.url");
    let place = place
        .replace(".server.", ".servers.0.")
        .replace("ADDRESS", if path.starts_with("http") { "url" } else { "address" });
    // A word is no less an option in capitals.
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

/// What else a router needs, for the hub to take it.
fn companions(option: &Shown) -> Vec<(String, String)> {
    let [protocol, kind, name, ..] = option.place.as_slice() else { return Vec::new() };
    if kind != "routers" {
        return Vec::new();
    }
    let last = option.place.last().map(String::as_str);
    // Each at a host of its own: of routers that share one, all have to say the same of TLS.
    let host = format!("Host(`{name}.lan`)");
    let rule = if protocol == "http" { host.as_str() } else { "HostSNI(`*`)" };
    let needed = [("rule", rule), ("service", "elsewhere")];
    let needed = needed
        .iter()
        .filter(|(field, _)| Some(*field) != last && (*field, protocol.as_str()) != ("rule", "udp"));
    needed
        .map(|(field, value)| (format!("traefik.{protocol}.routers.{name}.{field}"), (*value).to_owned()))
        .collect()
}

/// What stands at `place` in `tree`, where the names of fields may be in another case.
fn at<'a>(tree: &'a Value, place: &[String]) -> Option<&'a Value> {
    place.iter().try_fold(tree, |tree, step| match tree {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields
            .get(step)
            .or_else(|| Some(fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(step))?.1)),
        _ => None,
    })
}

/// Whether `found` shows `expected`, for what `option` says of it.
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

/// Where Traefik's API has what it calls `rawdata`, for the sections of its configuration.
fn in_api(place: &[String]) -> Option<Vec<String>> {
    let [protocol, kind, name, rest @ ..] = place else { return None };
    let section = match (protocol.as_str(), kind.as_str()) {
        (_, "serverstransports") | ("tls", _) => return None,
        ("http", kind) => kind.to_owned(),
        (protocol, kind) => format!("{protocol}{kind}"),
    };
    Some([&[section, format!("{name}@http")], rest].concat())
}

/// The last configuration that Traefik's log has.
fn logged(fleet: &mut Fleet) -> Result<Value> {
    let lines = fleet.traefik.process().log().lines();
    let line = lines
        .iter()
        .rev()
        .find(|line| line.contains("Configuration received") && line.contains("config={\"http\""));
    let line = line.context("Traefik has logged no configuration")?;
    let text = line.split_once("config=").map(|(_, config)| config).context("it has no configuration")?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    Ok(values.next().context("it is empty")??)
}

#[test]
fn every_option_arrives_where_traefik_shows_it() {
    let options = options();
    assert!(options.len() > 300, "{}", options.len());
    let options_for_fleet = FleetOptions { traefik_log_level: Some("DEBUG"), ..FleetOptions::default() };
    let mut fleet = Fleet::spawn(options_for_fleet).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    for option in &options {
        spec.labels.push(option.label.clone());
        spec.labels.extend(companions(option));
    }
    spec.labels.push(("traefik.http.routers.ping.service".to_owned(), "ping".to_owned()));
    let instance = fleet.launch(spec).unwrap();
    eventually(SOON, || {
        let listed = fleet.hub.instances()?;
        let routing = listed.first().map(|entry| entry["routing"].clone()).unwrap_or_default();
        ensure!(routing["state"] == "confirmed", "{} is {routing}", instance.host());
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
            Some(found) if shows(option, found) => writeln!(wrong, "{key} is shown, after all").unwrap(),
            _ if is_hidden => {}
            found => writeln!(wrong, "{key}={value} is shown as {found:?}, not {}", option.expected).unwrap(),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
