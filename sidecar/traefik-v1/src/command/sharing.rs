//! Translation of a file. Anchors and merge keys can give a label to several services. If it becomes the same in all of
//! them, it is changed where it stands; otherwise each service gets labels of its own.

use std::collections::{BTreeMap, BTreeSet};

use traefik::{Diagnostic, Exposure};

use super::edit::{self, Changes, Edit, Pairs};
use super::input::{self, Label, LabelSet, Placement};
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
            outcome = Outcome { replaced: vec![None; set.labels.len()], ..Outcome::default() };
            outcome.fail(Diagnostic::new("", error));
        }
        if let Some(unknown) = set.unknown.as_ref().filter(|_| set.error.is_none()) {
            outcome.warnings.push(Diagnostic::new("", unknown));
        }
        outcomes.push(outcome);
    }
    warn_of_shared_services(&sets, &mut outcomes);
    let edits = loop {
        let changes = distribute(&sets, &mut outcomes);
        let edits = match edit::edits(text, &tree, &changes) {
            Ok(edits) => edits,
            Err((list, node, message)) => {
                let has =
                    |_, set: &LabelSet| set.own == Some(list) || set.nodes().any(|(label, _)| label == node);
                if fail(&sets, &mut outcomes, &message, has) {
                    continue;
                }
                return Err(UNCHANGEABLE.to_owned());
            }
        };
        if edits.windows(2).any(|pair| pair[0].0.end > pair[1].0.start) {
            return Err(UNCHANGEABLE.to_owned());
        }
        let wrong = find_wrong(&edit::apply(text, 0, &edits), &sets, &outcomes, &mut variables)?;
        if wrong.is_empty() {
            break edits;
        }
        let shares = |set: &LabelSet| {
            wrong.iter().any(|wrong| sets[*wrong].sources.iter().any(|source| set.sources.contains(source)))
        };
        let is_found = fail(&sets, &mut outcomes, UNCHANGEABLE, |number, _| wrong.contains(&number))
            || fail(&sets, &mut outcomes, UNCHANGEABLE, |_, set| shares(set));
        if !is_found {
            return Err(UNCHANGEABLE.to_owned());
        }
    };
    for (set, outcome) in sets.iter().zip(&outcomes) {
        let place = set.place();
        report.add("error", &place, &outcome.errors);
        report.add("warning", &place, &outcome.warnings);
        report.add("note", &place, &outcome.notes);
    }
    Ok(edits)
}

/// Leaves the affected sets unchanged, with an error. Returns `false` if no affected set has changes.
fn fail(
    sets: &[LabelSet],
    outcomes: &mut [Outcome],
    message: &str,
    is_affected: impl Fn(usize, &LabelSet) -> bool,
) -> bool {
    let mut is_any = false;
    for (number, (set, outcome)) in sets.iter().zip(outcomes).enumerate() {
        if outcome.is_changed() && is_affected(number, set) {
            outcome.fail(Diagnostic::new("", message));
            is_any = true;
        }
    }
    is_any
}

/// Decides which text changes to which labels.
fn distribute(sets: &[LabelSet], outcomes: &mut [Outcome]) -> Changes {
    let mut users: BTreeMap<NodeId, Vec<(usize, usize)>> = BTreeMap::new();
    for (number, set) in sets.iter().enumerate() {
        for (node, position) in set.nodes() {
            users.entry(node).or_default().push((number, position));
        }
    }
    let is_overridden =
        |node: NodeId, (set, position): (usize, usize)| sets[set].labels[position].node != node;
    // If a set overrides a label and its own label goes, the overridden one must go, too.
    let wanted = |node: NodeId, user: (usize, usize), outcomes: &[Outcome]| {
        let pairs = outcomes[user.0].replaced[user.1].clone();
        if is_overridden(node, user) { pairs.map(|_| Pairs::new()) } else { pairs }
    };
    let is_equal = |node: NodeId, users: &[(usize, usize)], outcomes: &[Outcome]| {
        let mut results = users.iter().map(|user| wanted(node, *user, outcomes));
        let first = results.next();
        results.all(|result| Some(result) == first)
    };
    // A service that fails leaves shared labels as they are, which can make others fail.
    loop {
        let mut stuck = BTreeSet::new();
        for (node, users) in users.iter().filter(|(node, users)| !is_equal(**node, users, outcomes)) {
            let stays = users.iter().any(|user| wanted(*node, *user, outcomes).is_none());
            stuck.extend(users.iter().filter_map(|user| {
                let pairs = wanted(*node, *user, outcomes)?;
                let is_stuck = stays && is_overridden(*node, *user)
                    || sets[user.0].own.is_none() && (stays || !pairs.is_empty());
                is_stuck.then_some(user.0)
            }));
        }
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
        let replaced = |user: &(usize, usize)| wanted(node, *user, outcomes);
        if is_equal(node, &users, outcomes) {
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

/// Reads the new text and returns the sets whose labels are not the intended ones.
fn find_wrong(
    text: &str,
    sets: &[LabelSet],
    outcomes: &[Outcome],
    variables: &mut Variables,
) -> Result<Vec<usize>, String> {
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
        if repeated(&new.labels) > repeated(&set.labels) {
            return false;
        }
        let new: BTreeMap<_, _> =
            new.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect();
        let is_known = |(key, value): (&String, &String)| {
            expected.get(key) == Some(value) || old.get(key) == Some(value)
        };
        new.iter().all(is_known) && expected.iter().all(|(key, value)| new.get(key) == Some(value))
    };
    if new.len() != sets.len() {
        return Err(UNCHANGEABLE.to_owned());
    }
    let pairs = new.iter().zip(sets.iter().zip(outcomes)).enumerate();
    Ok(pairs.filter(|(_, (new, old))| !is_right(new, *old)).map(|(number, _)| number).collect())
}

/// Number of labels whose keys another label has, too.
fn repeated(labels: &[Label]) -> usize {
    let keys: BTreeSet<_> = labels.iter().map(|label| label.key.to_ascii_lowercase()).collect();
    labels.len() - keys.len()
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
