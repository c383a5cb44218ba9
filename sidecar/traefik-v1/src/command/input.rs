//! The labels in a file, with their places in its text.

use std::collections::BTreeMap;

use super::yaml::{Kind, NodeId, Tree};
use crate::variables::Variables;

/// Labels at one place of a file.
#[derive(Debug)]
pub(crate) struct LabelSet {
    /// Name of the service in the stack file; empty for bare labels.
    pub(crate) service: String,
    pub(crate) placement: Placement,
    /// The list or map that only this set has; `None` if all labels come from an alias or a merge, or others use it, too.
    pub(crate) own: Option<NodeId>,
    /// All maps and lists from which the labels come.
    pub(crate) sources: Vec<NodeId>,
    pub(crate) labels: Vec<Label>,
    /// Keys in the sources that a label of this set overrides, with the position of that label.
    overridden: Vec<(NodeId, usize)>,
    /// What Compose adds to the labels, which is unknown here.
    pub(crate) unknown: Option<String>,
    /// Why the labels cannot be read.
    pub(crate) error: Option<String>,
}

/// Place of labels in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// `labels` of a service in a stack file.
    Labels,
    /// `deploy.labels` of a service in a stack file.
    DeployLabels,
    /// Labels alone, without a stack file.
    Bare,
}

/// A label as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The key in a map, or the item of a list.
    pub(crate) node: NodeId,
    /// The value in a map.
    pub(crate) value_node: Option<NodeId>,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl LabelSet {
    fn new(tree: &Tree, service: &str, placement: Placement, labels: NodeId) -> Self {
        Self {
            service: service.to_owned(),
            placement,
            own: Some(labels),
            sources: tree.sources(labels),
            labels: Vec::new(),
            overridden: Vec::new(),
            unknown: None,
            error: None,
        }
    }

    fn set_labels(&mut self, tree: &Tree, labels: Vec<Label>) {
        let keys = self.sources.iter().flat_map(|source| tree.own_pairs(*source)).map(|(key, _)| key);
        let others = keys.filter(|key| labels.iter().all(|label| label.node != *key));
        let position =
            |key: &NodeId| labels.iter().position(|label| tree.scalar(label.node) == tree.scalar(*key));
        self.overridden = others.filter_map(|key| Some((key, position(&key)?))).collect();
        self.labels = labels;
    }

    /// Returns the nodes of the labels and of those that they override, with the positions of the labels.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, usize)> {
        let own = self.labels.iter().enumerate().map(|(position, label)| (label.node, position));
        own.chain(self.overridden.iter().copied())
    }

    /// Path in the stack file, such as `services.web.labels`; empty for bare labels.
    pub(crate) fn place(&self) -> String {
        match self.placement {
            Placement::Labels => format!("services.{}.labels", self.service),
            Placement::DeployLabels => format!("services.{}.deploy.labels", self.service),
            Placement::Bare => String::new(),
        }
    }
}

/// Finds the labels of all services in a stack file, or the labels of a map or a list. `variables` receives the variables
/// of stack files, for which placeholders stand in the labels.
pub(crate) fn find(tree: &Tree, variables: &mut Variables) -> Result<Vec<LabelSet>, String> {
    let mut sets = Vec::new();
    let is_stack = |root: &NodeId| tree.get(*root, "services").is_some();
    if !tree.roots.iter().any(is_stack) {
        return tree.roots.iter().map(|root| bare(tree, *root)).collect();
    }
    for root in tree.roots.iter().filter(|root| is_stack(root)) {
        let services = tree.get(*root, "services").unwrap_or(*root);
        if tree.scalar(services) == Ok("") {
            continue;
        }
        for (name, service) in tree.pairs(services).ok_or("services: expected a map")? {
            let name = tree.scalar(name).map_err(|error| format!("services: {error}"))?;
            find_in_service(tree, name, service, variables, &mut sets);
        }
    }
    let mut users: BTreeMap<NodeId, usize> = BTreeMap::new();
    for source in sets.iter().flat_map(|set| &set.sources) {
        *users.entry(*source).or_default() += 1;
    }
    for set in &mut sets {
        set.own = set.own.filter(|own| users.get(own) == Some(&1));
    }
    Ok(sets)
}

fn find_in_service(
    tree: &Tree,
    name: &str,
    service: NodeId,
    variables: &mut Variables,
    sets: &mut Vec<LabelSet>,
) {
    let deploy = tree.get(service, "deploy");
    for (placement, parent) in [(Placement::Labels, Some(service)), (Placement::DeployLabels, deploy)] {
        let Some((parent, labels)) = parent.and_then(|parent| Some((parent, tree.get(parent, "labels")?)))
        else {
            continue;
        };
        let is_own = tree.contains(parent, "labels")
            && (placement == Placement::Labels || tree.contains(service, "deploy"));
        let tag = [labels, parent, service].into_iter().find_map(|node| tree.node(node).tag.as_deref());
        let tag = tag.filter(|tag| !tag.starts_with("!!"));
        let unknown = if tree.get(service, "extends").is_some() {
            Some(
                "Compose adds the labels of the service that `extends` names, which were not read".to_owned(),
            )
        } else {
            tag.map(|tag| format!("Compose combines these labels with those of other files as {tag} says"))
        };
        let mut set = LabelSet::new(tree, name, placement, labels);
        set.own = is_own.then_some(labels);
        set.unknown = unknown;
        let is_reset = tag == Some("!reset");
        if !is_reset {
            let (labels, error) = read(tree, labels, &mut |text| variables.hide(text));
            set.set_labels(tree, labels);
            set.error = error;
        }
        sets.push(set);
    }
}

fn bare(tree: &Tree, root: NodeId) -> Result<LabelSet, String> {
    let is_map = matches!(tree.node(root).kind, Kind::Map { .. });
    if !is_map && !matches!(tree.node(root).kind, Kind::List { .. }) && tree.scalar(root) != Ok("") {
        return Err("expected a stack file, a map of labels, or lines of KEY=VALUE".to_owned());
    }
    let (labels, error) = read(tree, root, &mut str::to_owned);
    match error {
        Some(error) if is_map => {
            return Err(format!("neither a stack file (it has no services) nor a map of labels: {error}"));
        }
        Some(error) => return Err(error),
        None => {}
    }
    let mut set = LabelSet::new(tree, "", Placement::Bare, root);
    set.set_labels(tree, labels);
    Ok(set)
}

/// Reads a map, or a list of `KEY=VALUE`. Returns the labels that can be read, and the first error.
fn read(tree: &Tree, labels: NodeId, hide: &mut impl FnMut(&str) -> String) -> (Vec<Label>, Option<String>) {
    let results: Vec<Result<Label, String>> = if let Some(pairs) = tree.pairs(labels) {
        let label = |(node, value): (NodeId, NodeId)| {
            let key = tree.scalar(node)?;
            let text = tree.scalar(value).map_err(|error| format!("{key}: {error}"))?;
            Ok(Label { node, value_node: Some(value), key: hide(key), value: hide(text) })
        };
        pairs.into_iter().map(label).collect()
    } else if let Kind::List { items, .. } = &tree.node(tree.resolve(labels)).kind {
        let label = |node: &NodeId| {
            let text = tree.scalar(*node).map_err(|_| {
                "expected KEY=VALUE, got a map or a list; with `KEY: VALUE`, remove the dash of each label"
            })?;
            let text = hide(text);
            // Docker reads a key alone as an empty label.
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            Ok(Label { node: *node, value_node: None, key: key.to_owned(), value: value.to_owned() })
        };
        items.iter().map(label).collect()
    } else if tree.scalar(labels) == Ok("") {
        Vec::new()
    } else {
        vec![Err("expected a map or a list of labels".to_owned())]
    };
    let error = results.iter().find_map(|result| result.as_ref().err()).cloned();
    (results.into_iter().flatten().collect(), error)
}
