//! Traefik 1's labels, translated to those of Traefik 3: frontends become routers and middlewares, backends services.
//!
//! What 1.7 does counts, as its code has it (provider/docker, provider/label, rules, server), and where that is silent
//! its documentation (docs/configuration/backends/docker.md, docs/basics.md).
//!
//! - [`keys`]: which labels are Traefik 1's, and what it calls them;
//! - [`segment`]: what is said of one of a container's ports, with what is said of them all;
//! - [`rule`]: `Host:a,b;PathPrefixStrip:/c`, with [`template`] for the expressions in it;
//! - [`frontend`], with [`access`] (who may come in), [`redirect`] and [`headers`]; [`backend`]: what comes of it;
//! - [`names`]: what that is called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::Labels;
use traefik::{Diagnostic, Exposure, LabelErrors, ServiceConfig, Translation};

mod access;
mod backend;
mod command;
mod frontend;
mod headers;
mod keys;
mod names;
mod redirect;
mod rule;
mod segment;
mod template;

pub use command::LabelsCommand;
use keys::Key;
use segment::Segment;

/// Whether the label is Traefik 1's, or was meant to be. `traefik.enable` and `traefik.docker.network` are common to all.
pub fn is_v1(key: &str) -> bool {
    keys::read(key).is_some()
}

/// Translates the labels of `service` that are Traefik 1's. `default_rule` is for what has none, in Traefik 3's words.
///
/// Labels of Traefik 2 and 3 win: where they make routers, those of Traefik 1 count for nothing.
pub fn translate(service: &str, labels: &Labels, default_rule: Option<&str>) -> Translation {
    let mut output = Output::default();
    let old: Vec<(&str, &str, Key)> =
        labels.0.iter().filter_map(|(key, value)| Some((&**key, &**value, keys::read(key)?))).collect();
    if old.is_empty() || is_disabled(labels) {
        return Translation::default();
    }
    if labels.0.keys().any(|key| is_router(key)) {
        let keys: Vec<_> = old.iter().map(|(key, ..)| *key).collect();
        output.warn(&keys.join(", "), "of no effect, as labels of Traefik 2 or 3 make routers");
        return output.finish();
    }
    let mut taken = BTreeSet::new();
    for segment in segment::read(old, &mut output) {
        segment.report(&mut output);
        let names = names::Names::new(service, &segment, &mut taken, &mut output);
        translate_segment(service, labels, &segment, &names, default_rule, &mut output);
    }
    output.finish()
}

/// Reads the labels of `service`, of Traefik 1 as well as of Traefik 3, as [`ServiceConfig::read`] does. Where both set
/// the same option, the label of Traefik 3 wins.
///
/// # Errors
/// Every error found in the labels.
pub fn read_config(
    service: &str,
    labels: &Labels,
    exposure: &Exposure,
) -> Result<ServiceConfig, LabelErrors> {
    let default_rule = exposure.rule_for(service, labels);
    let mut translation = translate(service, labels, default_rule.as_deref());
    let others = labels.0.iter().filter(|(key, _)| !is_v1(key));
    translation.labels.0.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    ServiceConfig::from_translation(service, labels, translation, default_rule.as_deref(), exposure)
}

fn translate_segment(
    service: &str,
    labels: &Labels,
    segment: &Segment<'_>,
    names: &names::Names,
    default_rule: Option<&str>,
    output: &mut Output,
) {
    let mut made = Output::default();
    let routed = frontend::translate(service, labels, segment, names, default_rule, &mut made);
    backend::translate(segment, names, &mut made);
    output.warnings.append(&mut made.warnings);
    output.errors.append(&mut made.errors);
    // Traefik 1 left such a container out. What is wrong with its labels is said nevertheless.
    if routed {
        output.labels.append(&mut made.labels);
    }
}

fn is_disabled(labels: &Labels) -> bool {
    let said = labels.0.iter().find(|(key, _)| key.eq_ignore_ascii_case("traefik.enable"));
    said.is_some_and(|(_, value)| parse::go_bool(value) == Some(false))
}

fn is_router(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["http", "tcp", "udp"].iter().any(|protocol| key.starts_with(&format!("traefik.{protocol}.routers.")))
}

/// What has been output so far.
#[derive(Debug, Default)]
struct Output {
    labels: BTreeMap<String, String>,
    warnings: Vec<Diagnostic>,
    errors: Vec<Diagnostic>,
}

impl Output {
    fn set(&mut self, path: impl fmt::Display, value: impl Into<String>) {
        self.labels.insert(format!("traefik.http.{path}"), value.into());
    }

    fn warn(&mut self, label: &str, text: impl Into<String>) {
        self.warnings.push(Diagnostic::new(label, text));
    }

    fn error(&mut self, label: &str, text: impl Into<String>) {
        self.errors.push(Diagnostic::new(label, text));
    }

    fn finish(mut self) -> Translation {
        // What is said of the whole container is met once in each of its segments.
        for remarks in [&mut self.warnings, &mut self.errors] {
            remarks.sort();
            remarks.dedup();
        }
        Translation { labels: Labels(self.labels), warnings: self.warnings, errors: self.errors }
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
