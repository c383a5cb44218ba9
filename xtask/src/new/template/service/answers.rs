//! The answer for each path. Pure code: its tests need no server.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A key and its value, parsed from `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    key: String,
    value: String,
}

impl FromStr for Entry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
        // Characters that a path can contain without escaping.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if key.is_empty() || !key.chars().all(is_plain) {
            return Err("expected a KEY of letters, digits and -._~");
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// All entries, and the host name that answers contain.
pub(crate) struct Answers {
    values: BTreeMap<String, String>,
    host: String,
}

impl Answers {
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>, host: &str) -> Self {
        let values = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Self { values, host: host.to_owned() }
    }

    /// The answer for `path`: all keys for `/`, the value for `/KEY`.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        match path.trim_start_matches('/') {
            "" => Some(self.values.keys().flat_map(|key| [key, "\n"]).collect()),
            key => self.values.get(key).map(|value| format!("{value} (from {})\n", self.host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(entries: &[&str]) -> Answers {
        Answers::new(entries.iter().map(|entry| entry.parse().unwrap()), "host-1")
    }

    #[test]
    fn key_returns_its_value_and_root_lists_the_keys() {
        let answers = answers(&["b=2", "a=1=one"]);
        assert_eq!(answers.get("/a").unwrap(), "1=one (from host-1)\n");
        assert_eq!(answers.get("/b").unwrap(), "2 (from host-1)\n");
        assert_eq!(answers.get("/").unwrap(), "a\nb\n");
        // A middleware that strips a prefix may leave an empty path.
        assert_eq!(answers.get("").unwrap(), "a\nb\n");
    }

    #[test]
    fn unknown_path_has_no_answer() {
        let answers = answers(&["a=1"]);
        assert_eq!(["/b", "/A", "/a/", "/a/b"].map(|path| answers.get(path)), [None, None, None, None]);
    }

    #[test]
    fn last_value_of_a_key_wins() {
        assert_eq!(answers(&["a=1", "a=2"]).get("/a").unwrap(), "2 (from host-1)\n");
    }

    #[test]
    fn invalid_entry_is_rejected() {
        for (text, error) in [("a", "KEY=VALUE"), ("=1", "KEY"), ("a/b=1", "letters"), ("ä=1", "letters")] {
            assert!(text.parse::<Entry>().unwrap_err().contains(error), "{text}");
        }
    }
}
