//! The secret that whoever registers has to know.

use std::fs;
use std::path::Path;

use swarmlings_cli::{Failure, reason};

/// The secret. Not printed.
pub(crate) struct Token(Vec<u8>);

impl Token {
    /// Reads the file, without white space at its ends.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display();
        let text = fs::read(path)
            .map_err(|error| Failure::new(format!("reading token file {file}: {}", reason(&error))))?;
        let token = text.trim_ascii();
        if token.is_empty() {
            return Err(Failure::new(format!("reading token file {file}: it is empty")));
        }
        Ok(Self(token.to_vec()))
    }

    /// Compares in a time that tells nothing of where the difference is.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        self.0.len() == given.len()
            && self.0.iter().zip(given).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_will_do() {
        let token = Token(b"secret".to_vec());
        assert!(token.is(b"secret"));
        for wrong in [&b""[..], b"secreT", b"secre", b"secrets"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
    }
}
