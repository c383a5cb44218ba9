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

mod access;
mod backend;
mod frontend;
mod headers;
mod keys;
mod names;
mod redirect;
mod rule;
mod segment;
mod template;

use keys::Key;
use segment::Segment;

/// What comes of a service's labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// In the words of Traefik 3; what is not Traefik 1's is not among them.
    pub labels: Labels,
    /// What has no successor, or means something else there.
    pub warnings: Vec<Remark>,
    /// What cannot be read.
    pub faults: Vec<Remark>,
}

/// Something to be said of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// Its key, or several with `, ` between them.
    pub label: String,
    /// What is to be said, without the key.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.text)
    }
}

/// Whether the label is Traefik 1's, or was meant to be. `traefik.enable` and `traefik.docker.network` are common to all.
pub fn is_v1(key: &str) -> bool {
    keys::read(key).is_some()
}

/// Translates the labels of `service` that are Traefik 1's. `default_rule` is for what has none, in Traefik 3's words.
///
/// Labels of Traefik 2 and 3 win: where they make routers, those of Traefik 1 count for nothing.
pub fn translate(service: &str, labels: &Labels, default_rule: Option<&str>) -> Translation {
    let mut written = Written::default();
    let old: Vec<(&str, &str, Key)> =
        labels.0.iter().filter_map(|(key, value)| Some((&**key, &**value, keys::read(key)?))).collect();
    if old.is_empty() || is_disabled(labels) {
        return Translation::default();
    }
    if labels.0.keys().any(|key| is_router(key)) {
        let keys: Vec<_> = old.iter().map(|(key, ..)| *key).collect();
        written.warn(&keys.join(", "), "of no effect, as labels of Traefik 2 or 3 make routers");
        return written.finish();
    }
    let mut taken = BTreeSet::new();
    for segment in segment::read(old, &mut written) {
        segment.report(&mut written);
        let names = names::Names::new(service, &segment, &mut taken, &mut written);
        translate_segment(service, labels, &segment, &names, default_rule, &mut written);
    }
    written.finish()
}

fn translate_segment(
    service: &str,
    labels: &Labels,
    segment: &Segment<'_>,
    names: &names::Names,
    default_rule: Option<&str>,
    written: &mut Written,
) {
    let mut made = Written::default();
    let routed = frontend::translate(service, labels, segment, names, default_rule, &mut made);
    backend::translate(segment, names, &mut made);
    written.warnings.append(&mut made.warnings);
    written.faults.append(&mut made.faults);
    // Traefik 1 left such a container out. What is wrong with its labels is said nevertheless.
    if routed {
        written.labels.append(&mut made.labels);
    }
}

fn is_disabled(labels: &Labels) -> bool {
    let said = labels.0.iter().find(|(key, _)| key.eq_ignore_ascii_case("traefik.enable"));
    said.is_some_and(|(_, value)| segment::truth(value) == Some(false))
}

fn is_router(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["http", "tcp", "udp"].iter().any(|protocol| key.starts_with(&format!("traefik.{protocol}.routers.")))
}

/// What has been written so far.
#[derive(Debug, Default)]
struct Written {
    labels: BTreeMap<String, String>,
    warnings: Vec<Remark>,
    faults: Vec<Remark>,
}

impl Written {
    fn set(&mut self, path: impl fmt::Display, value: impl Into<String>) {
        self.labels.insert(format!("traefik.http.{path}"), value.into());
    }

    fn warn(&mut self, label: &str, text: impl Into<String>) {
        self.warnings.push(Remark { label: label.to_owned(), text: text.into() });
    }

    fn fault(&mut self, label: &str, text: impl Into<String>) {
        self.faults.push(Remark { label: label.to_owned(), text: text.into() });
    }

    fn finish(mut self) -> Translation {
        // What is said of the whole container is met once in each of its segments.
        for remarks in [&mut self.warnings, &mut self.faults] {
            remarks.sort();
            remarks.dedup();
        }
        Translation { labels: Labels(self.labels), warnings: self.warnings, faults: self.faults }
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
