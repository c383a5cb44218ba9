//! Translation of a file. Anchors and merge keys can give a label to several services. If it becomes the same in all of
//! them, it is changed where it stands; otherwise each service gets labels of its own.

use std::collections::{BTreeMap, BTreeSet};

use traefik::{Diagnostic, Exposure};

use super::edit::{self, Changes, Edit, Pairs};
use super::input::{self, LabelSet, Placement};
use super::report::Report;
use super::translate::{self, Outcome};
use super::yaml::{NodeId, Tree};
use crate::variables::Variables;

const UNCHANGEABLE: &str = "the labels cannot be changed in the text of this file; please report it as a bug";

/// Names of services in Swarm.
pub(crate) struct Naming<'a> {
    pub(crate) stack: Option<&'a str>,
    /// Name of the service whose labels are not in a stack file.
    pub(crate) service: &'a str,
}

impl Naming<'_> {
    fn full_name(&self, set: &LabelSet) -> String {
        match (set.placement, self.stack) {
            (Placement::Bare, _) => self.service.to_owned(),
            (_, None) => set.service.clone(),
            (_, Some(stack)) => format!("{stack}_{}", set.service),
        }
    }
}

/// Returns the edits that translate all labels in `text`.
pub(crate) fn translate(
    text: &str,
    naming: &Naming<'_>,
    exposure: &Exposure,
    report: &mut Report,
) -> Result<Vec<Edit>, String> {
    let tree = Tree::parse_lines(text).map_or_else(|| Tree::parse(text), Ok)?;
    let mut variables = Variables::default();
    let sets = input::find(&tree, &mut variables)?;
    let mut outcomes = Vec::new();
    for set in &sets {
        let mut outcome = translate::translate(set, &naming.full_name(set), exposure, &variables);
        if let Some(error) = &set.error {
            outcome.errors.push(Diagnostic::new("", error));
        }
        if let Some(unknown) = set.unknown.as_ref().filter(|_| set.error.is_none()) {
            outcome.warnings.push(Diagnostic::new("", unknown));
        }
        outcomes.push(outcome);
    }
    warn_of_shared_services(&sets, &mut outcomes);
    let edits = loop {
        let changes = distribute(&sets, &mut outcomes);
        let (list, node, message) = match edit::edits(text, &tree, &changes) {
            Ok(edits) => break edits,
            Err(obstacle) => obstacle,
        };
        let has = |set: &LabelSet| set.own == Some(list) || set.labels.iter().any(|label| label.node == node);
        let affected =
            sets.iter().zip(&mut outcomes).filter(|(set, outcome)| has(set) && outcome.is_changed());
        affected.for_each(|(_, outcome)| outcome.fail(Diagnostic::new("", &message)));
    };
    if edits.windows(2).any(|pair| pair[0].0.end > pair[1].0.start) {
        return Err(UNCHANGEABLE.to_owned());
    }
    verify(&edit::apply(text, 0, &edits), &sets, &outcomes, &mut variables)?;
    for (set, outcome) in sets.iter().zip(&outcomes) {
        let place = set.place();
        report.add("error", &place, &outcome.errors);
        report.add("warning", &place, &outcome.warnings);
        report.add("note", &place, &outcome.notes);
    }
    Ok(edits)
}

/// Decides which text changes to which labels.
fn distribute(sets: &[LabelSet], outcomes: &mut [Outcome]) -> Changes {
    let mut users: BTreeMap<NodeId, Vec<(usize, usize)>> = BTreeMap::new();
    for (number, set) in sets.iter().enumerate() {
        for (position, label) in set.labels.iter().enumerate() {
            users.entry(label.node).or_default().push((number, position));
        }
    }
    let is_equal = |users: &[(usize, usize)], outcomes: &[Outcome]| {
        let mut results = users.iter().map(|(set, position)| &outcomes[*set].replaced[*position]);
        let first = results.next();
        results.all(|result| Some(result) == first)
    };
    // A service that fails leaves shared labels as they are, which can make others fail.
    loop {
        let shared = users.values().filter(|users| !is_equal(users, outcomes)).flatten();
        let stuck = shared.filter(|(set, position)| {
            outcomes[*set].replaced[*position].is_some() && sets[*set].own.is_none()
        });
        let stuck: BTreeSet<usize> = stuck.map(|(set, _)| *set).collect();
        if stuck.is_empty() {
            break;
        }
        for set in stuck {
            let message = "other services have these labels through an anchor or a merge, and would need other new labels; \
                           give each service labels of its own";
            outcomes[set].fail(Diagnostic::new("", message));
        }
    }
    let mut changes = Changes::default();
    for (node, users) in users {
        let replaced = |(set, position): &(usize, usize)| outcomes[*set].replaced[*position].clone();
        if is_equal(&users, outcomes) {
            if let Some(pairs) = users.first().and_then(replaced) {
                changes.replaced.insert(node, pairs);
            }
            continue;
        }
        if users.iter().all(|user| replaced(user).is_some()) {
            changes.replaced.insert(node, Pairs::new());
        }
        for user in &users {
            if let Some((own, pairs)) = sets[user.0].own.zip(replaced(user)) {
                changes.added.entry(own).or_default().extend(pairs);
            }
        }
    }
    changes
}

/// Reads the new text and checks that its labels are the intended ones.
fn verify(
    text: &str,
    sets: &[LabelSet],
    outcomes: &[Outcome],
    variables: &mut Variables,
) -> Result<(), String> {
    let tree = Tree::parse_lines(text).map_or_else(|| Tree::parse(text), Ok)?;
    let new = input::find(&tree, variables)?;
    let mut is_right = |new: &LabelSet, (set, outcome): (&LabelSet, &Outcome)| {
        let mut hide = |text: &str| match set.placement {
            Placement::Bare => text.to_owned(),
            _ => variables.hide(text),
        };
        let old: BTreeMap<_, _> =
            set.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect();
        let mut expected = BTreeMap::new();
        for (label, replaced) in set.labels.iter().zip(&outcome.replaced) {
            match replaced {
                None => expected.extend([(label.key.clone(), label.value.clone())]),
                Some(pairs) => expected.extend(pairs.iter().map(|(key, value)| (hide(key), hide(value)))),
            }
        }
        let new: BTreeMap<_, _> =
            new.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect();
        let is_known = |(key, value): (&String, &String)| {
            expected.get(key) == Some(value) || old.get(key) == Some(value)
        };
        new.iter().all(is_known) && expected.iter().all(|(key, value)| new.get(key) == Some(value))
    };
    let mut pairs = new.iter().zip(sets.iter().zip(outcomes));
    if new.len() == sets.len() && pairs.all(|(new, old)| is_right(new, old)) {
        return Ok(());
    }
    Err(UNCHANGEABLE.to_owned())
}

/// Warns of services that several sets define with different options, as `traefik.backend` may do.
fn warn_of_shared_services(sets: &[LabelSet], outcomes: &mut [Outcome]) {
    let options = |outcome: &Outcome| {
        let mut services: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
        for (key, value) in &outcome.labels.0 {
            let lower = key.to_ascii_lowercase();
            let Some((name, option)) =
                lower.strip_prefix("traefik.http.services.").and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            let options = services.entry(name.to_owned()).or_default();
            if !option.starts_with("loadbalancer.server.") {
                options.insert((option.to_owned(), value.clone()));
            }
        }
        services
    };
    let mut first: BTreeMap<String, (usize, BTreeSet<(String, String)>)> = BTreeMap::new();
    for (number, outcome) in outcomes.iter_mut().enumerate().filter(|(_, outcome)| outcome.errors.is_empty())
    {
        for (name, options) in options(outcome) {
            let (other, known) = first.entry(name.clone()).or_insert_with(|| (number, options.clone()));
            if sets[*other].service != sets[number].service && *known != options {
                let message = format!(
                    "{} defines the service {name}, too, with other options; Traefik needs the same options in both, and \
                     the hub refuses the second",
                    sets[*other].service
                );
                outcome.warnings.push(Diagnostic::new(format!("traefik.http.services.{name}"), message));
            }
        }
    }
}
