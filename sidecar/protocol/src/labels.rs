//! Service labels and their encoding in a task's environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// Service labels by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

/// An invalid label in `SIDECAR_LABELS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelsError {
    /// Position of the label, counted from 1.
    position: usize,
    text: String,
    cause: &'static str,
}

impl Labels {
    /// Parses `key=value&key=value&`, the format that the template in stack files produces. Keys and values are
    /// escaped by Go's `urlquery`: a space as `+`, other bytes as `%XX`.
    pub fn from_urlquery(text: &str) -> Result<Self, LabelsError> {
        let mut labels = BTreeMap::new();
        for (index, pair) in text.split('&').filter(|pair| !pair.trim().is_empty()).enumerate() {
            let error =
                |cause| LabelsError { position: index + 1, text: pair.chars().take(64).collect(), cause };
            let (key, value) = pair.split_once('=').ok_or_else(|| error("missing '='"))?;
            let (key, value) =
                decode(key).zip(decode(value)).ok_or_else(|| error("not valid UTF-8 after decoding"))?;
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

fn decode(text: &str) -> Option<String> {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

impl fmt::Display for LabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label {} ({:?}): {}", self.position, self.text, self.cause)
    }
}

impl std::error::Error for LabelsError {}

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
        let message = |text| Labels::from_urlquery(text).unwrap_err().to_string();
        assert_eq!(message("a=1&b"), "label 2 (\"b\"): missing '='");
        assert_eq!(message("=1"), "label 1 (\"=1\"): empty key");
        assert_eq!(message("a=%FF"), "label 1 (\"a=%FF\"): not valid UTF-8 after decoding");
        assert_eq!(message("a=1&a=2"), "label 2 (\"a=2\"): duplicate key");
    }
}
