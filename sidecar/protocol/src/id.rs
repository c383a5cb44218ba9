//! Instance IDs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// Unique name of an instance: 1 to 255 letters, digits, `.`, `_` or `-`.
///
/// It is safe in a path, a log line and a metric label. `.` and `..` are excluded because HTTP clients remove them
/// from paths. Clones share its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Returns its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 255 || matches!(text, "." | "..") || !text.chars().all(is_allowed)
        {
            let text: String = text.chars().take(64).collect();
            let expected = "expected 1 to 255 letters, digits, '.', '_' or '-', but not '.' or '..' alone";
            return Err(format!("invalid instance ID {text:?}: {expected}"));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for InstanceId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Serialize for InstanceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_id_is_safe_in_a_path() {
        assert!("demo_ping.1.ffkef7x4l1njjxeinxqy6zwwd".parse::<InstanceId>().is_ok());
        assert!("...".parse::<InstanceId>().is_ok());
        for bad in ["", ".", "..", "a/b", "a b", "é", "a?b", &"x".repeat(256)] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?}");
        }
    }
}
