//! What is said of one of a container's ports, with what is said of them all.

use std::collections::{BTreeMap, BTreeSet};

use crate::keys::{Key, Property};
use crate::{Output, headers};

/// A container's port, or the whole container where it has but one.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// `None`: the whole container.
    pub(crate) name: Option<String>,
    said: BTreeMap<String, Said<'a>>,
}

/// What one label says.
#[derive(Clone, Debug)]
struct Said<'a> {
    key: &'a str,
    property: Property,
    value: String,
    /// It is the segment's own, and not the whole container's.
    own: bool,
}

/// A value with its label's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) key: &'a str,
    pub(crate) text: &'a str,
    pub(crate) own: bool,
}

/// Sorts labels by segment. Where there are any, the whole container is none.
pub(crate) fn read<'a>(labels: Vec<(&'a str, &'a str, Key)>, output: &mut Output) -> Vec<Segment<'a>> {
    let mut segments: BTreeMap<Option<String>, BTreeMap<String, Said<'a>>> = BTreeMap::new();
    segments.insert(None, BTreeMap::new());
    for (key, value, read) in labels {
        match read {
            Key::Unknown(why) => output.error(key, why),
            Key::Known { segment, property } => {
                let id = id(&property);
                let of_segment = segments.entry(segment.clone()).or_default();
                if let Some(other) = of_segment.get(&id) {
                    // Keys come in order, so capital letters first.
                    output.warn(key, format!("of no effect beside {}", other.key));
                    continue;
                }
                let said = Said { key, property, value: unescaped(value), own: segment.is_some() };
                of_segment.insert(id, said);
            }
        }
    }
    let common = segments.remove(&None).unwrap_or_default();
    if segments.is_empty() {
        return vec![Segment { name: None, said: common }];
    }
    let with_common = |(name, mut said): (Option<String>, BTreeMap<String, Said<'a>>)| {
        for (id, common) in &common {
            said.entry(id.clone()).or_insert_with(|| common.clone());
        }
        Segment { name, said }
    };
    segments.into_iter().map(with_common).collect()
}

/// By which what a segment says takes the place of what its container does.
fn id(property: &Property) -> String {
    property.spelt.to_ascii_lowercase()
}

/// Traefik 1 put values into TOML's quotes, so whoever needed a backslash wrote two. One that stands alone was a fault,
/// and is left as it was meant.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|next| matches!(next, '\\' | '"'))).flatten();
        text.push(escaped.unwrap_or(c));
    }
    text
}

impl Segment<'_> {
    /// What is said of an option, spelt as in Traefik 1. Nothing is as good as no label.
    pub(crate) fn text(&self, option: &str) -> Option<Value<'_>> {
        let said = self.said.get(&option.to_ascii_lowercase())?;
        (!said.value.is_empty()).then_some(Value { key: said.key, text: &said.value, own: said.own })
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.text(option).is_some()
    }

    /// The label of the first option that begins so and says something.
    pub(crate) fn below(&self, prefix: &str) -> Option<&str> {
        let prefix = prefix.to_ascii_lowercase();
        let mut said = self.said.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
        said.find(|(_, said)| !said.value.is_empty()).map(|(_, said)| said.key)
    }

    /// The names of the user's that stand for the `*` of options that begin so.
    pub(crate) fn names(&self, prefix: &str) -> BTreeSet<&str> {
        let under = |said: &&Said<'_>| said.property.path.starts_with(prefix) && !said.value.is_empty();
        self.said.values().filter(under).filter_map(|said| said.property.name.as_deref()).collect()
    }

    pub(crate) fn is_true(&self, option: &str, output: &mut Output) -> bool {
        self.bool(option, output).unwrap_or(false)
    }

    pub(crate) fn bool(&self, option: &str, output: &mut Output) -> Option<bool> {
        let value = self.text(option)?;
        let truth = parse::go_bool(value.text);
        if truth.is_none() {
            output.error(value.key, format!("true or false is expected, not {:?}", value.text));
        }
        truth
    }

    pub(crate) fn int(&self, option: &str, output: &mut Output) -> Option<i64> {
        let value = self.text(option)?;
        let number = value.text.parse().ok();
        if number.is_none() {
            output.error(value.key, format!("a whole number is expected, not {:?}", value.text));
        }
        number
    }

    /// What stands between commas.
    pub(crate) fn list(&self, option: &str) -> Vec<&str> {
        let text = self.text(option).map(|value| value.text).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// Headers, as `A:b||C:d`.
    pub(crate) fn map(&self, option: &str, output: &mut Output) -> Vec<(String, String)> {
        let Some(value) = self.text(option) else { return Vec::new() };
        let pairs = value.text.split("||").map(headers::pair).collect::<Result<_, _>>();
        pairs.unwrap_or_else(|why| {
            output.error(value.key, why);
            Vec::new()
        })
    }

    /// A duration: a number alone is seconds.
    pub(crate) fn duration(&self, option: &str, output: &mut Output) -> Option<String> {
        let value = self.text(option)?;
        if value.text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(format!("{}s", value.text));
        }
        let is_duration = value.text.parse::<i64>().is_ok() || parse::go_duration(value.text).is_ok();
        if !is_duration {
            output.error(
                value.key,
                format!("a duration is expected, such as 500ms, 10s or 1m30s, not {:?}", value.text),
            );
        }
        is_duration.then(|| value.text.to_owned())
    }

    /// Says what is to be said of labels whatever their values are.
    pub(crate) fn report(&self, output: &mut Output) {
        for said in self.said.values() {
            let spelt = &said.property.spelt;
            if said.property.misspelt {
                let segment = self.name.as_ref().filter(|_| said.own).map(|name| format!("{name}."));
                let segment = segment.unwrap_or_default();
                output.warn(
                    said.key,
                    format!("Traefik 1 spelt it traefik.{segment}{spelt}, and ignored this; now it counts"),
                );
            }
            let no_effect = match spelt.as_str() {
                "tags" => {
                    "no successor: the constraints of Traefik 3 look at labels themselves, as in \
                     Label(`com.example.tag`, `web`)"
                }
                "portIndex" | "portName" | "backend.id" => {
                    "Traefik 1 ignored it for containers, and so it is now"
                }
                "domain" if said.own => {
                    "Traefik 1 ignored it for segments, and so it is now; traefik.domain counts"
                }
                _ => continue,
            };
            output.warn(said.key, no_effect);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_backslashes_are_one() {
        for (value, expected) in [
            (r"a\\.b", r"a\.b"),
            (r"\\d+", r"\d+"),
            (r"\d+", r"\d+"),
            (r"\\\\", r"\\"),
            (r#"say \"a\""#, r#"say "a""#),
            ("end\\", "end\\"),
        ] {
            assert_eq!(unescaped(value), expected, "{value}");
        }
    }
}
