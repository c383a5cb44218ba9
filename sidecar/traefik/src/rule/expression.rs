//! Syntax of rules: expressions of Go, as Traefik's parser (`vulcand/predicate`) accepts them.
//!
//! Strings are in backticks or double quotes, may hold any bytes, and are the only arguments. A line must not end after a
//! string, a name or `)`, since Go inserts a semicolon there.

use crate::rule::lexer::{Lexer, Token, shorten};

/// Maximum nesting of parentheses and negations. Traefik's limit is 100,000, but the time that it needs grows with the
/// product of negations and matchers.
const MAX_DEPTH: usize = 64;

/// Leaves, and how they are combined.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expression<T> {
    Leaf(T),
    Not(Box<Expression<T>>),
    All(Vec<Expression<T>>),
    Any(Vec<Expression<T>>),
}

/// A matcher with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Vec<Vec<u8>>,
    /// The text of the call.
    pub(super) text: &'a str,
}

impl<T> Expression<T> {
    /// Replaces each leaf.
    pub(super) fn try_map<U, E>(self, map: &impl Fn(T) -> Result<U, E>) -> Result<Expression<U>, E> {
        let map_all = |all: Vec<Self>| -> Result<Vec<_>, E> {
            all.into_iter().map(|inner| inner.try_map(map)).collect()
        };
        Ok(match self {
            Self::Leaf(leaf) => Expression::Leaf(map(leaf)?),
            Self::Not(inner) => Expression::Not(Box::new(inner.try_map(map)?)),
            Self::All(all) => Expression::All(map_all(all)?),
            Self::Any(any) => Expression::Any(map_all(any)?),
        })
    }

    /// Returns all leaves, in order.
    pub(super) fn leaves(&self) -> Vec<&T> {
        match self {
            Self::Leaf(leaf) => vec![leaf],
            Self::Not(inner) => inner.leaves(),
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::leaves).collect(),
        }
    }

    /// Whether the expression may hold, given whether a leaf or its negation may hold. `is_negated` is false at the root.
    pub(super) fn may_hold(&self, is_negated: bool, leaf: &impl Fn(&T, bool) -> bool) -> bool {
        match self {
            Self::Leaf(inner) => leaf(inner, is_negated),
            Self::Not(inner) => inner.may_hold(!is_negated, leaf),
            Self::All(all) | Self::Any(all) if matches!(self, Self::All(_)) != is_negated => {
                all.iter().all(|inner| inner.may_hold(is_negated, leaf))
            }
            Self::All(any) | Self::Any(any) => any.iter().any(|inner| inner.may_hold(is_negated, leaf)),
        }
    }
}

/// Parses `text`.
///
/// # Errors
/// The text is not an expression of calls, `!`, `&&`, `||` and parentheses.
pub(super) fn parse(text: &str) -> Result<Expression<Call<'_>>, String> {
    let mut parser = Parser { lexer: Lexer::new(text)?, token: Token::End, start: 0, end: 0, depth: 0 };
    parser.next()?;
    let expression = parser.any()?;
    let error = parser.unexpected("`&&`, `||` or the end");
    if parser.token == Token::Newline {
        parser.next()?;
    }
    if parser.token == Token::End { Ok(expression) } else { Err(error) }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// Start of the current token.
    start: usize,
    /// End of the previous token.
    end: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Result<(), String> {
        self.end = self.lexer.position();
        (self.start, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn any(&mut self) -> Result<Expression<Call<'a>>, String> {
        self.sequence(&Token::Or, Self::all, Expression::Any)
    }

    fn all(&mut self) -> Result<Expression<Call<'a>>, String> {
        self.sequence(&Token::And, Self::operand, Expression::All)
    }

    /// Parses operands separated by `operator`.
    fn sequence(
        &mut self,
        operator: &Token<'_>,
        operand: fn(&mut Self) -> Result<Expression<Call<'a>>, String>,
        join: fn(Vec<Expression<Call<'a>>>) -> Expression<Call<'a>>,
    ) -> Result<Expression<Call<'a>>, String> {
        let first = operand(self)?;
        if self.token != *operator {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.token == *operator {
            self.next()?;
            operands.push(operand(self)?);
        }
        Ok(join(operands))
    }

    fn operand(&mut self) -> Result<Expression<Call<'a>>, String> {
        match self.token {
            Token::Not => {
                self.next()?;
                let inner = self.nested(Self::operand)?;
                Ok(Expression::Not(Box::new(inner)))
            }
            Token::Open => {
                self.next()?;
                let inner = self.nested(Self::any)?;
                self.close()?;
                Ok(inner)
            }
            Token::Name(name) => self.call(name),
            _ => Err(self.unexpected("a matcher such as Host(`example.com`)")),
        }
    }

    fn nested(
        &mut self,
        parse: fn(&mut Self) -> Result<Expression<Call<'a>>, String>,
    ) -> Result<Expression<Call<'a>>, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} nested parentheses or negations"));
        }
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn call(&mut self, name: &'a str) -> Result<Expression<Call<'a>>, String> {
        let start = self.start;
        self.next()?;
        if self.token != Token::Open {
            return Err(self.unexpected(&format!("`(` after {name}")));
        }
        self.next()?;
        let mut arguments = Vec::new();
        let mut is_last = false;
        while self.token != Token::Close && !is_last {
            match std::mem::replace(&mut self.token, Token::End) {
                Token::Text(argument) => arguments.push(argument),
                token => {
                    self.token = token;
                    return Err(self.bad_argument(name));
                }
            }
            self.next()?;
            if self.token == Token::Ellipsis {
                // Go's variadic call. Traefik ignores the dots.
                is_last = true;
                self.next()?;
            }
            if self.token != Token::Comma {
                break;
            }
            self.next()?;
        }
        self.close()?;
        let text = self.lexer.text.get(start..self.end).unwrap_or_default();
        Ok(Expression::Leaf(Call { name, arguments, text }))
    }

    fn close(&mut self) -> Result<(), String> {
        if self.token == Token::Close {
            // Before the next token is read, so that `end` is the end of this one.
            self.next()
        } else {
            Err(self.unexpected("`)`"))
        }
    }

    fn rest(&self) -> &'a str {
        self.lexer.text.get(self.start..).unwrap_or_default()
    }

    fn bad_argument(&self, name: &str) -> String {
        let rest = self.rest();
        let quotes = ['\'', '‘', '’', '“', '”'];
        let end = rest.find([')', ',']).unwrap_or(rest.len());
        let value = rest[..end].trim().trim_matches(quotes);
        if value.is_empty() || value.contains(['`', '"', '(']) {
            return self.unexpected("a value in backticks");
        }
        let instead = if rest.starts_with(quotes) { ", not in other quotes" } else { "" };
        format!("values stand in backticks{instead}: {name}(`{}`)", shorten(value))
    }

    /// The error at this place.
    fn unexpected(&self, expected: &str) -> String {
        let rest = self.rest();
        let hint = match self.token {
            Token::End => return format!("expected {expected}, but the rule ends"),
            Token::Newline if rest.trim_start().starts_with(['&', '|', ')', '(']) => {
                "; a line must not end here: put the operator at the end of the line, not at the start of the next"
            }
            Token::Newline => "; a line must not end here",
            Token::Name(name) if name.eq_ignore_ascii_case("and") => "; `and` is written `&&`",
            Token::Name(name) if name.eq_ignore_ascii_case("or") => "; `or` is written `||`",
            _ if rest.starts_with('&') && self.token != Token::And => "; `and` is written `&&`",
            _ if rest.starts_with('|') && self.token != Token::Or => "; `or` is written `||`",
            Token::Comma => "; matchers are joined by `&&` or `||`",
            _ => "",
        };
        format!("expected {expected} at {:?}{hint}", shorten(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(expression: &Expression<Call<'_>>) -> String {
        let join = |operator: &str, all: &[Expression<Call<'_>>]| {
            let all: Vec<_> = all.iter().map(show).collect();
            format!("({})", all.join(operator))
        };
        match expression {
            Expression::Leaf(call) => {
                let arguments: Vec<_> =
                    call.arguments.iter().map(|argument| String::from_utf8_lossy(argument)).collect();
                format!("{}[{}]", call.name, arguments.join(","))
            }
            Expression::Not(inner) => format!("!{}", show(inner)),
            Expression::All(all) => join("&", all),
            Expression::Any(any) => join("|", any),
        }
    }

    #[test]
    fn operators_have_the_precedence_of_go() {
        for (text, expected) in [
            ("A(`1`)", "A[1]"),
            ("A()||B() && C()", "(A[]|(B[]&C[]))"),
            ("(A()||B()) && !C()", "((A[]|B[])&!C[])"),
            ("!A() && B()", "(!A[]&B[])"),
            ("!(A() && !!B())", "!(A[]&!!B[])"),
            ("A(`1`, \"2\",)", "A[1,2]"),
            ("A(`1`...)", "A[1]"),
            ("A(`1`...,)", "A[1]"),
            ("\u{feff} A ( `1` ) \n\n", "A[1]"),
            ("\nA(\n`1`,\n) &&\n\t!\nB() // end", "(A[1]&!B[])"),
            ("A() /* a */ && B(/*\n*/) //\n", "(A[]&B[])"),
            ("A(`a\r\nb`)", "A[a\nb]"),
        ] {
            assert_eq!(parse(text).map(|parsed| show(&parsed)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn text_of_a_call_is_the_source() {
        let expression = parse("!A( `1`, \"2\" ) && B()").unwrap();
        let texts: Vec<_> = expression.leaves().iter().map(|call| call.text).collect();
        assert_eq!(texts, ["A( `1`, \"2\" )", "B()"]);
    }

    #[test]
    fn errors_name_place_and_remedy() {
        for (text, error) in [
            ("", "expected a matcher such as Host(`example.com`), but the rule ends"),
            ("Host('a.lan')", "values stand in backticks, not in other quotes: Host(`a.lan`)"),
            ("Host(“a.lan”)", "values stand in backticks, not in other quotes: Host(`a.lan`)"),
            ("Host(a.lan)", "values stand in backticks: Host(`a.lan`)"),
            ("Host(`a`", "expected `)`, but the rule ends"),
            ("Host(`a)", "unterminated string at \"`a)\""),
            ("Host", "expected `(` after Host, but the rule ends"),
            ("A() and B()", "expected `&&`, `||` or the end at \"and B()\"; `and` is written `&&`"),
            ("A() | B()", "expected `&&`, `||` or the end at \"| B()\"; `or` is written `||`"),
            ("A(), B()", "expected `&&`, `||` or the end at \", B()\"; matchers are joined by `&&` or `||`"),
            (
                "A()\n&& B()",
                "expected `&&`, `||` or the end at \"\\n&& B()\"; a line must not end here: put the operator at the end \
                 of the line, not at the start of the next",
            ),
            ("A() /*\n*/ && B()", "expected `&&`, `||` or the end at "),
            ("A(`1`\n)", "expected `)` at \"\\n)\"; a line must not end here"),
            ("A\n()", "expected `(` after A at "),
            ("A(`1` `2`)", "expected `)` at \"`2`)\""),
            ("A(,)", "expected a value in backticks at \",)\""),
            ("A(B(`1`))", "expected a value in backticks at \"B(`1`))\""),
            ("A((`1`))", "expected a value in backticks at "),
            ("(A)(`1`)", "expected `(` after A at "),
            ("A(`1`);", "expected `&&`, `||` or the end at \";\""),
            ("A() == B()", "expected `&&`, `||` or the end at "),
            ("`a`", "expected a matcher such as "),
            ("A(`1`....)", "expected `)` at "),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for repeated in ["(", "!", "!(", "A(", "A()&&(", "A(`a`)||!"] {
            assert!(parse(&repeated.repeat(100_000)).is_err(), "{repeated}");
        }
        let nested = format!("{}A(){}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
        assert!(parse(&nested).is_ok());
        assert!(parse(&format!("({nested})")).is_err());
        assert!(parse(&format!("{}A()", "A() || ".repeat(100_000))).is_ok());
    }
}
