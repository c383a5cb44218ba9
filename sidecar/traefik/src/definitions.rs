//! Checks of several options of one middleware, service, transport or set of TLS options that Traefik could not build.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, ENOUGH};
use crate::document::API_ENTRY_POINT;
use crate::tree::Tree;

/// Options that a type of middleware needs.
const REQUIRED: [(&str, &str); 11] = [
    ("addprefix", "prefix"),
    ("basicauth", "users"),
    ("circuitbreaker", "expression"),
    ("errors", "service"),
    ("forwardauth", "address"),
    ("inflightreq", "amount"),
    ("inflightconn", "amount"),
    ("ipallowlist", "sourcerange"),
    ("ipwhitelist", "sourcerange"),
    ("redirectscheme", "scheme"),
    ("retry", "attempts"),
];

/// Options that exclude each other: place in the middleware, first option, second option.
const EXCLUSIVE: [(&[&str], &str, &str); 4] = [
    (&["compress"], "excludedcontenttypes", "includedcontenttypes"),
    (&["sourcecriterion"], "ipstrategy", "requestheadername"),
    (&["sourcecriterion"], "ipstrategy", "requesthost"),
    (&["sourcecriterion"], "requestheadername", "requesthost"),
];

/// Encodings of the compress middleware unless labels set others.
const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

const TLS_VERSIONS: [&str; 4] = ["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];

/// Options of a transport that configure TLS and conflict with SPIFFE.
const TRANSPORT_TLS: [&str; 7] = [
    "insecureskipverify",
    "rootcas",
    "servername",
    "certificates",
    "peercerturi",
    "ciphersuites",
    "minversion",
];

/// Returns an error for each definition in `tree` that Traefik could not build.
pub(crate) fn check(tree: &Tree) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for (protocol, kinds) in tree {
        for (kind, definitions) in kinds.as_object().into_iter().flatten() {
            for (name, definition) in definitions.as_object().into_iter().flatten() {
                let Some(definition) = definition.as_object() else { continue };
                if errors.len() >= ENOUGH {
                    return errors;
                }
                let mut report =
                    Report { label: format!("traefik.{protocol}.{kind}.{name}"), errors: &mut errors };
                match kind.as_str() {
                    "routers" if protocol == "tcp" => tcp_router(definition, &mut report),
                    "middlewares" => middleware(definition, &mut report),
                    "services" => service(definition, &mut report),
                    "serverstransports" => transport(definition, &mut report),
                    "options" => tls_options(definition, &mut report),
                    _ => {}
                }
            }
        }
    }
    errors
}

struct Report<'a> {
    label: String,
    errors: &'a mut Vec<Diagnostic>,
}

impl Report<'_> {
    /// Adds an error about the option at `path` below the definition.
    fn error(&mut self, path: &str, message: impl Into<String>) {
        let separator = if path.is_empty() { "" } else { "." };
        self.errors.push(Diagnostic::new(format!("{}{separator}{path}", self.label), message));
    }
}

/// On an entry point, Traefik asks TCP routers before HTTP routers. One on its own entry point would receive the requests of
/// the hub to its API.
fn tcp_router(definition: &Tree, report: &mut Report<'_>) {
    let entry_points = definition.get("entrypoints").and_then(Value::as_array);
    if entry_points.is_some_and(|names| names.iter().any(|name| name == API_ENTRY_POINT)) {
        let message = "TCP routers cannot use `traefik`, the entry point of Traefik's API; name another one";
        report.error("entrypoints", message);
    }
}

fn middleware(definition: &Tree, report: &mut Report<'_>) {
    // `compress=false` defines nothing.
    let types: Vec<(&String, &Value)> = definition.iter().filter(|(_, value)| *value != "false").collect();
    let (name, options) = match types.as_slice() {
        [] => return report.error("", "the middleware has no type; set an option below it, or remove it"),
        [(name, options)] => (name.as_str(), *options),
        [(first, _), (second, _), ..] => {
            let message = format!(
                "a middleware has one type, and this one is {first} and {second}; define two middlewares"
            );
            return report.error("", message);
        }
    };
    if let Some((_, option)) = REQUIRED.iter().find(|(kind, _)| *kind == name)
        && !is_set(options, option)
    {
        let message = format!("set {}.{name}.{option}, which {name} needs", report.label);
        report.error(name, message);
    }
    for (place, first, second) in EXCLUSIVE {
        let section = if place == [name] { Some(options) } else { options.get(place[0]) };
        if section.is_some_and(|section| is_set(section, first) && is_set(section, second)) {
            let path = if place == [name] { name.to_owned() } else { format!("{name}.{}", place[0]) };
            report.error(&path, format!("{first} and {second} exclude each other; remove one of them"));
        }
    }
    key_pair(options.get("tls").or_else(|| options.get("redis")?.get("tls")), "cert", "key", report);
    match name {
        "plugin" if options.as_object().is_none_or(|plugins| plugins.len() != 1) => {
            report.error(name, "a middleware has one plugin; define a middleware for each plugin");
        }
        "headers" if !options.as_object().is_some_and(has_headers) => {
            report.error(name, "the middleware changes no header; set one, or remove the middleware");
        }
        "retry" if is_set(options, "disableretryonnetworkerror") && !is_set(options, "status") => {
            let message = "the middleware never retries: disableretryonnetworkerror is set and status is not; set status";
            report.error(name, message);
        }
        "compress" => compress(options, report),
        _ => {}
    }
}

/// Whether the headers middleware has an option that is not off.
fn has_headers(options: &Tree) -> bool {
    options.iter().any(|(name, value)| match name.as_str() {
        // These count with any value.
        "stsseconds" | "accesscontrolmaxage" => true,
        _ => is_on(value),
    })
}

fn compress(options: &Value, report: &mut Report<'_>) {
    let Some(encodings) = options.get("encodings").map(|list| list.as_array().map_or(&[][..], Vec::as_slice))
    else {
        return;
    };
    let names: Vec<&str> = encodings.iter().filter_map(Value::as_str).collect();
    if names.is_empty() {
        report.error("compress.encodings", format!("expected one of {}", ENCODINGS.join(", ")));
    } else if let Some(default) = options.get("defaultencoding").and_then(Value::as_str)
        && !default.is_empty()
        && !names.contains(&default)
    {
        report.error(
            "compress.defaultencoding",
            format!("{default:?} is not among the encodings {}; add it there", names.join(", ")),
        );
    }
}

fn service(definition: &Tree, report: &mut Report<'_>) {
    if definition.contains_key("loadbalancer") && definition.contains_key("weighted") {
        report.error("", "a service is either loadbalancer or weighted; remove the labels of one");
    }
    let targets = definition.get("weighted").and_then(|weighted| weighted.get("services"));
    let mut targets = targets.and_then(Value::as_array).into_iter().flatten();
    if targets.any(|target| !is_set(target, "name")) {
        report.error("weighted.services", "a service has no name; set the name of each");
    }
}

fn transport(definition: &Tree, report: &mut Report<'_>) {
    let options = definition.get("tls").and_then(Value::as_object).unwrap_or(definition);
    let is_spiffe = options.get("spiffe").is_some_and(|spiffe| spiffe != "false");
    if is_spiffe
        && let Some(option) = TRANSPORT_TLS.iter().find(|option| options.get(**option).is_some_and(is_on))
    {
        report.error("", format!("spiffe and {option} exclude each other; remove one of them"));
    }
    for certificate in options.get("certificates").and_then(Value::as_array).into_iter().flatten() {
        key_pair(Some(certificate), "certfile", "keyfile", report);
    }
    versions(options, report);
    if is_set_in(options, "minversion") && !is_set_in(options, "maxversion") {
        report.error("minversion", "Traefik ignores minversion without maxversion; set maxversion");
    }
}

fn tls_options(definition: &Tree, report: &mut Report<'_>) {
    versions(definition, report);
    let auth = definition.get("clientauth");
    let kind = auth.and_then(|auth| auth.get("clientauthtype")).and_then(Value::as_str).unwrap_or_default();
    let needs_authority = matches!(kind, "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert");
    if needs_authority && !auth.is_some_and(|auth| is_set(auth, "cafiles")) {
        report.error("clientauth.clientauthtype", format!("{kind} needs clientauth.cafiles; set it"));
    }
}

fn versions(options: &Tree, report: &mut Report<'_>) {
    let rank = |option: &str| {
        let version = options.get(option)?.as_str()?;
        TLS_VERSIONS.iter().position(|known| *known == version)
    };
    if let (Some(min), Some(max)) = (rank("minversion"), rank("maxversion"))
        && min > max
    {
        report.error("minversion", "minversion is above maxversion");
    }
}

/// Checks that a certificate and its key are set together.
fn key_pair(section: Option<&Value>, certificate: &str, key: &str, report: &mut Report<'_>) {
    let Some(section) = section else { return };
    if is_set(section, certificate) != is_set(section, key) {
        report.error("", format!("set both {certificate} and {key}, or neither"));
    }
}

fn is_set(section: &Value, option: &str) -> bool {
    section.get(option).is_some_and(is_on)
}

fn is_set_in(section: &Tree, option: &str) -> bool {
    section.get(option).is_some_and(is_on)
}

/// Whether a value is neither empty nor false.
fn is_on(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && parse::go_bool(text) != Some(false),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
        _ => false,
    }
}

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;
