//! Label sets: rules that are right, that are nearly right, and that are made of parts.

use std::fmt::Write as _;

use super::Case;
use super::corpus::{MISTAKES, TCP, V2};
use super::labels::Sets;
use super::oracle::service;
use super::random::Random;
use super::values;

pub(super) struct Generator {
    random: Random,
    rules: Vec<String>,
    sets: Sets,
}

/// Arguments of any matcher.
const ARGUMENTS: [&str; 30] = [
    "a.lan",
    "*.a.lan",
    "*",
    "a*.lan",
    "A.LAN.",
    "a_b",
    "a.lan:80",
    "[::1]",
    "::1",
    "é.lan",
    "",
    " ",
    "/",
    "/a/b",
    "/a?b",
    "/{x}",
    "/%2F",
    "GET",
    "h2",
    "acme-tls/1",
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.0/08",
    "::/129",
    "1.2.3",
    "::ffff:1.2.3.4/96",
    "X-A",
    "Host",
    "a\"b",
    "1:2:3:4:5:6:7::",
];

/// Parts of regular expressions.
const PATTERNS: [&str; 82] = [
    "a",
    "b",
    "ab",
    "é",
    "-",
    ".",
    "^",
    "$",
    "|",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?i:",
    "(?P<n>",
    "(?<n>",
    "(?P<n",
    "(?=",
    "(?!",
    "(?-s)",
    "(?m-U:",
    "(?",
    "*",
    "+",
    "?",
    "??",
    "*?",
    "{2}",
    "{1,}",
    "{,3}",
    "{2,3}",
    "{0}",
    "{1000}",
    "{1001}",
    "{3,2}",
    "{01}",
    "{",
    "}",
    "[",
    "]",
    "[^",
    "[a-z]",
    "[z-a]",
    "[]a]",
    "[^]]",
    "[a-",
    "[[:alpha:]]",
    "[[:^word:]",
    "[[:foo:]]",
    "[:alpha:]",
    "\\d",
    "\\W",
    "\\s",
    "\\b",
    "\\B",
    "\\A",
    "\\z",
    "\\Z",
    "\\Q",
    "\\E",
    "\\C",
    "\\1",
    "\\0",
    "\\07",
    "\\x41",
    "\\x{41}",
    "\\x{110000}",
    "\\x4",
    "\\pL",
    "\\p{Greek}",
    "\\p{^Lu}",
    "\\P{Old_Italic}",
    "\\p{letter}",
    "\\p{Foo}",
    "\\p",
    "\\.",
    "\\_",
    "\\-",
    "\\a",
    "\\h",
    "\\u0041",
    "\\",
];

/// Pieces of rules.
const PIECES: [&str; 40] = [
    "Host(`a.lan`)",
    "Path(`/a`)",
    "PathPrefix(`/`)",
    "HostSNI(`*`)",
    "ALPN(`h2`)",
    "Host",
    "host",
    "Query",
    "header",
    "METHOD",
    "(",
    ")",
    "`",
    "\"",
    "'",
    "`a`",
    "\"/a\"",
    "\"\\x41\"",
    "\"\\xff\"",
    "\"\\q\"",
    ",",
    "...",
    "!",
    "!!",
    "&&",
    "||",
    "&",
    "|",
    "!=",
    "==",
    " ",
    "\n",
    "\t",
    "\r",
    ";",
    "//",
    "/*",
    "*/",
    "/* a\n*/",
    "\u{feff}",
];

const NAMES: [&str; 24] = [
    "Host",
    "HostRegexp",
    "Path",
    "PathPrefix",
    "PathRegexp",
    "Method",
    "Header",
    "HeaderRegexp",
    "Query",
    "QueryRegexp",
    "ClientIP",
    "HostSNI",
    "HostSNIRegexp",
    "ALPN",
    "Headers",
    "HeadersRegexp",
    "HostHeader",
    "host",
    "HOSTREGEXP",
    "Pathprefix",
    "pathPrefix",
    "clientip",
    "ClientIp",
    "Alpn",
];

impl Generator {
    pub(super) fn new(seed: u64, rules: Vec<String>, sets: Sets) -> Self {
        Self { random: Random::new(seed), rules, sets }
    }

    /// Returns the case with this number in its document.
    pub(super) fn case(&mut self, number: usize) -> Case {
        if self.random.chance(35) {
            return values::case(&mut self.random, number);
        }
        let name = service(number);
        if self.random.chance(50) {
            let mutations = self.random.below(4);
            let kind = if mutations == 0 { "label sets of documents" } else { "mutations of label sets" };
            return Case { kind, labels: self.sets.pick(&mut self.random, &name, mutations) };
        }
        let (kind, protocol, rule, syntax) = match self.random.below(100) {
            0..10 => ("rules of stack files and documents", "http", self.known(), None),
            10..44 => {
                let rule = self.known();
                ("their mutations", "http", self.mutate(rule), None)
            }
            44..48 => ("mistakes of operators", "http", self.random.pick(&MISTAKES).to_owned(), None),
            48..54 => {
                let rule = self.random.pick(&MISTAKES).to_owned();
                ("mutations of mistakes", "http", self.mutate(rule), None)
            }
            54..68 => ("regular expressions", "http", self.regex_rule(), None),
            68..78 => ("matchers with random arguments", "http", self.calls(), None),
            78..82 => ("pieces of rules", "http", self.pieces(), None),
            82..92 => {
                let rule = self.random.pick(&TCP).to_owned();
                let rule = match self.random.below(3) {
                    0 => rule,
                    1 => self.mutate(rule),
                    _ => self.calls(),
                };
                ("TCP rules and their mutations", "tcp", rule, None)
            }
            _ => {
                let rule = self.random.pick(&V2).to_owned();
                let rule = if self.random.chance(30) { rule } else { self.mutate(rule) };
                ("rules of version 2", "http", rule, Some("v2"))
            }
        };
        let mut labels = vec![(format!("{protocol}.routers.{name}.rule"), rule)];
        if let Some(syntax) = syntax {
            labels.push((format!("{protocol}.routers.{name}.rulesyntax"), syntax.to_owned()));
        }
        if protocol == "tcp" {
            labels.push((format!("tcp.routers.{name}.entrypoints"), "web".to_owned()));
        }
        if self.random.chance(if protocol == "tcp" { 60 } else { 10 }) {
            labels.push((format!("{protocol}.routers.{name}.tls"), "true".to_owned()));
        }
        Case { kind, labels }
    }

    fn known(&mut self) -> String {
        let index = self.random.below(self.rules.len());
        self.rules[index].clone()
    }

    /// Changes a rule in one to three places.
    fn mutate(&mut self, mut rule: String) -> String {
        for _ in 0..=self.random.below(3) {
            rule = match self.random.below(8) {
                0 => self.replace_name(&rule),
                1 => self.replace_argument(&rule),
                2 => rule.replacen('`', self.random.pick(&["'", "\"", "", "``"]), self.random.below(4)),
                3 => {
                    let other = self.known();
                    format!(
                        "{rule}{}{other}",
                        self.random.pick(&[" && ", " || ", "||", " ", "\n&& ", " &&\n", " && !", ", "])
                    )
                }
                4 => {
                    let piece = self.random.pick(&PIECES);
                    let at = self.place(&rule);
                    format!("{}{piece}{}", &rule[..at], &rule[at..])
                }
                5 => {
                    let pattern = self.random.pick(&PATTERNS);
                    let at = self.place(&rule);
                    format!("{}{pattern}{}", &rule[..at], &rule[at..])
                }
                6 => {
                    let (from, to) = self.range(&rule);
                    format!("{}{}", &rule[..from], &rule[to..])
                }
                _ => {
                    let (from, to) = self.range(&rule);
                    format!("{}{}", &rule[..to], &rule[from..])
                }
            };
        }
        rule
    }

    /// A boundary between two characters.
    fn place(&mut self, text: &str) -> usize {
        let at = self.random.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
    }

    /// A short range.
    fn range(&mut self, text: &str) -> (usize, usize) {
        let from = self.place(text);
        let to = (from + 1 + self.random.below(4)).min(text.len());
        (from, (to..=text.len()).find(|to| text.is_char_boundary(*to)).unwrap_or(text.len()))
    }

    fn replace_name(&mut self, rule: &str) -> String {
        let (name, new) = (self.random.pick(&NAMES), self.random.pick(&NAMES));
        rule.replacen(&format!("{name}("), &format!("{new}("), 1 + self.random.below(2))
    }

    fn replace_argument(&mut self, rule: &str) -> String {
        let parts: Vec<_> = rule.split('`').collect();
        let chosen = self.random.below(parts.len() / 2) * 2 + 1;
        let new =
            if self.random.chance(50) { self.random.pick(&ARGUMENTS).to_owned() } else { self.pattern() };
        let parts: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| if index == chosen { new.as_str() } else { part })
            .collect();
        parts.join("`")
    }

    fn pattern(&mut self) -> String {
        (0..=self.random.below(6)).map(|_| self.random.pick(&PATTERNS)).collect()
    }

    fn regex_rule(&mut self) -> String {
        let pattern = self.pattern();
        match self.random.below(4) {
            0 => format!("HostRegexp(`{pattern}`)"),
            1 => format!("HeaderRegexp(`X-A`, `{pattern}`)"),
            2 => format!("QueryRegexp(`a`, `{pattern}`)"),
            _ => format!("PathRegexp(`{pattern}`)"),
        }
    }

    /// Matchers with random names and arguments, in a correct expression.
    fn calls(&mut self) -> String {
        let mut rule = String::new();
        for number in 0..=self.random.below(3) {
            if number > 0 {
                rule.push_str(self.random.pick(&[" && ", " || "]));
            }
            let arguments: Vec<_> = (0..=self.random.below(7) / 4)
                .map(|_| format!("`{}`", self.random.pick(&ARGUMENTS)))
                .collect();
            let not = if self.random.chance(10) { "!" } else { "" };
            let _ = write!(rule, "{not}{}({})", self.random.pick(&NAMES), arguments.join(", "));
        }
        rule
    }

    fn pieces(&mut self) -> String {
        (0..=self.random.below(8)).map(|_| self.random.pick(&PIECES)).collect()
    }
}
