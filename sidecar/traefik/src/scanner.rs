//! Scanner for the expressions of Go that the hub reads: constraints and the actions of templates.

/// The rest of an expression.
pub(crate) struct Scanner<'a> {
    pub(crate) rest: &'a str,
    depth: usize,
}

/// Maximum nesting of parentheses and negations.
const MAX_DEPTH: usize = 64;

impl<'a> Scanner<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self { rest: input, depth: 0 }
    }

    pub(crate) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Skips space and `token`. Returns whether the token was there.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(crate) fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    /// The error at this place.
    pub(crate) fn expected(&self, what: &str) -> String {
        match self.rest.trim_end() {
            "" => format!("expected {what}, but the text ends"),
            rest => format!("expected {what} at {rest:?}"),
        }
    }

    /// Takes the longest prefix of characters that `is_part` accepts.
    pub(crate) fn word(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Takes a string literal, if there is one here.
    pub(crate) fn string(&mut self) -> Result<Option<String>, String> {
        self.skip_space();
        let Some((text, rest)) = string_literal(self.rest)? else { return Ok(None) };
        self.rest = rest;
        Ok(Some(text))
    }

    /// Runs `parse` one level deeper.
    pub(crate) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} nested parentheses or negations"));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }
}

/// Reads the string literal at the start of `input`, in double quotes or backticks. Returns its value and the rest of the
/// input, or `None` if the input does not begin with a quote.
pub(crate) fn string_literal(input: &str) -> Result<Option<(String, &str)>, String> {
    let unterminated = || format!("unterminated string {input}");
    if let Some(rest) = input.strip_prefix('`') {
        let (text, rest) = rest.split_once('`').ok_or_else(unterminated)?;
        // Go drops carriage returns from raw strings.
        return Ok(Some((text.replace('\r', ""), rest)));
    }
    let Some(mut rest) = input.strip_prefix('"') else { return Ok(None) };
    let mut text = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None | Some('\n') => return Err(unterminated()),
            Some('"') => return Ok(Some((text, chars.as_str()))),
            Some('\\') => {
                let (letter, after) =
                    escape(chars.as_str()).ok_or_else(|| format!("invalid escape sequence in {input}"))?;
                text.push(letter);
                rest = after;
            }
            Some(letter) => {
                text.push(letter);
                rest = chars.as_str();
            }
        }
    }
}

/// Decodes the escape sequence after a backslash.
fn escape(input: &str) -> Option<(char, &str)> {
    let mut chars = input.chars();
    let letter = match chars.next()? {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        plain @ ('\\' | '"') => plain,
        // These encode bytes, which need not form UTF-8. Only ASCII is supported.
        'x' => return code_point(chars.as_str(), 2, 16).filter(|(letter, _)| letter.is_ascii()),
        'u' => return code_point(chars.as_str(), 4, 16),
        'U' => return code_point(chars.as_str(), 8, 16),
        '0'..='7' => return code_point(input, 3, 8).filter(|(letter, _)| letter.is_ascii()),
        _ => return None,
    };
    Some((letter, chars.as_str()))
}

fn code_point(input: &str, digits: usize, radix: u32) -> Option<(char, &str)> {
    let (code, rest) = input.split_at_checked(digits)?;
    // `from_str_radix` alone would accept a sign.
    let is_code = code.chars().all(|digit| digit.is_digit(radix));
    let code = u32::from_str_radix(code, radix).ok().filter(|_| is_code)?;
    Some((char::from_u32(code)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_literals_follow_go() {
        for (input, expected, rest) in [
            (r#""a" b"#, "a", " b"),
            ("`a\"\\n`)", "a\"\\n", ")"),
            (r#""\t\"\\\x41\101\u00e9\U0001F600""#, "\t\"\\AAé😀", ""),
            (r#""""#, "", ""),
        ] {
            assert_eq!(string_literal(input).unwrap().unwrap(), (expected.to_owned(), rest), "{input}");
        }
        assert_eq!(string_literal("a"), Ok(None));
        for bad in ["\"a", "`a", "\"\\q\"", "\"\\x4\"", "\"\\u+123\"", "\"\\xff\"", "\"\\ud800\"", "\"\\"] {
            assert!(string_literal(bad).is_err(), "{bad}");
        }
    }
}
