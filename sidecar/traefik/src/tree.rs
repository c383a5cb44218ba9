//! Labels as a tree of Traefik's options.
//!
//! The syntax is that of Traefik's own parser, with these differences:
//! - a list of strings may be indexed, so that its items may contain commas (Traefik reads such a list as empty);
//! - indices sort as numbers (Traefik sorts `[10]` before `[2]`);
//! - a switch such as `tls` does not accept `1` or `yes` (Traefik reads everything except `true` as false);
//! - options that Traefik accepts in files only, such as weighted services, are allowed in labels.

use protocol::Labels;
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, LabelErrors};
use crate::fields::{Field, Kind, Step};

/// A part of Traefik's configuration. Its leaves are strings and lists of strings.
pub type Tree = Map<String, Value>;

/// Maximum length of a name in characters. Traefik's parser rejects the whole document at about 1,000.
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
/// Every error found.
pub fn parse_labels(labels: &Labels) -> Result<Tree, LabelErrors> {
    let (tree, errors) = parse(labels);
    if errors.is_empty() { Ok(tree) } else { Err(LabelErrors(errors)) }
}

/// Does the same and returns the valid labels even if there are errors.
pub(crate) fn parse(labels: &Labels) -> (Tree, Vec<Diagnostic>) {
    let mut tree = Tree::new();
    let mut errors = Vec::new();
    for (key, value) in &labels.0 {
        let Some(path) = strip_root(key).filter(|path| !is_custom(path)) else { continue };
        if let Err(message) = insert(&mut tree, path, value) {
            errors.push(Diagnostic::new(key, message));
        }
    }
    collect_lists(&mut tree, "traefik", &mut errors);
    (tree, errors)
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

fn insert(tree: &mut Tree, path: &str, value: &str) -> Result<(), String> {
    let steps = resolve(path)?;
    let (field, last) = steps.last().ok_or("the key names no option")?;
    let kind = field.kind.ok_or("this option has no value of its own; set an option below it")?;
    if let Some(expected) = kind.mismatch(value) {
        return Err(format!("expected {expected}, got {value:?}"));
    }
    let mut tree = tree;
    for (field, name) in &steps[..steps.len() - 1] {
        let key = existing_key(tree, name);
        if field.kind == Some(Kind::Switch) && tree.get(&key).is_some_and(|leaf| leaf == "false") {
            // `tls=false` disables the options below it.
            return Ok(());
        }
        tree = object(tree.entry(key));
    }
    let key = existing_key(tree, last);
    match leaf(kind, value) {
        off if kind == Kind::Switch && off == "false" => drop(tree.insert(key, off)),
        leaf => drop(tree.entry(key).or_insert(leaf)),
    }
    Ok(())
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

/// Returns the key in `tree` that equals `name` in any case, or `name`: the spelling of the first label stays.
fn existing_key(tree: &Tree, name: &str) -> String {
    if tree.contains_key(name) {
        return name.to_owned();
    }
    let folded = name.to_lowercase();
    tree.keys().find(|key| key.to_lowercase() == folded).map_or_else(|| name.to_owned(), Clone::clone)
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
            Step::Name(_) if segment.chars().count() > MAX_NAME_LENGTH => {
                return Err(format!("a name is longer than {MAX_NAME_LENGTH} characters"));
            }
            Step::Name(_) => {
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

/// Turns `{"[0]": …, "[1]": …}` into `[…, …]` in the whole tree.
fn collect_lists(tree: &mut Tree, path: &str, errors: &mut Vec<Diagnostic>) {
    for (name, value) in tree.iter_mut() {
        let Value::Object(below) = value else { continue };
        let path = format!("{path}.{name}");
        collect_lists(below, &path, errors);
        let indices = below.keys().filter(|key| key.starts_with('[')).count();
        if indices == 0 {
            continue;
        }
        if indices < below.len() {
            errors.push(Diagnostic::new(path, "mixes names and indices; use one or the other"));
            continue;
        }
        let mut items: Vec<(u16, Value)> = std::mem::take(below)
            .into_iter()
            .map(|(key, item)| (key[1..key.len() - 1].parse().unwrap_or(u16::MAX), item))
            .collect();
        items.sort_by_key(|(index, _)| *index);
        *value = items.into_iter().map(|(_, item)| item).collect();
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
