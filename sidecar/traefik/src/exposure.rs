//! Traefik's provider options `exposedByDefault`, `constraints` and `defaultRule`, as flags of the hub.

use std::str::FromStr;

use protocol::Labels;
use regex_lite::Regex;

use crate::default_rule::DefaultRule;
use crate::scanner::Scanner;

/// Which services are routed, and the rule of routers that have none.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// Whether to route services without the label `traefik.enable`.
    pub by_default: bool,
    /// Condition on the labels of a service.
    pub constraints: Option<Constraints>,
    /// Rule for services without a router label, and for routers without a rule.
    pub default_rule: Option<DefaultRule>,
}

impl Default for Exposure {
    fn default() -> Self {
        Self { by_default: true, constraints: None, default_rule: None }
    }
}

impl Exposure {
    /// Whether a service with these labels may be routed. `enabled` is the value of `traefik.enable`.
    pub(crate) fn admits(&self, enabled: Option<bool>, labels: &Labels) -> bool {
        let constraints = self.constraints.as_ref();
        enabled.unwrap_or(self.by_default)
            && constraints.is_none_or(|constraints| constraints.match_labels(labels))
    }

    /// Evaluates the default rule for `service`. Returns `None` without a default rule, or if it is empty.
    pub fn rule_for(&self, service: &str, labels: &Labels) -> Option<String> {
        self.default_rule.as_ref().map(|rule| rule.evaluate(service, labels)).filter(|rule| !rule.is_empty())
    }
}

/// Traefik's `constraints` expression: `Label("key", "value")` and `LabelRegex("key", "pattern")`, combined with `!`, `&&`,
/// `||` and parentheses. Precedence is Go's: `!`, then `&&`, then `||`.
///
/// An invalid pattern is an error here; Traefik ignores it and matches nothing.
#[derive(Clone, Debug)]
pub struct Constraints(Expression);

#[derive(Clone, Debug)]
enum Expression {
    Label(String, String),
    LabelRegex(String, Regex),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

impl Constraints {
    /// Whether `labels` fulfil the expression. A missing label counts as empty.
    pub(crate) fn match_labels(&self, labels: &Labels) -> bool {
        self.0.matches(labels)
    }
}

impl Expression {
    fn matches(&self, labels: &Labels) -> bool {
        let label = |key: &str| labels.0.get(key).map_or("", String::as_str);
        match self {
            Self::Label(key, value) => label(key) == value,
            Self::LabelRegex(key, pattern) => pattern.is_match(label(key)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(all) => all.iter().all(|inner| inner.matches(labels)),
            Self::Or(any) => any.iter().any(|inner| inner.matches(labels)),
        }
    }
}

impl FromStr for Constraints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut scanner = Scanner::new(text);
        let expression = or(&mut scanner)?;
        scanner.skip_space();
        if scanner.rest.is_empty() {
            Ok(Self(expression))
        } else {
            Err(scanner.expected("`&&`, `||` or the end"))
        }
    }
}

fn or(scanner: &mut Scanner<'_>) -> Result<Expression, String> {
    let and = |scanner: &mut Scanner<'_>| sequence(scanner, "&&", term, Expression::And);
    sequence(scanner, "||", and, Expression::Or)
}

/// Parses operands separated by `operator`.
fn sequence(
    scanner: &mut Scanner<'_>,
    operator: &str,
    operand: impl Fn(&mut Scanner<'_>) -> Result<Expression, String>,
    join: fn(Vec<Expression>) -> Expression,
) -> Result<Expression, String> {
    let mut operands = vec![operand(scanner)?];
    while scanner.take(operator) {
        operands.push(operand(scanner)?);
    }
    Ok(if operands.len() == 1 { operands.remove(0) } else { join(operands) })
}

fn term(scanner: &mut Scanner<'_>) -> Result<Expression, String> {
    if scanner.take("!") {
        return Ok(Expression::Not(Box::new(scanner.nested(term)?)));
    }
    if scanner.take("(") {
        let inner = scanner.nested(or)?;
        scanner.expect(")")?;
        return Ok(inner);
    }
    let start = scanner.rest;
    let name = scanner.word(|c| c.is_ascii_alphanumeric());
    if !["Label", "LabelRegex"].contains(&name) {
        scanner.rest = start;
        return Err(scanner.expected("Label or LabelRegex"));
    }
    scanner.expect("(")?;
    let key = string(scanner)?;
    scanner.expect(",")?;
    let value = string(scanner)?;
    // Go allows a trailing comma.
    scanner.take(",");
    scanner.expect(")")?;
    if name == "Label" {
        return Ok(Expression::Label(key, value));
    }
    let pattern = Regex::new(&value).map_err(|error| format!("invalid pattern {value:?}: {error}"))?;
    Ok(Expression::LabelRegex(key, pattern))
}

fn string(scanner: &mut Scanner<'_>) -> Result<String, String> {
    scanner.string()?.ok_or_else(|| scanner.expected("a string in backticks or double quotes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates `expression` for the labels a=1, b=2.
    fn matches(expression: &str) -> bool {
        let labels = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let constraints: Constraints =
            expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"));
        constraints.match_labels(&Labels(labels.into()))
    }

    #[test]
    fn label_compares_the_value_and_label_regex_searches_it() {
        for yes in [
            "Label(`a`,`1`)",
            "Label(\"a\", \"1\")",
            "Label(`c`,``)",
            "LabelRegex(`a`, `[0-9]`)",
            "LabelRegex(`a`, \"^\\\\d$\")",
            "LabelRegex(`c`, `^$`)",
            " ( Label ( `a` , `1` , ) ) ",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["Label(`a`,`2`)", "Label(`A`,`1`)", "Label(`c`,`1`)", "LabelRegex(`b`,`^1`)"] {
            assert!(!matches(no), "{no}");
            assert!(matches(&format!("!{no}")), "{no}");
            assert!(!matches(&format!("!!{no}")), "{no}");
        }
    }

    #[test]
    fn operators_have_the_precedence_of_go() {
        let (t, f) = ("Label(`a`,`1`)", "Label(`a`,`2`)");
        for (expression, expected) in [
            (format!("{t} || {t} && {f}"), true),
            (format!("({t} || {t}) && {f}"), false),
            (format!("{f} && {f} || {t}"), true),
            (format!("!{f} && {t}"), true),
            (format!("!({f} || {t})"), false),
            (format!("!{t} || {t}"), true),
            (format!("{t}&&{t}&&{f}||{f}"), false),
        ] {
            assert_eq!(matches(&expression), expected, "{expression}");
        }
    }

    #[test]
    fn syntax_errors_name_the_place() {
        for (text, error) in [
            ("", "expected Label or LabelRegex, but the text ends"),
            ("Tag(`a`)", "expected Label or LabelRegex at \"Tag(`a`)\""),
            ("Label(`a`)", "expected `,` at \")\""),
            ("Label(`a`, b)", "expected a string in backticks or double quotes at \"b)\""),
            ("Label(`a`, `b`", "expected `)`, but the text ends"),
            (
                "Label(`a`, `b`) and Label(`c`, `d`)",
                "expected `&&`, `||` or the end at \"and Label(`c`, `d`)\"",
            ),
            (
                "Label(`a`, `b`) == Label(`c`, `d`)",
                "expected `&&`, `||` or the end at \"== Label(`c`, `d`)\"",
            ),
            ("Label(`a`, `b) && ", "unterminated string `b) && "),
            ("LabelRegex(`a`, `(`)", "invalid pattern \"(\": "),
        ] {
            let found = text.parse::<Constraints>().unwrap_err();
            assert!(found.starts_with(error), "{text}: {found}");
        }
        assert!("(".repeat(10_000).parse::<Constraints>().is_err());
        assert!("!".repeat(10_000).parse::<Constraints>().is_err());
    }
}
