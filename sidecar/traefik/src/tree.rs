//! Labels as a tree of Traefik's options.
//!
//! The syntax is that of Traefik's own parser, with these differences:
//! - a list of strings may be indexed, so that its items may contain commas (Traefik reads such a list as empty);
//! - indices sort as numbers (Traefik sorts `[10]` before `[2]`);
//! - a switch such as `tls` does not accept `1` or `yes` (Traefik reads everything except `true` as false);
//! - weighted services, servers transports and TLS options, which Traefik accepts in files only, are allowed in labels.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use protocol::Labels;
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, ENOUGH, LabelErrors};
use crate::fields::{Field, Kind, Step};
use crate::secrets::without_credentials;
use crate::values::Check;

/// A part of Traefik's configuration. Its leaves are strings and lists of strings.
pub type Tree = Map<String, Value>;

/// Maximum length of a name in the document, in characters after escaping. Traefik's parser rejects the whole document
/// if a name has about 1,000.
const MAX_NAME_LENGTH: usize = 255;

/// Maximum number of levels of an option.
const MAX_DEPTH: usize = 32;

/// Providers whose labels reach Traefik through the hub. References to them become references to [`HUB_PROVIDER`].
const REPLACED_PROVIDERS: [&str; 2] = ["docker", "swarm"];

/// The provider through which Traefik polls the hub.
const HUB_PROVIDER: &str = "http";

/// Sections that hold definitions by name.
const DEFINITIONS: [&str; 6] =
    ["routers", "services", "middlewares", "serverstransports", "options", "stores"];

/// Parses the labels that begin with `traefik.`. Single words that are no option of Traefik, such as
/// `traefik.constraint-label`, are ignored: operators use them in constraints.
///
/// # Errors
/// The errors found, up to a limit.
pub fn parse_labels(labels: &Labels) -> Result<Tree, LabelErrors> {
    let Parsed { tree, errors, .. } = parse(labels);
    if errors.is_empty() { Ok(tree) } else { Err(LabelErrors(errors)) }
}

/// Labels as a tree. It contains the valid ones, also if there are errors.
pub(crate) struct Parsed {
    pub(crate) tree: Tree,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Does the same as [`parse_labels`] and returns the valid labels even if there are errors.
pub(crate) fn parse(labels: &Labels) -> Parsed {
    let mut root = Branch::default();
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    for (key, value) in &labels.0 {
        if errors.len() >= ENOUGH {
            break;
        }
        let Some(path) = strip_root(key).filter(|path| !is_custom(path)) else { continue };
        match insert(&mut root, path, value) {
            Ok(warning) => warnings.extend(warning.map(|message| Diagnostic::new(key, message))),
            Err(message) => errors.push(Diagnostic::new(key, message)),
        }
    }
    let tree = match root.finish("traefik", &mut errors) {
        Value::Object(tree) => tree,
        _ => Tree::new(),
    };
    Parsed { tree, warnings, errors }
}

/// Options by name in lower case, with their spelling. The spelling of the first label stays.
#[derive(Default)]
struct Branch(BTreeMap<String, (String, Node)>);

enum Node {
    Leaf(Value),
    Branch(Branch),
}

impl Branch {
    /// Returns the node below `name`, creating a branch if needed.
    fn entry(&mut self, name: &str) -> &mut Node {
        let new = || (name.to_owned(), Node::Branch(Branch::default()));
        &mut self.0.entry(name.to_lowercase()).or_insert_with(new).1
    }

    /// Returns the branch as JSON. Options with indices become a list.
    fn finish(self, path: &str, errors: &mut Vec<Diagnostic>) -> Value {
        let indices = self.0.keys().filter(|key| key.starts_with('[')).count();
        if 0 < indices && indices < self.0.len() {
            errors.push(Diagnostic::new(path, "mixes names and indices; use one or the other"));
        }
        let is_list = indices > 0 && indices == self.0.len();
        let mut options = Vec::with_capacity(self.0.len());
        for (name, node) in self.0.into_values() {
            let value = match node {
                Node::Leaf(value) => value,
                Node::Branch(branch) => branch.finish(&format!("{path}.{name}"), errors),
            };
            options.push((name, value));
        }
        if is_list {
            options.sort_by_key(|(name, _)| name[1..name.len() - 1].parse().unwrap_or(u16::MAX));
            return options.into_iter().map(|(_, value)| value).collect();
        }
        Value::Object(options.into_iter().collect())
    }
}

/// Whether only routers may receive the value of a label of Traefik 3: the option is secret, or there is no such option and
/// so the key may be a misspelt one.
pub fn is_secret(key: &str) -> bool {
    let Some(path) = strip_root(key).filter(|path| !is_custom(path)) else { return false };
    resolve(path).map_or(true, |steps| steps.iter().any(|(field, _)| field.is_secret))
}

/// Removes `traefik.` in any case. Returns `None` for other labels.
fn strip_root(key: &str) -> Option<&str> {
    let (root, path) = key.split_at_checked("traefik.".len())?;
    root.eq_ignore_ascii_case("traefik.").then_some(path)
}

/// Whether the label is the operator's own, such as `traefik.constraint-label`, and not a misspelt option.
fn is_custom(path: &str) -> bool {
    let root = Field::root();
    !path.is_empty()
        && !path.contains(['.', '['])
        && root.step(path).is_err()
        && root.suggestion(path).is_none()
}

/// Returns the object in `entry`, creating it if needed. It replaces a leaf, such as `tls=true` beside `tls.options=…`.
pub(crate) fn object(entry: serde_json::map::Entry<'_>) -> &mut Tree {
    let value = entry.or_insert_with(|| Value::Object(Tree::new()));
    if !value.is_object() {
        *value = Value::Object(Tree::new());
    }
    value.as_object_mut().expect("it is an object now")
}

/// Inserts a label. Returns a warning about it.
fn insert(root: &mut Branch, path: &str, value: &str) -> Result<Option<String>, String> {
    let steps = resolve(path)?;
    let ((field, name), above) = steps.split_last().ok_or("the key names no option")?;
    if let Some(reason) = steps.iter().find_map(|(field, _)| field.refusal) {
        return Err(reason.to_owned());
    }
    let kind = field.kind.ok_or("this option has no value of its own; set an option below it")?;
    if let Some(expected) = kind.mismatch(value) {
        let is_secret = steps.iter().any(|(field, _)| field.is_secret);
        return Err(if is_secret {
            format!("expected {expected}")
        } else {
            format!("expected {expected}, got {:?}", without_credentials(value))
        });
    }
    let checked = above.last().filter(|_| kind == Kind::Item).map_or(*field, |(list, _)| *list);
    let wrong = checked.check.and_then(|check| mismatch(check, kind, value));
    let warning = match wrong {
        Some(message) if checked.ignores_wrong_values => {
            Some(format!("Traefik ignores this value: {message}"))
        }
        Some(message) => return Err(message),
        None => {
            let warning =
                checked.check.and_then(|check| items(kind, value).find_map(|item| check.warning(item)));
            warning.map(str::to_owned)
        }
    };
    let mut branch = root;
    for (field, name) in above {
        let node = branch.entry(name);
        match node {
            // `tls=false` disables the options below it.
            Node::Leaf(leaf) if field.kind == Some(Kind::Switch) && leaf == "false" => return Ok(None),
            // Options below a switch replace it, as in `tls=true` beside `tls.options=…`.
            Node::Leaf(_) => *node = Node::Branch(Branch::default()),
            Node::Branch(_) => {}
        }
        let Node::Branch(below) = node else { return Ok(None) };
        branch = below;
    }
    let leaf = leaf(kind, value);
    let is_off = kind == Kind::Switch && leaf == "false";
    match branch.0.entry(name.to_lowercase()) {
        Entry::Vacant(entry) => drop(entry.insert((name.clone(), Node::Leaf(leaf)))),
        Entry::Occupied(mut entry) if is_off => entry.get_mut().1 = Node::Leaf(leaf),
        Entry::Occupied(_) => {}
    }
    Ok(steps.iter().find_map(|(field, _)| field.warning).map(str::to_owned).or(warning))
}

/// Checks a value, or each item of a list.
fn mismatch(check: Check, kind: Kind, value: &str) -> Option<String> {
    items(kind, value).find_map(|item| match item {
        "" if matches!(kind, Kind::List | Kind::Item) => Some("empty item in the list".to_owned()),
        item => check.mismatch(item),
    })
}

/// The items of a list, or the value itself.
fn items(kind: Kind, value: &str) -> impl Iterator<Item = &str> {
    let is_list = kind == Kind::List;
    let parts = value.split(move |c| is_list && c == ',');
    parts
        .filter(move |_| !(is_list && value.is_empty()))
        .map(move |part| if is_list { part.trim() } else { part })
}

fn leaf(kind: Kind, value: &str) -> Value {
    match kind {
        Kind::List | Kind::Names if value.is_empty() => Value::Array(Vec::new()),
        Kind::List => value.split(',').map(str::trim).collect(),
        Kind::Names => value.split(',').map(|name| reference(name.trim())).collect(),
        Kind::Name => reference(value).into(),
        Kind::Switch if value.is_empty() => "true".into(),
        Kind::Switch => value.to_ascii_lowercase().into(),
        _ => value.into(),
    }
}

/// Redirects `auth@docker` to `auth@http`. References to other providers stay.
fn reference(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((name, provider)) if REPLACED_PROVIDERS.contains(&provider) => format!("{name}@{HUB_PROVIDER}"),
        _ => name.to_owned(),
    }
}

/// Resolves a path into fields and the keys that they have in the tree.
fn resolve(path: &str) -> Result<Vec<(&'static Field, String)>, String> {
    let mut field = Field::root();
    let mut steps = Vec::new();
    for segment in segments(path)? {
        let step = field.step(segment)?;
        let name = match step {
            Step::Field(_) => segment.to_ascii_lowercase(),
            Step::Index(_) => index(segment)?,
            Step::Name(_) if escaped_length(segment) > MAX_NAME_LENGTH => return Err(name_too_long()),
            Step::Name(field) => {
                if let Some(message) = field.name_check.and_then(|check| check.mismatch(segment)) {
                    return Err(message);
                }
                let section: Vec<&str> = steps.iter().map(|(_, name): &(_, String)| name.as_str()).collect();
                defined_name(&section, segment)?
            }
        };
        field = step.field();
        steps.push((field, name));
        if steps.len() > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
    }
    Ok(steps)
}

/// Number of characters of `name` in the document, where control characters and quotes are escaped.
fn escaped_length(name: &str) -> usize {
    let is_escaped = |c: char| {
        c.is_control()
            || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    name.chars().map(|c| if is_escaped(c) { "\\u0000".len() } else { 1 }).sum()
}

fn name_too_long() -> String {
    format!("a name is longer than {MAX_NAME_LENGTH} characters")
}

/// Checks the normalised `name` of a service. A router and a Traefik service have it if the labels define none.
pub(crate) fn check_service_name(service: &str, name: &str) -> Result<(), String> {
    match name {
        "" => Err(format!("the name {service:?} contains no letter and no number; use another name")),
        _ if escaped_length(name) > MAX_NAME_LENGTH => Err(name_too_long()),
        _ => Ok(()),
    }
}

/// Returns the name that a definition in `section` gets. Outside of definitions it is `name` itself.
///
/// Labels may not define names of other providers, such as `dashboard@internal`, although Traefik allows it; nor the
/// default TLS options, since an error in them disables every TLS router.
fn defined_name(section: &[&str], name: &str) -> Result<String, String> {
    if section.len() != 2 || !DEFINITIONS.contains(&section[1]) {
        return Ok(name.to_owned());
    }
    match name.split_once('@') {
        None if *section == ["tls", "options"] && name.eq_ignore_ascii_case("default") => {
            Err("the default TLS options apply to all services; set them in Traefik's own configuration"
                .to_owned())
        }
        None => Ok(name.to_owned()),
        Some((own, provider))
            if !own.is_empty() && (provider == HUB_PROVIDER || REPLACED_PROVIDERS.contains(&provider)) =>
        {
            defined_name(section, own)
        }
        Some(_) => Err(format!("{name:?} belongs to another provider; use a name without `@`")),
    }
}

/// Normalises an index: `[07]` becomes `[7]`.
fn index(segment: &str) -> Result<String, String> {
    let number = segment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let digits = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let index = digits.and_then(|digits| digits.parse::<u16>().ok());
    index.map(|index| format!("[{index}]")).ok_or_else(|| format!("invalid index {segment:?}"))
}

/// Splits `tls.domains[0].main` into `tls`, `domains`, `[0]`, `main`.
fn segments(path: &str) -> Result<Vec<&str>, String> {
    let mut segments = Vec::new();
    for part in path.split('.') {
        match part.find('[') {
            _ if part.is_empty() => return Err("empty name between two dots".to_owned()),
            Some(0) => return Err(format!("missing name before the index {part:?}")),
            Some(at) if part.ends_with(']') => segments.extend([&part[..at], &part[at..]]),
            _ => segments.push(part),
        }
    }
    Ok(segments)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
