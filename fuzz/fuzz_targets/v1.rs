//! Labels of Traefik 1. The first line of the input is the name of a service; the other lines are its labels,
//! `KEY=VALUE`.
#![no_main]

use std::sync::LazyLock;

use fuzz::known::Known;
use libfuzzer_sys::fuzz_target;
use protocol::Labels;
use serde_json::Value;
use traefik::{Draft, Exposure};
use traefik_v1::{is_v1, read_config, translate};

static KNOWN: LazyLock<Known> =
    LazyLock::new(|| Known::read(include_str!("../../sidecar/traefik/src/fields.txt")));

fuzz_target!(|text: &str| {
    let (service, lines) = text.split_once('\n').unwrap_or((text, ""));
    let labels = lines.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| is_v1(key));
    let labels = Labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    let translation = translate(service, &labels, None);
    for diagnostic in translation.errors.iter().chain(&translation.warnings) {
        // A key may contain the separator of several labels.
        let label = &diagnostic.label;
        let is_there =
            labels.0.contains_key(label) || label.split(", ").any(|label| labels.0.contains_key(label));
        // A diagnostic may be about a missing rule.
        assert!(is_there || diagnostic.label.ends_with("frontend.rule"), "{diagnostic}");
    }
    for (key, value) in &translation.labels.0 {
        assert!(!is_v1(key), "{key}");
        if key.starts_with("traefik.http.routers.") && key.ends_with(".rule") {
            well_formed(value);
        }
    }
    match read_config(service, &labels, &Exposure::default()) {
        Ok(config) => {
            assert!(translation.errors.is_empty(), "{:?}", translation.errors);
            let mut document = Draft::default();
            document.add(&config, &[]);
            KNOWN.check(
                &serde_json::from_str::<Value>(&document.finish().to_json()).expect("the document is JSON"),
            );
        }
        // The checks of names, rules and values may refuse what can be translated.
        Err(error) => assert!(!error.0.is_empty()),
    }
});

/// Asserts that a rule has only matchers and operators outside of backticks.
fn well_formed(rule: &str) {
    let parts: Vec<_> = rule.split('`').collect();
    assert!(parts.len() % 2 == 1, "{rule}");
    for outside in parts.iter().step_by(2) {
        let rest = outside.trim_matches(|c: char| "()|&, ".contains(c));
        assert!(rest.chars().all(|c| c.is_ascii_alphabetic()), "{rule}");
    }
}
