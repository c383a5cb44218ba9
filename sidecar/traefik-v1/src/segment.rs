//! Labels by segment. A segment is a port of a container, with a name and labels of its own; it inherits the labels of
//! the whole container.

use std::collections::BTreeMap;

use traefik::{Diagnostic, Translation};

use crate::keys::{Key, Property};

/// A segment, or the whole container if it has no segments.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// `None` for the whole container.
    pub(crate) name: Option<String>,
    /// By option, in lower case.
    pub(crate) labels: BTreeMap<String, LabelValue<'a>>,
}

#[derive(Clone, Debug)]
pub(crate) struct LabelValue<'a> {
    pub(crate) key: &'a str,
    pub(crate) property: Property,
    pub(crate) text: String,
    /// Whether the label belongs to the segment, not to the whole container.
    pub(crate) is_own: bool,
}

/// Groups labels by segment. If there are segments, the container itself is not one.
pub(crate) fn group<'a>(labels: Vec<(&'a str, &'a str, Key)>, output: &mut Translation) -> Vec<Segment<'a>> {
    let mut segments: BTreeMap<Option<String>, BTreeMap<String, LabelValue<'a>>> = BTreeMap::new();
    for (key, value, parsed) in labels {
        match parsed {
            Key::Unknown(message) => output.errors.push(Diagnostic::new(key, message)),
            Key::Known { segment, property } => {
                let option = property.spelling.to_ascii_lowercase();
                let is_own = segment.is_some();
                let of_segment = segments.entry(segment).or_default();
                // Keys are sorted, so the spelling with capital letters comes first.
                if let Some(other) = of_segment.get(&option) {
                    output
                        .warnings
                        .push(Diagnostic::new(key, format!("no effect, because {} is set", other.key)));
                    continue;
                }
                let text = unescape(value);
                of_segment.insert(option, LabelValue { key, property, text, is_own });
            }
        }
    }
    let common = segments.remove(&None).unwrap_or_default();
    if segments.is_empty() {
        return vec![Segment { name: None, labels: common }];
    }
    let with_common = |(name, mut labels): (Option<String>, BTreeMap<String, LabelValue<'a>>)| {
        for (option, label) in &common {
            labels.entry(option.clone()).or_insert_with(|| label.clone());
        }
        Segment { name, labels }
    };
    segments.into_iter().map(with_common).collect()
}

/// Traefik 1 put values into TOML strings, so `\\` meant a backslash. A single backslash was an error there; it is kept.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|next| matches!(next, '\\' | '"'))).flatten();
        text.push(escaped.unwrap_or(c));
    }
    text
}

impl Segment<'_> {
    /// Returns the label that sets `option`. An empty value counts as no label.
    pub(crate) fn get(&self, option: &str) -> Option<&LabelValue<'_>> {
        self.labels.get(&option.to_ascii_lowercase()).filter(|label| !label.text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_backslash_is_one_backslash() {
        for (value, expected) in [
            (r"a\\.b", r"a\.b"),
            (r"\\d+", r"\d+"),
            (r"\d+", r"\d+"),
            (r"\\\\", r"\\"),
            (r#"say \"a\""#, r#"say "a""#),
            ("end\\", "end\\"),
        ] {
            assert_eq!(unescape(value), expected, "{value}");
        }
    }
}
