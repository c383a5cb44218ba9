//! Writes a tree of options as labels, to check that they parse to the same tree.

use protocol::Labels;
use serde_json::{Map, Value};

/// Returns labels that parse to `tree`.
pub(crate) fn to_labels(tree: &Map<String, Value>) -> Labels {
    let mut labels = Labels::default();
    for (name, value) in tree {
        write(&mut labels, &format!("traefik.{name}"), value);
    }
    labels
}

fn write(labels: &mut Labels, key: &str, value: &Value) {
    match value {
        Value::Object(below) => {
            for (name, value) in below {
                write(labels, &format!("{key}.{name}"), value);
            }
        }
        Value::Array(items) => match comma_separated(items).filter(|_| !is_plugin(key)) {
            Some(text) => drop(labels.0.insert(key.to_owned(), text)),
            None => {
                for (index, item) in items.iter().enumerate() {
                    write(labels, &format!("{key}[{index}]"), item);
                }
            }
        },
        Value::String(text) => drop(labels.0.insert(key.to_owned(), text.clone())),
        other => unreachable!("{key} is {other}"),
    }
}

/// Whether the option belongs to a plugin, where a comma does not separate items: `traefik.http.middlewares.NAME.plugin.…`.
fn is_plugin(key: &str) -> bool {
    let segments: Vec<_> = key.split('.').take(5).collect();
    matches!(segments.as_slice(), ["traefik", "http", "middlewares", _, "plugin"])
}

/// Joins strings with commas. Returns `None` if the result would parse to another list.
fn comma_separated(items: &[Value]) -> Option<String> {
    let texts: Vec<&str> = items.iter().map(Value::as_str).collect::<Option<_>>()?;
    let is_plain = texts.iter().all(|text| !text.contains(',') && text.trim() == *text);
    // A single empty string would parse to an empty list.
    (is_plain && texts != [""]).then(|| texts.join(","))
}
