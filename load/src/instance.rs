//! Names of instances in responses.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use regex_lite::Regex;

/// Number of bytes of a body that are searched for the name of an instance.
pub(crate) const SEARCHED_BYTES: usize = 64 * 1024;

/// Header fields that name the instance by default. Swarmlings' services send the first one in a swarm.
const DEFAULT: [&str; 2] = ["x-instance", "x-served-by"];

/// Where a response names its instance.
#[derive(Clone, Debug)]
pub enum InstanceKey {
    /// In the first of these header fields (lower case) that the response has.
    Header(Vec<String>),
    /// In the body: the first group of the regular expression, or its whole match if it has no group.
    Body(BodyKey),
}

/// A regular expression for bodies. The crate `regex` would take 2 µs per KiB for an expression without a prefix, in place of
/// 20 to 50 µs, but its lazy DFA adds 235 kB to the program.
#[derive(Clone, Debug)]
pub struct BodyKey {
    expression: Regex,
    /// Text with which each match begins, which is found much faster than the expression.
    prefix: String,
}

impl BodyKey {
    /// The first group of the first match, or the whole match if there is no group.
    fn find<'a>(&self, body: &'a str) -> Option<&'a str> {
        let start = body.find(&self.prefix)?;
        let found = self.expression.captures_at(body, start)?;
        found.get(1).or_else(|| found.get(0)).map(|found| found.as_str())
    }
}

/// Returns the text with which each match of an expression begins; empty if that is not certain.
fn literal_prefix(expression: &str) -> String {
    let mut rest =
        ["(?m)", "(?s)"].iter().fold(expression, |rest, flag| rest.strip_prefix(flag).unwrap_or(rest));
    while let Some(after) = ["^", r"\b", r"\A"].iter().find_map(|anchor| rest.strip_prefix(anchor)) {
        rest = after;
    }
    let mut prefix = String::new();
    let mut chars = rest.chars();
    if rest.contains('|') {
        return prefix;
    }
    loop {
        match chars.next() {
            // Repeated, possibly zero times.
            Some('*' | '?' | '{') => {
                prefix.pop();
                return prefix;
            }
            Some('\\') => match chars.next() {
                // Others are classes and anchors, also \< and \>.
                Some(escaped) if escaped.is_ascii_punctuation() && !"<>".contains(escaped) => {
                    prefix.push(escaped);
                }
                _ => return prefix,
            },
            None | Some('+' | '(' | ')' | '[' | ']' | '}' | '.' | '^' | '$') => return prefix,
            Some(char) => prefix.push(char),
        }
    }
}

impl Default for InstanceKey {
    fn default() -> Self {
        Self::Header(DEFAULT.map(str::to_owned).to_vec())
    }
}

impl InstanceKey {
    /// Names of the header fields, by preference.
    pub(crate) fn headers(&self) -> &[String] {
        match self {
            Self::Header(names) => names,
            Self::Body(_) => &[],
        }
    }

    /// Replaces `name` with the name found in `body`, or clears it without a match. A header key leaves it unchanged.
    pub(crate) fn find_in_body(&self, body: &[u8], name: &mut Vec<u8>) {
        let Self::Body(key) = self else { return };
        name.clear();
        let body = String::from_utf8_lossy(body);
        name.extend_from_slice(key.find(&body).unwrap_or_default().as_bytes());
    }
}

impl FromStr for InstanceKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", names)) => {
                let parse = |name: &str| {
                    let parsed = HeaderName::from_str(name.trim());
                    parsed
                        .map(|name| name.as_str().to_owned())
                        .map_err(|_| format!("invalid header name {name:?}"))
                };
                names.split(',').map(parse).collect::<Result<_, _>>().map(Self::Header)
            }
            Some(("body", expression)) => Regex::new(expression)
                .map(|regex| Self::Body(BodyKey { prefix: literal_prefix(expression), expression: regex }))
                .map_err(|error| format!("invalid regular expression {expression:?}: {error}")),
            _ => {
                Err("expected header:NAME or body:REGEX, for example header:x-instance,x-served-by"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(names) => write!(f, "header:{}", names.join(",")),
            Self::Body(key) => write!(f, "body:{}", key.expression),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, body: &str) -> String {
        let mut name = b"before".to_vec();
        key.parse::<InstanceKey>().unwrap().find_in_body(body.as_bytes(), &mut name);
        String::from_utf8(name).unwrap()
    }

    #[test]
    fn name_in_body_is_the_first_group_or_the_whole_match() {
        assert_eq!(found(r"body:from (\w+)", "Pong from ping1!\n"), "ping1");
        assert_eq!(found(r"body:(?m)^Hostname: (.*)$", "Name: x\nHostname: 3f2a\nIP: ::1\n"), "3f2a");
        assert_eq!(found(r"body:nginx/[0-9.]+", "<center>nginx/1.22.1</center>"), "nginx/1.22.1");
        assert_eq!(found(r"body:from (\w+)", "no match"), "");
    }

    #[test]
    fn literal_prefix_is_found_where_it_is_certain() {
        for (expression, prefix) in [
            (r"from (\w+)", "from "),
            (r"(?m)^Hostname: (.*)$", "Hostname: "),
            (r"^\bnginx/[0-9.]+", "nginx/"),
            (r"a\.b\(c\)x*", "a.b(c)"),
            (r"ab+c", "ab"),
            (r"ab?c", "a"),
            (r"a{0,2}", ""),
            (r"colou?r", "colo"),
            (r"(a)", ""),
            (r"ping|pong", ""),
            (r"(?i)Hostname: (.*)", ""),
            (r"a\d", "a"),
            (r"é: (.)", "é: "),
        ] {
            assert_eq!(literal_prefix(expression), prefix, "{expression}");
        }
    }

    #[test]
    fn match_after_a_false_prefix_is_found() {
        assert_eq!(found(r"body:from ([0-9]+)", "from here, and from 7"), "7");
        assert_eq!(found(r"body:(?m)^Hostname: (.*)$", "a Hostname: x\nHostname: y\n"), "y");
        assert_eq!(found(r"body:\bfrom (\w+)", "wherefrom a, from b"), "b");
    }

    #[test]
    fn header_name_is_case_insensitive() {
        let key: InstanceKey = "header:X-Task, X-Served-By".parse().unwrap();
        assert_eq!(key.headers(), ["x-task", "x-served-by"]);
        assert_eq!(key.to_string(), "header:x-task,x-served-by");
    }

    #[test]
    fn invalid_key_is_rejected_with_the_reason() {
        for (invalid, reason) in [
            ("x-served-by", "expected header:NAME or body:REGEX"),
            ("cookie:a", "expected header:NAME or body:REGEX"),
            ("header:", "invalid header name \"\""),
            ("header:a b", "invalid header name \"a b\""),
            ("body:from (", "invalid regular expression \"from (\""),
        ] {
            let error = invalid.parse::<InstanceKey>().unwrap_err();
            assert!(error.starts_with(reason), "{invalid}: {error}");
        }
    }
}
