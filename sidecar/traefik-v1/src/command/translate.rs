//! Translation of a set of labels.

use std::collections::BTreeMap;

use protocol::Labels;
use traefik::{Diagnostic, Exposure, ServiceConfig, Translation};

use super::edit::Pairs;
use super::input::{Label, LabelSet, Placement};
use crate::variables::{Variables, is_open};
use crate::{is_v1, v2};

/// The translation of a set of labels.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// For each label of the set: the labels that replace it, or `None` if it stays.
    pub(crate) replaced: Vec<Option<Pairs>>,
    /// All labels of Traefik 3, with placeholders for variables.
    pub(crate) labels: Labels,
    pub(crate) notes: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) errors: Vec<Diagnostic>,
}

impl Outcome {
    pub(crate) fn is_changed(&self) -> bool {
        self.replaced.iter().any(Option::is_some)
    }

    /// Adds an error. The labels stay as they are.
    pub(crate) fn fail(&mut self, error: Diagnostic) {
        self.errors.push(error);
        self.replaced.fill(None);
    }
}

/// Translates the labels of a service to Traefik 3. Nothing is replaced if there is an error.
pub(crate) fn translate(
    set: &LabelSet,
    service: &str,
    exposure: &Exposure,
    variables: &Variables,
) -> Outcome {
    let all = Labels(set.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect());
    let default_rule = exposure.rule_for(service, &all);
    let (mut v1, origins) = crate::translate_with_origins(service, &all, default_rule.as_deref());
    drop_unknown_priorities(&mut v1, &all);
    let newer =
        Labels(all.0.iter().filter(|(key, _)| !is_v1(key)).map(|(k, v)| (k.clone(), v.clone())).collect());
    let mut v2 = v2::translate(&newer, set.placement == Placement::DeployLabels);

    let mut outcome =
        Outcome { notes: v2.notes, warnings: v1.warnings, errors: v1.errors, ..Outcome::default() };
    outcome.warnings.append(&mut v2.warnings);
    outcome.errors.append(&mut v2.errors);
    let first = set.labels.iter().position(|label| is_v1(&label.key));
    let position = |key: &str| set.labels.iter().rposition(|label| label.key == key);
    outcome.replaced = set.labels.iter().map(|label| v2.replaced.get(&label.key).cloned()).collect();
    // Without a router, Traefik 1 ignored the labels, and so does Traefik 3.
    if let Some(first) = first.filter(|_| !v1.labels.0.is_empty()) {
        for (label, replaced) in set.labels.iter().zip(&mut outcome.replaced) {
            if is_v1(&label.key) {
                *replaced = Some(Pairs::new());
            }
        }
        for (key, value) in &v1.labels.0 {
            let at = origins.get(key).and_then(|origin| position(origin)).unwrap_or(first);
            let pairs = outcome.replaced[at].get_or_insert_default();
            pairs.push((key.clone(), value.clone()));
        }
    }
    drop_repeated(&set.labels, &mut outcome);
    for (label, replaced) in set.labels.iter().zip(&outcome.replaced) {
        let unchanged = || vec![(label.key.clone(), label.value.clone())];
        let new = replaced.clone().unwrap_or_else(unchanged);
        outcome.labels.0.extend(new.into_iter().filter(|(key, _)| !is_v1(key)));
    }
    check(service, exposure, default_rule.as_deref(), &all, &mut outcome);
    let is_in_map = set.labels.iter().any(|label| label.value_node.is_some());
    if is_in_map && let Some(key) = outcome.labels.0.keys().find(|key| is_open(key)) {
        let message = "Compose does not replace variables in the keys of a map; write these labels as a list of KEY=VALUE";
        let is_old = set.labels.iter().any(|label| label.key == *key);
        let diagnostics = if is_old { &mut outcome.warnings } else { &mut outcome.errors };
        diagnostics.push(Diagnostic::new(key, message));
    }
    let restore = |diagnostic: &mut Diagnostic| {
        diagnostic.label = variables.restore(&diagnostic.label);
        diagnostic.message = variables.restore(&diagnostic.message);
    };
    outcome.notes.iter_mut().chain(&mut outcome.warnings).chain(&mut outcome.errors).for_each(restore);
    if !outcome.errors.is_empty() {
        outcome.replaced.fill(None);
    }
    if set.placement != Placement::Bare {
        for (key, value) in outcome.replaced.iter_mut().flatten().flatten() {
            (*key, *value) = (variables.to_stack_file(key), variables.to_stack_file(value));
        }
    }
    outcome
}

/// Checks the labels of Traefik 3 as the hub does. What a variable decides cannot be checked.
fn check(
    service: &str,
    exposure: &Exposure,
    default_rule: Option<&str>,
    all: &Labels,
    outcome: &mut Outcome,
) {
    let translation = Translation { labels: outcome.labels.clone(), ..Translation::default() };
    let is_known = |diagnostic: &Diagnostic| {
        let label = outcome.labels.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(&diagnostic.label));
        !label.is_some_and(|(_, value)| is_open(value))
    };
    let warnings = match ServiceConfig::from_translation(service, all, translation, default_rule, exposure) {
        Ok(config) => config.warnings().to_vec(),
        Err(invalid) => {
            let errors: Vec<_> = invalid.0.into_iter().filter(is_known).collect();
            outcome.errors.extend(errors);
            return;
        }
    };
    let warnings: Vec<_> = warnings.into_iter().filter(is_known).collect();
    outcome.warnings.extend(warnings);
}

/// Removes new labels whose keys others have already: those that stay, or earlier new ones.
fn drop_repeated(labels: &[Label], outcome: &mut Outcome) {
    let Outcome { replaced, warnings, .. } = outcome;
    let staying = labels.iter().zip(&*replaced).filter(|(_, replaced)| replaced.is_none());
    let staying = staying.map(|(label, _)| (label.key.to_ascii_lowercase(), label.value.clone()));
    let mut known: BTreeMap<String, String> = staying.collect();
    for (label, pairs) in
        labels.iter().zip(replaced).filter_map(|(label, pairs)| Some((label, pairs.as_mut()?)))
    {
        pairs.retain(|(key, value)| {
            let first = known.get(&key.to_ascii_lowercase());
            if first.is_some_and(|first| first != value) {
                warnings.push(Diagnostic::new(
                    &label.key,
                    format!("no effect, because another label sets {key}"),
                ));
            }
            let is_new = first.is_none();
            if is_new {
                known.insert(key.to_ascii_lowercase(), value.clone());
            }
            is_new
        });
    }
}

/// Removes the priorities of rules that contain variables: the length of the old rule is unknown.
fn drop_unknown_priorities(translation: &mut Translation, old: &Labels) {
    let is_open_rule = |key: &str, value: &str| {
        key.to_ascii_lowercase().ends_with("frontend.rule") && is_v1(key) && is_open(value)
    };
    let open: Vec<&str> =
        old.0.iter().filter(|(key, value)| is_open_rule(key, value)).map(|(key, _)| key.as_str()).collect();
    if open.is_empty() || old.0.keys().any(|key| key.to_ascii_lowercase().ends_with("frontend.priority")) {
        return;
    }
    let rules = translation.labels.0.iter().filter(|(_, value)| is_open(value));
    let routers = rules.filter_map(|(key, _)| key.strip_suffix(".rule"));
    let priorities: Vec<String> = routers.map(|router| format!("{router}.priority")).collect();
    translation.labels.0.retain(|key, _| !priorities.contains(key));
    translation.warnings.push(Diagnostic::new(open.join(", "), v2::NO_PRIORITY));
}
