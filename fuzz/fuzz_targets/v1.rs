//! Labels of Traefik 1. The first line of the input is the name of a service; then come its labels, `KEY=VALUE`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use fuzz::known::Known;
use protocol::Labels;
use traefik::{Document, Exposure, Plan, render, v1};

static KNOWN: LazyLock<Known> =
    LazyLock::new(|| Known::read(include_str!("../../sidecar/traefik/src/fields.txt")));

fuzz_target!(|text: &str| {
    let (service, lines) = text.split_once('\n').unwrap_or((text, ""));
    let labels = lines.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| v1::is_v1(key));
    let labels = Labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    let translation = v1::translate(service, &labels, None);
    for remark in translation.faults.iter().chain(&translation.warnings) {
        let is_there = remark.label.split(", ").any(|label| labels.0.contains_key(label));
        // A rule that is not there is one of which something is to be said.
        assert!(is_there || remark.label.ends_with("frontend.rule"), "{remark}");
    }
    for (key, value) in &translation.labels.0 {
        assert!(!v1::is_v1(key), "{key}");
        if key.starts_with("traefik.http.routers.") && key.ends_with(".rule") {
            well_formed(value);
        }
    }
    match Plan::read(service, &labels, &Exposure::default()) {
        Ok(plan) => {
            assert!(translation.faults.is_empty(), "{:?}", translation.faults);
            let mut document = Document::default();
            render(&mut document, &plan, &[]);
            KNOWN.check(&serde_json::from_str::<Value>(&document.to_json()).expect("a document is JSON"));
        }
        Err(fault) => assert!(!translation.faults.is_empty(), "{fault}"),
    }
});

/// Outside of backticks there is nothing but matchers, and what joins them.
fn well_formed(rule: &str) {
    let parts: Vec<_> = rule.split('`').collect();
    assert!(parts.len() % 2 == 1, "{rule}");
    for outside in parts.iter().step_by(2) {
        let rest = outside.trim_matches(|c: char| "()|&, ".contains(c));
        assert!(rest.chars().all(|c| c.is_ascii_alphabetic()), "{rule}");
    }
}
