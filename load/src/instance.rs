//! What tells instances apart.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use regex_lite::Regex;

/// So much of a body is looked at for an instance's name.
pub const LOOKED_AT: usize = 64 * 1024;

/// Where an answer has the name of who gives it.
#[derive(Clone, Debug)]
pub enum Key {
    /// In a header field, whose name is in lower case.
    Header(String),
    /// In the body: what the first group of the expression matches, or all of it where there is no group.
    Body(Regex),
}

impl Key {
    /// The header field's name.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            Self::Body(_) => None,
        }
    }

    /// Puts the name that is in a body into `name`: nothing, where the expression does not match.
    pub fn find(&self, body: &[u8], name: &mut Vec<u8>) {
        let Self::Body(expression) = self else { return };
        name.clear();
        let body = String::from_utf8_lossy(body);
        let found = expression.captures(&body).and_then(|found| found.get(1).or_else(|| found.get(0)));
        name.extend_from_slice(found.map_or("", |found| found.as_str()).as_bytes());
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) => HeaderName::from_str(name.trim())
                .map(|name| Self::Header(name.as_str().to_owned()))
                .map_err(|_| format!("{name:?} is no header's name")),
            Some(("body", expression)) => Regex::new(expression)
                .map(Self::Body)
                .map_err(|error| format!("{expression:?} is no regular expression: {error}")),
            _ => Err(
                "header:NAME or body:EXPRESSION is expected, such as header:x-served-by or body:from (\\w+)"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Body(expression) => write!(f, "body:{expression}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, body: &str) -> String {
        let mut name = b"before".to_vec();
        key.parse::<Key>().unwrap().find(body.as_bytes(), &mut name);
        String::from_utf8(name).unwrap()
    }

    #[test]
    fn a_body_has_the_name_in_the_first_group_or_in_the_whole_match() {
        assert_eq!(found(r"body:from (\w+)", "Pong from ping1!\n"), "ping1");
        assert_eq!(found(r"body:(?m)^Hostname: (.*)$", "Name: x\nHostname: 3f2a\nIP: ::1\n"), "3f2a");
        assert_eq!(found(r"body:nginx/[0-9.]+", "<center>nginx/1.22.1</center>"), "nginx/1.22.1");
        assert_eq!(found(r"body:from (\w+)", "nobody"), "");
    }

    #[test]
    fn a_header_is_named_in_any_case() {
        let key: Key = "header:X-Served-By".parse().unwrap();
        assert_eq!((key.header(), key.to_string().as_str()), (Some("x-served-by"), "header:x-served-by"));
    }

    #[test]
    fn what_is_neither_is_refused_with_what_is_expected() {
        for (bad, fault) in [
            ("x-served-by", "header:NAME or body:EXPRESSION is expected"),
            ("cookie:a", "header:NAME or body:EXPRESSION is expected"),
            ("header:", "\"\" is no header's name"),
            ("header:a b", "\"a b\" is no header's name"),
            ("body:from (", "\"from (\" is no regular expression"),
        ] {
            let error = bad.parse::<Key>().unwrap_err();
            assert!(error.starts_with(fault), "{bad}: {error}");
        }
    }
}
