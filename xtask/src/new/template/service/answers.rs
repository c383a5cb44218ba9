//! What is answered at which path: pure, so that a test needs no server.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What one path is answered with, given as `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    key: String,
    value: String,
}

impl FromStr for Entry {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
        // No other character can stand in a path as it is.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if key.is_empty() || !key.chars().all(is_plain) {
            return Err("KEY is expected to be letters, digits and -._~");
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// All entries, and who answers.
pub(crate) struct Answers {
    values: BTreeMap<String, String>,
    host: String,
}

impl Answers {
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>, host: &str) -> Self {
        let values = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Self { values, host: host.to_owned() }
    }

    /// The answer at `path`, if there is one: at `/` all keys, at `/KEY` its value.
    pub(crate) fn at(&self, path: &str) -> Option<String> {
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
    fn each_key_has_its_value_and_the_root_has_all_keys() {
        let answers = answers(&["b=2", "a=1=one"]);
        assert_eq!(answers.at("/a").unwrap(), "1=one (from host-1)\n");
        assert_eq!(answers.at("/b").unwrap(), "2 (from host-1)\n");
        assert_eq!(answers.at("/").unwrap(), "a\nb\n");
        // What is left of a prefix that was taken off.
        assert_eq!(answers.at("").unwrap(), "a\nb\n");
    }

    #[test]
    fn what_is_not_there_has_no_answer() {
        let answers = answers(&["a=1"]);
        assert_eq!(["/b", "/A", "/a/", "/a/b"].map(|path| answers.at(path)), [None, None, None, None]);
    }

    #[test]
    fn of_one_key_the_last_value_counts() {
        assert_eq!(answers(&["a=1", "a=2"]).at("/a").unwrap(), "2 (from host-1)\n");
    }

    #[test]
    fn an_entry_that_no_path_can_name_is_refused() {
        for (text, fault) in [("a", "KEY=VALUE"), ("=1", "KEY"), ("a/b=1", "letters"), ("ä=1", "letters")] {
            assert!(text.parse::<Entry>().unwrap_err().contains(fault), "{text}");
        }
    }
}
