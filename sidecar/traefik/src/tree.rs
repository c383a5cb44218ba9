//! Labels as a tree of Traefik's options, and back.
//!
//! They are read as Traefik's own parser reads them, but that
//! - lists of texts may be written by index, too, and so hold items with commas in them (Traefik takes such for empty);
//! - indices are numbers, and count as such (Traefik sorts `[10]` before `[2]`);
//! - a switch is not `1` or `yes` (Traefik takes all but `true` for off);
//! - what Traefik takes from files only, such as services that distribute requests among others, may be said in labels.

use protocol::Labels;
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, LabelErrors};
use crate::fields::{Field, Kind, Step};
use crate::names;

/// A part of Traefik's configuration as a tree. Its leaves are text, and lists of text.
pub type Tree = Map<String, Value>;

/// More letters than a name needs. Traefik's parser has a limit, too, above which it rejects the whole document.
const LONGEST_NAME: usize = 255;

/// More levels than an option needs.
const DEEPEST: usize = 32;

/// Reads `labels`: all that begin with `traefik.`, but for single words that are not Traefik's, which people match their
/// constraints with.
///
/// # Errors
/// Every fault found, each with the key of its label.
pub fn read(labels: &Labels) -> Result<Tree, LabelErrors> {
    let (tree, errors) = parse(labels);
    if errors.is_empty() { Ok(tree) } else { Err(LabelErrors(errors)) }
}

/// The same, but with all that is not at fault.
pub(crate) fn parse(labels: &Labels) -> (Tree, Vec<Diagnostic>) {
    let mut tree = Tree::new();
    let mut faults = Vec::new();
    for (key, value) in &labels.0 {
        let Some(path) = strip_root(key).filter(|path| !is_somebody_elses(path)) else { continue };
        if let Err(why) = insert(&mut tree, path, value) {
            faults.push(Diagnostic::new(key, why));
        }
    }
    lists(&mut tree, "traefik", &mut faults);
    (tree, faults)
}

/// Writes `tree` as labels: [`read`] makes the same tree of them, if it has made this one.
pub fn print(tree: &Tree) -> Labels {
    let mut labels = Labels::default();
    for (name, value) in tree {
        let field = Field::root().step(name).ok().map(Step::field);
        print_value(&mut labels, &format!("traefik.{name}"), value, field.is_some_and(Field::is_open), field);
    }
    labels
}

fn print_value(labels: &mut Labels, key: &str, value: &Value, is_open: bool, field: Option<&'static Field>) {
    match value {
        Value::Object(below) => {
            for (name, value) in below {
                let field = field.and_then(|field| field.step(name).ok()).map(Step::field);
                let is_open = is_open || field.is_some_and(Field::is_open);
                print_value(labels, &format!("{key}.{name}"), value, is_open, field);
            }
        }
        Value::Array(items) => match by_comma(items).filter(|_| !is_open) {
            Some(text) => drop(labels.0.insert(key.to_owned(), text)),
            None => {
                for (index, item) in items.iter().enumerate() {
                    let field = field.and_then(|field| field.step("[0]").ok()).map(Step::field);
                    print_value(labels, &format!("{key}[{index}]"), item, is_open, field);
                }
            }
        },
        Value::String(text) => drop(labels.0.insert(key.to_owned(), text.clone())),
        // A tree that was not read here.
        other => drop(labels.0.insert(key.to_owned(), other.to_string())),
    }
}

/// A list of texts with commas between; none if that would not be the same list.
fn by_comma(items: &[Value]) -> Option<String> {
    let texts: Vec<&str> = items.iter().map(Value::as_str).collect::<Option<_>>()?;
    let is_plain = texts.iter().all(|text| !text.contains(',') && text.trim() == *text);
    // A single empty text would be none.
    (is_plain && texts != [""]).then(|| texts.join(","))
}

/// The key without `traefik.`; none if the label is not Traefik's.
fn strip_root(key: &str) -> Option<&str> {
    let (root, path) = key.split_at_checked("traefik.".len())?;
    root.eq_ignore_ascii_case("traefik.").then_some(path)
}

/// `traefik.constraint-label` and the like are people's own, which Traefik does not look at; but not if it looks like a
/// slip.
fn is_somebody_elses(path: &str) -> bool {
    let root = Field::root();
    !path.is_empty() && !path.contains(['.', '[']) && root.step(path).is_err() && root.meant(path).is_none()
}

/// The object in `entry`, made if it is not there. A leaf in its place, as `tls=true` beside `tls.options=…`, gives way.
pub(crate) fn object(entry: serde_json::map::Entry<'_>) -> &mut Tree {
    let value = entry.or_insert_with(|| Value::Object(Tree::new()));
    if !value.is_object() {
        *value = Value::Object(Tree::new());
    }
    value.as_object_mut().expect("it was made an object just now")
}

fn insert(tree: &mut Tree, path: &str, value: &str) -> Result<(), String> {
    let steps = steps(path)?;
    let (field, last) = steps.last().ok_or("it names no option")?;
    let kind = field.kind.ok_or("it takes no value, an option below it does")?;
    if let Some(expected) = kind.refuses(value) {
        return Err(format!("{expected}, not {value:?}"));
    }
    let mut tree = tree;
    for (field, name) in &steps[..steps.len() - 1] {
        let key = same(tree, name);
        if field.kind == Some(Kind::Switch) && tree.get(&key).is_some_and(|leaf| leaf == "false") {
            // `tls=false` switches off what stands below.
            return Ok(());
        }
        tree = object(tree.entry(key));
    }
    let key = same(tree, last);
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
        Kind::Names => value.split(',').map(|name| names::referred(name.trim())).collect(),
        Kind::Name => names::referred(value).into(),
        // Nothing is the same as `true`.
        Kind::Switch if value.is_empty() => "true".into(),
        Kind::Switch => value.to_ascii_lowercase().into(),
        _ => value.into(),
    }
}

/// The key that is in `tree` already, for `name` in whatever case: the first that is written stays.
fn same(tree: &Tree, name: &str) -> String {
    if tree.contains_key(name) {
        return name.to_owned();
    }
    let folded = name.to_lowercase();
    tree.keys().find(|key| key.to_lowercase() == folded).map_or_else(|| name.to_owned(), Clone::clone)
}

/// Where `path` leads, step by step: each place, and what it is called in the tree.
fn steps(path: &str) -> Result<Vec<(&'static Field, String)>, String> {
    let mut field = Field::root();
    let mut steps = Vec::new();
    for segment in segments(path)? {
        let step = field.step(segment)?;
        let name = match step {
            Step::Field(_) => segment.to_ascii_lowercase(),
            Step::Index(_) => index(segment)?,
            Step::Chosen(_) if segment.chars().count() > LONGEST_NAME => {
                return Err(format!("a name has more than {LONGEST_NAME} letters"));
            }
            Step::Chosen(_) => {
                let place: Vec<&str> = steps.iter().map(|(_, name): &(_, String)| name.as_str()).collect();
                names::defined(&place, segment)?
            }
        };
        field = step.field();
        steps.push((field, name));
        if steps.len() > DEEPEST {
            return Err(format!("it has more than {DEEPEST} levels"));
        }
    }
    Ok(steps)
}

/// `[07]` as `[7]`.
fn index(segment: &str) -> Result<String, String> {
    let number = segment.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let digits = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let index = digits.and_then(|digits| digits.parse::<u16>().ok());
    index.map(|index| format!("[{index}]")).ok_or_else(|| format!("{segment:?} is not an index"))
}

/// `tls.domains[0].main` as `tls`, `domains`, `[0]`, `main`.
fn segments(path: &str) -> Result<Vec<&str>, String> {
    let mut segments = Vec::new();
    for part in path.split('.') {
        match part.find('[') {
            _ if part.is_empty() => return Err("a name is missing between two dots".to_owned()),
            Some(0) => return Err(format!("{part:?} has no name before its index")),
            Some(at) if part.ends_with(']') => segments.extend([&part[..at], &part[at..]]),
            _ => segments.push(part),
        }
    }
    Ok(segments)
}

/// Turns `{"[0]": …, "[1]": …}` into `[…, …]`, all the way down.
fn lists(tree: &mut Tree, path: &str, faults: &mut Vec<Diagnostic>) {
    for (name, value) in tree.iter_mut() {
        let Value::Object(below) = value else { continue };
        let path = format!("{path}.{name}");
        lists(below, &path, faults);
        let indices = below.keys().filter(|key| key.starts_with('[')).count();
        if indices == 0 {
            continue;
        }
        if indices < below.len() {
            faults.push(Diagnostic::new(path, "mixes names and indices; use one or the other"));
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
