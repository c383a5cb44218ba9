//! Translation of a set of labels.

use protocol::Labels;
use traefik::{Diagnostic, Exposure, ServiceConfig, Translation};

use super::input::{LabelSet, Placement};
use super::variables::Variables;

/// A translated set of labels.
#[derive(Clone, Debug)]
pub(crate) struct TranslatedSet {
    pub(crate) service: String,
    pub(crate) placement: Placement,
    /// All labels, including those that do not belong to Traefik. Empty if there are errors.
    pub(crate) labels: Labels,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Translates `set`. The service's full name is `STACK_NAME` in a stack file with `stack`, and `service` for bare labels.
pub(crate) fn translate(
    set: LabelSet,
    stack: Option<&str>,
    service: &str,
    exposure: &Exposure,
) -> TranslatedSet {
    let is_in_stack = set.placement != Placement::Bare;
    let full_name = match (is_in_stack, stack) {
        (false, _) => service.to_owned(),
        (true, None) => set.service.clone(),
        (true, Some(stack)) => format!("{stack}_{}", set.service),
    };
    let mut variables = Variables::default();
    let mut hide = |text: String| if is_in_stack { variables.hide(&text) } else { text };
    let hidden = Labels(set.labels.0.into_iter().map(|(key, value)| (key, hide(value))).collect());
    let default_rule = exposure.rule_for(&full_name, &hidden);
    let mut translation = crate::translate(&full_name, &hidden, default_rule.as_deref());
    drop_unknown_priorities(&mut translation, &hidden, &variables);

    let others = hidden.0.iter().filter(|(key, _)| !crate::is_v1(key));
    let mut labels = Labels(others.map(|(key, value)| (key.clone(), value.clone())).collect());
    labels.0.append(&mut translation.labels.0);
    let restore = |diagnostics: Vec<Diagnostic>| {
        let restored = diagnostics.into_iter().map(|diagnostic| {
            Diagnostic::new(variables.restore(&diagnostic.label), variables.restore(&diagnostic.message))
        });
        restored.collect::<Vec<_>>()
    };
    let mut errors = restore(translation.errors);
    let translated = Translation { labels: labels.clone(), ..Translation::default() };
    let config =
        ServiceConfig::from_translation(&full_name, &hidden, translated, default_rule.as_deref(), exposure);
    if let Err(invalid) = config {
        errors.extend(restore(invalid.0));
    }
    for key in labels.0.keys().filter(|key| variables.occur_in(key)) {
        let message = "a stack file cannot have variables in keys; remove the variable from traefik.backend or from the \
                       header's name";
        errors.push(Diagnostic::new(variables.restore(key), message));
    }
    if !errors.is_empty() {
        labels.0.clear();
    } else if is_in_stack {
        labels.0 = labels.0.into_iter().map(|(key, value)| (key, variables.to_stack_file(&value))).collect();
    }
    let warnings = restore(translation.warnings);
    TranslatedSet { service: set.service, placement: set.placement, labels, warnings, errors }
}

/// Removes the priorities of rules that contain variables: the length of the old rule is unknown.
fn drop_unknown_priorities(translation: &mut Translation, old: &Labels, variables: &Variables) {
    let is_open = |key: &str, value: &str| {
        key.to_ascii_lowercase().ends_with("frontend.rule") && crate::is_v1(key) && variables.occur_in(value)
    };
    let open: Vec<&str> =
        old.0.iter().filter(|(key, value)| is_open(key, value)).map(|(key, _)| key.as_str()).collect();
    if open.is_empty() || old.0.keys().any(|key| key.to_ascii_lowercase().ends_with("frontend.priority")) {
        return;
    }
    let rules = translation.labels.0.iter().filter(|(_, value)| variables.occur_in(value));
    let routers = rules.filter_map(|(key, _)| key.strip_suffix(".rule"));
    let priorities: Vec<String> = routers.map(|router| format!("{router}.priority")).collect();
    translation.labels.0.retain(|key, _| !priorities.contains(key));
    translation.warnings.push(Diagnostic::new(
        open.join(", "),
        "no priority, because a variable leaves the length of the rule open, which was its priority in Traefik 1; where \
         rules overlap, set the router's priority",
    ));
}
