//! A secret that callers have to know.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::{Failure, reason};

/// A secret that callers have to know. Not printed.
pub struct Token(Vec<u8>);

impl Token {
    /// Reads the file, without white space at its ends.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display();
        let text = fs::read(path)
            .map_err(|error| Failure::new(format!("reading token file {file}: {}", reason(&error))))?;
        let token = text.trim_ascii();
        if token.is_empty() {
            return Err(Failure::new(format!("reading token file {file}: it is empty")));
        }
        Ok(Self(token.to_vec()))
    }

    /// Whether an `Authorization` header holds it, as `Bearer TOKEN`; if not, what is wrong.
    pub fn check(&self, header: Option<&[u8]>) -> Result<(), &'static str> {
        match header.and_then(bearer) {
            Some(given) if self.is(given) => Ok(()),
            Some(_) => Err("the token is another one"),
            None => Err("a token is needed: authorization: Bearer TOKEN"),
        }
    }

    /// What an `Authorization` header holds who knows it.
    pub fn header(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(&self.0))
    }

    /// Compares in a time that tells nothing of where the difference is.
    fn is(&self, given: &[u8]) -> bool {
        self.0.len() == given.len()
            && self.0.iter().zip(given).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }
}

/// The token in an `Authorization` header; the scheme's name may be written in any case.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
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

    #[test]
    fn it_comes_as_a_bearers() {
        let token = Token(b"secret".to_vec());
        assert_eq!(token.check(Some(b"Bearer secret")), Ok(()));
        assert_eq!(token.check(Some(b"bearer secret")), Ok(()));
        assert!(token.check(Some(b"Bearer secrets")).unwrap_err().contains("another"));
        for none in [None, Some(&b"secret"[..]), Some(b"Basic secret")] {
            assert!(token.check(none).unwrap_err().contains("is needed"), "{none:?}");
        }
    }
}
