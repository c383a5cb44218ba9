//! Errors and warnings about labels.

use std::fmt;

use protocol::Labels;

/// An error or a warning about a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Key of the label, or several keys joined by `, `.
    pub label: String,
    /// Cause and, where there is one, remedy; without the key.
    pub message: String,
}

impl Diagnostic {
    /// Creates a diagnostic about `label`.
    pub fn new(label: impl Into<String>, message: impl Into<String>) -> Self {
        Self { label: label.into(), message: message.into() }
    }

    /// Creates an error about a value: "expected a port from 1 to 65535, got "0"".
    pub fn expected(label: impl Into<String>, expected: &str, value: &str) -> Self {
        Self::new(label, format!("expected {expected}, got {value:?}"))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.message)
    }
}

/// All errors in the labels of a service: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelErrors(pub Vec<Diagnostic>);

/// Number of errors after which checks stop.
pub(crate) const ENOUGH: usize = 100;

/// Maximum number of errors in a message.
const MAX_SHOWN: usize = 10;

impl fmt::Display for LabelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<_> = self.0.iter().take(MAX_SHOWN).map(Diagnostic::to_string).collect();
        f.write_str(&messages.join("; "))?;
        match self.0.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for LabelErrors {}

/// Labels translated from an older version of Traefik, with the diagnostics of the translation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// Labels in the syntax of Traefik 3.
    pub labels: Labels,
    /// Labels without a successor, or with another meaning in Traefik 3.
    pub warnings: Vec<Diagnostic>,
    /// Labels that cannot be translated.
    pub errors: Vec<Diagnostic>,
}
