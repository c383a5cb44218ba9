//! Traefik's `constraints`: an expression that a service's labels have to fit. Its grammar is that of Go's expressions:
//! `!` binds most, then `&&`, then `||`.

use std::str::FromStr;

use protocol::Labels;
use regex_lite::Regex;

use crate::literal;

/// An expression that labels fit or do not: `Label("key", "value")`, `LabelRegex("key", "pattern")`, and what `!`, `&&`,
/// `||` and parentheses make of them.
///
/// A pattern that is none is refused here; with Traefik it fits nothing.
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

/// More parentheses and negations within each other than anybody writes.
const DEEPEST: usize = 64;

impl Constraints {
    /// Whether `labels` fit. One that is not there is the same as an empty one.
    pub(crate) fn admit(&self, labels: &Labels) -> bool {
        self.0.admits(labels)
    }
}

impl Expression {
    fn admits(&self, labels: &Labels) -> bool {
        let label = |key: &str| labels.0.get(key).map_or("", String::as_str);
        match self {
            Self::Label(key, value) => label(key) == value,
            Self::LabelRegex(key, pattern) => pattern.is_match(label(key)),
            Self::Not(inner) => !inner.admits(labels),
            Self::And(all) => all.iter().all(|inner| inner.admits(labels)),
            Self::Or(any) => any.iter().any(|inner| inner.admits(labels)),
        }
    }
}

impl FromStr for Constraints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text, depth: 0 };
        let expression = reader.any()?;
        reader.skip_space();
        if reader.rest.is_empty() {
            Ok(Self(expression))
        } else {
            Err(format!("{:?}: `&&`, `||` or the end is expected here", reader.rest))
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn any(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Or(parts) })
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn one(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} parentheses and negations stand within each other"));
        }
        let expression = if self.take("!") {
            Expression::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any()?;
            self.expect(")")?;
            inner
        } else {
            self.function()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn function(&mut self) -> Result<Expression, String> {
        self.skip_space();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !["Label", "LabelRegex"].contains(&name) {
            return Err(format!("{:?}: Label or LabelRegex is expected here", self.rest));
        }
        self.rest = rest;
        self.expect("(")?;
        let key = self.text()?;
        self.expect(",")?;
        let value = self.text()?;
        // Go lets a comma stand at the end, too.
        self.take(",");
        self.expect(")")?;
        if name == "Label" {
            return Ok(Expression::Label(key, value));
        }
        let pattern = Regex::new(&value).map_err(|error| format!("LabelRegex, {value:?}: {error}"))?;
        Ok(Expression::LabelRegex(key, pattern))
    }

    fn text(&mut self) -> Result<String, String> {
        self.skip_space();
        let (text, rest) = literal::text(self.rest)?.ok_or_else(|| {
            format!("{:?}: a text is expected here, between backticks or quotation marks", self.rest)
        })?;
        self.rest = rest;
        Ok(text)
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("{:?}: `{token}` is expected here", self.rest)) }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the labels a=1, b=2 fit.
    fn fits(expression: &str) -> bool {
        let labels = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let constraints: Constraints =
            expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"));
        constraints.admit(&Labels(labels.into()))
    }

    #[test]
    fn labels_are_compared_whole_and_patterns_are_looked_for() {
        for yes in [
            "Label(`a`,`1`)",
            "Label(\"a\", \"1\")",
            "Label(`c`,``)",
            "LabelRegex(`a`, `[0-9]`)",
            "LabelRegex(`a`, \"^\\\\d$\")",
            "LabelRegex(`c`, `^$`)",
            " ( Label ( `a` , `1` , ) ) ",
        ] {
            assert!(fits(yes), "{yes}");
        }
        for no in ["Label(`a`,`2`)", "Label(`A`,`1`)", "Label(`c`,`1`)", "LabelRegex(`b`,`^1`)"] {
            assert!(!fits(no), "{no}");
            assert!(fits(&format!("!{no}")), "{no}");
            assert!(!fits(&format!("!!{no}")), "{no}");
        }
    }

    #[test]
    fn operators_bind_as_in_go() {
        let (t, f) = ("Label(`a`,`1`)", "Label(`a`,`2`)");
        for (expression, fitting) in [
            (format!("{t} || {t} && {f}"), true),
            (format!("({t} || {t}) && {f}"), false),
            (format!("{f} && {f} || {t}"), true),
            (format!("!{f} && {t}"), true),
            (format!("!({f} || {t})"), false),
            (format!("!{t} || {t}"), true),
            (format!("{t}&&{t}&&{f}||{f}"), false),
        ] {
            assert_eq!(fits(&expression), fitting, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_at_the_place() {
        for (text, error) in [
            ("", "\"\": Label or LabelRegex is expected here"),
            ("Tag(`a`)", "\"Tag(`a`)\": Label or LabelRegex is expected here"),
            ("Label(`a`)", "\")\": `,` is expected here"),
            ("Label(`a`, b)", "\"b)\": a text is expected here, between backticks or quotation marks"),
            ("Label(`a`, `b`", "\"\": `)` is expected here"),
            (
                "Label(`a`, `b`) and Label(`c`, `d`)",
                "\"and Label(`c`, `d`)\": `&&`, `||` or the end is expected here",
            ),
            (
                "Label(`a`, `b`) == Label(`c`, `d`)",
                "\"== Label(`c`, `d`)\": `&&`, `||` or the end is expected here",
            ),
            ("Label(`a`, `b) && ", "`b) && : it has no second backtick"),
            ("LabelRegex(`a`, `(`)", "LabelRegex, \"(\": "),
        ] {
            let found = text.parse::<Constraints>().unwrap_err();
            assert!(found.starts_with(error), "{text}: {found}");
        }
        assert!("(".repeat(10_000).parse::<Constraints>().is_err());
        assert!("!".repeat(10_000).parse::<Constraints>().is_err());
    }
}
