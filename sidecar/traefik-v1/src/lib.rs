//! Labels of Traefik 1 as labels of Traefik 3: frontends become routers and middlewares, backends become services. The
//! command [`hub labels`](LabelsCommand) does it for stack files, [`read_config`] for the hub.
//!
//! The reference is Traefik 1.7: its code (provider/docker, provider/label, rules, server), and its documentation
//! (docs/configuration/backends/docker.md, docs/basics.md) where the code leaves a choice.
//!
//! The way of a label: [`keys`] recognises it; [`segment`] groups labels by segment (a port of a container);
//! [`router`], with [`rule`], [`middlewares`], [`redirect`] and [`headers`], and [`service`] translate a segment through
//! [`translator`]; [`names`] names the results. [`v2`] translates labels of Traefik 2, for the command only; [`variables`]
//! keeps what Compose replaces.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Labels;
use traefik::{Diagnostic, Exposure, LabelErrors, REDACTED, ServiceConfig, Translation, without_credentials};

mod command;
mod headers;
mod keys;
mod middlewares;
mod names;
mod pattern;
mod redirect;
mod router;
mod rule;
mod segment;
mod service;
mod translator;
mod v2;
mod variables;

pub use command::LabelsCommand;
use translator::Translator;

/// Whether `key` is a label of Traefik 1, possibly misspelt. `traefik.enable` and `traefik.docker.network` belong to all
/// versions and do not count.
pub fn is_v1(key: &str) -> bool {
    keys::parse(key).is_some()
}

/// Reads the labels of `service` as [`ServiceConfig::read`] does, and also those of Traefik 1. Where both versions set an
/// option, the label of Traefik 3 wins.
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

/// Translates the labels of `service` that belong to Traefik 1. `default_rule` is a rule of Traefik 3, for frontends
/// without a rule. If other labels define routers for Traefik 2 or 3, those of Traefik 1 have no effect.
pub fn translate(service: &str, labels: &Labels, default_rule: Option<&str>) -> Translation {
    translate_with_origins(service, labels, default_rule).0
}

/// Does the same, and returns for each new key the old key from which it comes.
fn translate_with_origins(
    service: &str,
    labels: &Labels,
    default_rule: Option<&str>,
) -> (Translation, BTreeMap<String, String>) {
    let (mut translation, mut origins) = (Translation::default(), BTreeMap::new());
    let old: Vec<_> = labels
        .0
        .iter()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str(), keys::parse(key)?)))
        .collect();
    if old.is_empty() || is_disabled(labels) {
        return (translation, origins);
    }
    if labels.0.keys().any(|key| is_router(key)) {
        let keys: Vec<_> = old.iter().map(|(key, ..)| *key).collect();
        let message = "no effect, because other labels define routers for Traefik 2 or 3";
        translation.warnings.push(Diagnostic::new(keys.join(", "), message));
        return (translation, origins);
    }
    let mut taken = BTreeSet::new();
    for segment in segment::group(old, &mut translation) {
        let names = names::Names::new(service, &segment, &mut taken, &mut translation);
        let mut translator = Translator::new(&segment, &names);
        translator.check_labels();
        let is_routed = router::translate(&mut translator, service, labels, default_rule);
        service::translate(&mut translator);
        let mut output = translator.output;
        origins.append(&mut translator.origins);
        translation.warnings.append(&mut output.warnings);
        translation.errors.append(&mut output.errors);
        // Traefik 1 ignored a container without a rule. The diagnostics still help.
        if is_routed {
            translation.labels.0.append(&mut output.labels.0);
        }
    }
    // A diagnostic about a label of the whole container occurs once in each segment.
    for diagnostics in [&mut translation.warnings, &mut translation.errors] {
        diagnostics.sort();
        diagnostics.dedup();
    }
    (translation, origins)
}

/// Options of Traefik 1 whose values only routers receive.
const SECRETS: [&str; 6] = [
    "backend.healthcheck.headers",
    "frontend.auth.basic",
    "frontend.auth.basic.users",
    "frontend.auth.digest.users",
    "frontend.auth.forward.tls.key",
    "frontend.headers.customRequestHeaders",
];

/// Returns the labels without the values that only routers may receive; `None` if there are no such values.
pub fn redact(labels: &Labels) -> Option<Labels> {
    let shown = |key: &str, value: &str| {
        let is_secret = match keys::parse(key) {
            Some(keys::Key::Known { property, .. }) => SECRETS.contains(&property.path),
            Some(keys::Key::Unknown(_)) => true,
            None => traefik::is_secret(key),
        };
        if is_secret { REDACTED.to_owned() } else { without_credentials(value).into_owned() }
    };
    let redacted = labels.0.iter().map(|(key, value)| (key.clone(), shown(key, value)));
    let redacted = Labels(redacted.collect());
    (redacted != *labels).then_some(redacted)
}

fn is_disabled(labels: &Labels) -> bool {
    let enable = labels.0.iter().find(|(key, _)| key.eq_ignore_ascii_case("traefik.enable"));
    enable.is_some_and(|(_, value)| parse::go_bool(value) == Some(false))
}

fn is_router(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["http", "tcp", "udp"].iter().any(|protocol| key.starts_with(&format!("traefik.{protocol}.routers.")))
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
