//! Service labels and their encoding in a task's environment.

use std::collections::BTreeMap;

use parse::{form_decode, query_pairs};
use serde::{Deserialize, Serialize};

/// Service labels by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// Parses `key=value&key=value&`, the format that the template in stack files produces. Keys and values are
    /// escaped by Go's `urlquery`: a space as `+`, other bytes as `%XX`. An error names the label, counted from 1.
    pub fn from_urlquery(text: &str) -> Result<Self, String> {
        let mut labels = BTreeMap::new();
        let pairs = query_pairs(text).filter(|(key, value)| value.is_some() || !key.trim().is_empty());
        for (index, (raw_key, value)) in pairs.enumerate() {
            let error = |cause: &str| {
                format!("label {} ({:?}): {cause}", index + 1, raw_key.chars().take(64).collect::<String>())
            };
            let value = value.ok_or_else(|| error("missing '='"))?;
            let (Ok(key), Ok(value)) = (form_decode(raw_key), form_decode(value)) else {
                return Err(error("not valid UTF-8 after decoding"));
            };
            let key = key.trim();
            if key.is_empty() {
                return Err(error("empty key"));
            }
            if labels.insert(key.to_owned(), value).is_some() {
                return Err(error("duplicate key"));
            }
        }
        Ok(Self(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_escaped_by_go_urlquery_are_decoded() {
        let text = "traefik.http.routers.ping.rule=PathPrefix%28%60%2Fping%60%29+%26%26+Host%28%60caf%C3%A9%60%29&a=1%3D2&b=&";
        let labels = Labels::from_urlquery(text).unwrap().0;
        assert_eq!(labels["traefik.http.routers.ping.rule"], "PathPrefix(`/ping`) && Host(`café`)");
        assert_eq!(labels["a"], "1=2");
        assert_eq!(labels["b"], "");
        assert_eq!(labels.len(), 3);
        assert_eq!(Labels::from_urlquery(""), Ok(Labels::default()));
    }

    #[test]
    fn error_names_the_invalid_label() {
        let message = |text| Labels::from_urlquery(text).unwrap_err();
        assert_eq!(message("a=1&b"), "label 2 (\"b\"): missing '='");
        assert_eq!(message("=1"), "label 1 (\"\"): empty key");
        assert_eq!(message("a=%FF"), "label 1 (\"a\"): not valid UTF-8 after decoding");
        assert_eq!(message("a=1&a=2"), "label 2 (\"a\"): duplicate key");
    }
}
