//! Bearer tokens.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{Failure, reason};

/// A bearer token. `Debug` does not print it.
pub struct Token(String);

/// A token file that cannot be used.
#[derive(Debug)]
pub struct TokenError {
    file: PathBuf,
    cause: io::Error,
}

impl Token {
    /// Reads a token file; `-` is standard input. White space around the token is ignored. The token has no control
    /// characters, so it fits into an HTTP header. Of two tokens, one per line, it returns the first.
    pub fn read(file: &Path) -> Result<Self, TokenError> {
        Self::read_pair(file).map(|(token, _)| token)
    }

    /// Reads a token file, which may have a second line with the token that the first one replaces.
    pub fn read_pair(file: &Path) -> Result<(Self, Option<Self>), TokenError> {
        let content = if file == Path::new("-") {
            let mut content = Vec::new();
            io::stdin().read_to_end(&mut content).map(|_| content)
        } else {
            fs::read(file)
        };
        let pair = content.and_then(|content| {
            pair(&content).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))
        });
        pair.map_err(|cause| TokenError { file: file.to_owned(), cause })
    }

    /// Checks that an `Authorization` header is `Bearer TOKEN` with this token.
    pub fn check(&self, header: Option<&[u8]>) -> Result<(), &'static str> {
        match header.and_then(bearer) {
            Some(token) if self.equals(token) => Ok(()),
            Some(_) => Err("invalid token"),
            None => Err("missing token: send the header authorization: Bearer TOKEN"),
        }
    }

    /// Returns the token.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the value of the `Authorization` header.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Compares in constant time.
    pub fn equals(&self, other: &[u8]) -> bool {
        constant_time_eq(self.as_bytes(), other)
    }
}

/// Compares secrets. For texts of the same length, the duration does not depend on where they differ.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Returns the tokens in a file.
fn pair(content: &[u8]) -> Result<(Token, Option<Token>), &'static str> {
    let text = str::from_utf8(content).map_err(|_| "expected printable characters")?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().ok_or("the file is empty")?;
    let (second, rest) = (lines.next(), lines.next());
    if rest.is_some() {
        return Err("expected one token, or two of which the first replaces the second");
    }
    if [Some(first), second].into_iter().flatten().any(|line| line.contains(char::is_control)) {
        return Err("expected printable characters");
    }
    Ok((Token(first.to_owned()), second.map(|token| Token(token.to_owned()))))
}

/// Returns the token of an `Authorization` header. The case of the scheme does not matter.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading token file {}: {}", self.file.display(), reason(&self.cause))
    }
}

impl std::error::Error for TokenError {}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::new(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token("secret".to_owned());
        assert!(token.equals(b"secret"));
        for wrong in [&b""[..], b"secreT", b"secre", b"secrets"] {
            assert!(!token.equals(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn token_is_read_from_a_bearer_header() {
        let token = Token("secret".to_owned());
        assert_eq!(token.check(Some(b"Bearer secret")), Ok(()));
        assert_eq!(token.check(Some(b"bearer secret")), Ok(()));
        assert!(token.check(Some(b"Bearer secrets")).unwrap_err().contains("invalid"));
        for none in [None, Some(&b"secret"[..]), Some(b"Basic secret")] {
            assert!(token.check(none).unwrap_err().contains("missing"), "{none:?}");
        }
    }

    #[test]
    fn unusable_file_is_named_with_the_cause() {
        let path = std::env::temp_dir().join(format!("cli-token-{}", std::process::id()));
        for (content, cause) in [
            (&b" \n"[..], "the file is empty"),
            (b"a\0b", "expected printable characters"),
            (b"a\nb\0", "expected printable characters"),
            (b"\xff", "expected printable characters"),
            (b"a\nb\nc", "expected one token, or two of which the first replaces the second"),
        ] {
            fs::write(&path, content).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert_eq!(error, format!("reading token file {}: {cause}", path.display()));
        }
        fs::write(&path, " secret\n").unwrap();
        assert_eq!(Token::read(&path).unwrap().header(), "Bearer secret");
        assert!(Token::read_pair(&path).unwrap().1.is_none());
        fs::write(&path, "new\n\nold\n").unwrap();
        assert_eq!(Token::read(&path).unwrap().header(), "Bearer new");
        assert!(Token::read_pair(&path).unwrap().1.unwrap().equals(b"old"));
        fs::remove_file(&path).unwrap();
        let error = Token::read(&path).unwrap_err().to_string();
        assert!(error.ends_with(": no such file or directory"), "{error}");
    }
}
