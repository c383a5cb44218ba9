//! Tokens of Go, as far as rules may contain them.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    Text(Vec<u8>),
    Open,
    Close,
    Comma,
    Ellipsis,
    And,
    Or,
    Not,
    /// A line end at which Go inserts a semicolon.
    Newline,
    End,
    /// A token that no rule may contain.
    Other,
}

pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    at: usize,
    /// Whether a line end is a token here.
    ends_line: bool,
}

/// Byte order mark. Go ignores it at the start.
const BOM: char = '\u{feff}';

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    ///
    /// # Errors
    /// The text contains a character that Go rejects everywhere, in strings too.
    pub(super) fn new(text: &'a str) -> Result<Self, String> {
        let text = text.strip_prefix(BOM).unwrap_or(text);
        match text.find(['\0', BOM]) {
            Some(at) => Err(format!("invalid character at {:?}", shorten(&text[at..]))),
            None => Ok(Self { text, at: 0, ends_line: false }),
        }
    }

    /// End of the last token.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Returns the next token and its start.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), String> {
        if let Some(newline) = self.skip_space_and_comments()? {
            self.ends_line = false;
            return Ok((newline, Token::Newline));
        }
        let start = self.at;
        let rest = &self.text[start..];
        let fixed = [
            ("&&", Token::And),
            ("||", Token::Or),
            ("...", Token::Ellipsis),
            ("!=", Token::Other),
            ("!", Token::Not),
            ("(", Token::Open),
            (")", Token::Close),
            (",", Token::Comma),
        ];
        let token = if let Some((text, token)) = fixed.into_iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += text.len();
            token
        } else if let Some((text, length)) = string(rest)? {
            self.at += length;
            Token::Text(text)
        } else {
            match rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()) {
                0 if rest.is_empty() => Token::End,
                0 => {
                    self.at += rest.chars().next().map_or(0, char::len_utf8);
                    Token::Other
                }
                length => {
                    self.at += length;
                    Token::Name(&rest[..length])
                }
            }
        };
        self.ends_line = matches!(token, Token::Name(_) | Token::Text(_) | Token::Close);
        Ok((start, token))
    }

    /// Skips to the next token, or to a line end that is one. Returns its start.
    fn skip_space_and_comments(&mut self) -> Result<Option<usize>, String> {
        loop {
            let rest = &self.text[self.at..];
            let start = self.at;
            // A directive for line numbers, which Go interprets and may reject.
            if rest.starts_with("//line ") || rest.starts_with("/*line ") {
                return Err(format!("invalid comment at {:?}", shorten(rest)));
            }
            if rest.starts_with('\n') && self.ends_line {
                self.at += 1;
                return Ok(Some(start));
            } else if rest.starts_with([' ', '\t', '\r', '\n']) {
                self.at += 1;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let length = comment
                    .find("*/")
                    .ok_or_else(|| format!("unterminated comment at {:?}", shorten(rest)))?;
                self.at += length + "/**/".len();
                if self.ends_line && comment[..length].contains('\n') {
                    return Ok(Some(start));
                }
            } else {
                return Ok(None);
            }
        }
    }
}

/// The start of `text`, for messages.
pub(super) fn shorten(text: &str) -> String {
    const MAX_LENGTH: usize = 80;
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads the string at the start of `input`. Returns its value and its length in `input`.
fn string(input: &str) -> Result<Option<(Vec<u8>, usize)>, String> {
    let unterminated = || format!("unterminated string at {:?}", shorten(input));
    if let Some(rest) = input.strip_prefix('`') {
        let length = rest.find('`').ok_or_else(unterminated)?;
        // Go drops carriage returns from raw strings.
        let text = rest[..length].bytes().filter(|byte| *byte != b'\r').collect();
        return Ok(Some((text, length + 2)));
    }
    if !input.starts_with('"') {
        return Ok(None);
    }
    let mut text = Vec::new();
    let mut at = 1;
    loop {
        let rest = &input.as_bytes()[at..];
        at += match rest {
            [] | [b'\n', ..] => return Err(unterminated()),
            [b'"', ..] => return Ok(Some((text, at + 1))),
            [b'\\', escaped @ ..] => {
                1 + escape(escaped, &mut text).ok_or_else(|| {
                    format!("invalid escape sequence at {:?}; use backticks", shorten(&input[at..]))
                })?
            }
            [byte, ..] => {
                text.push(*byte);
                1
            }
        };
    }
}

/// Decodes the escape sequence after a backslash. Returns its length.
fn escape(input: &[u8], text: &mut Vec<u8>) -> Option<usize> {
    let (digits, radix, prefix) = match input.first()? {
        b'0'..=b'7' => (3, 8, 0),
        b'x' => (2, 16, 1),
        b'u' => (4, 16, 1),
        b'U' => (8, 16, 1),
        letter => {
            text.push(match letter {
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                b'\\' | b'"' => *letter,
                _ => return None,
            });
            return Some(1);
        }
    };
    let code = std::str::from_utf8(input.get(prefix..prefix + digits)?).ok()?;
    // `from_str_radix` alone would accept a sign.
    let code = u32::from_str_radix(code, radix).ok().filter(|_| !code.starts_with('+'))?;
    if digits <= 3 {
        text.push(u8::try_from(code).ok()?);
    } else {
        let mut buffer = [0; 4];
        text.extend(char::from_u32(code)?.encode_utf8(&mut buffer).bytes());
    }
    Some(prefix + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_follow_go() {
        for (input, expected) in [
            (r#""a" b"#, &b"a"[..]),
            ("`a\"\\n`)", b"a\"\\n"),
            ("`a\r\nb`", b"a\nb"),
            (r#""\t\"\\\x41\101\u00e9\U0001F600""#, "\t\"\\AA\u{e9}\u{1f600}".as_bytes()),
            (r#""\xff\377""#, b"\xff\xff"),
            (r#""é""#, "é".as_bytes()),
            ("\"\"", b""),
        ] {
            assert_eq!(string(input).unwrap().unwrap().0, expected, "{input}");
        }
        assert_eq!(string("a"), Ok(None));
        for bad in [
            "\"a",
            "`a",
            r#""\q""#,
            r#""\'""#,
            r#""\x4""#,
            r#""\u+123""#,
            r#""\400""#,
            r#""\08""#,
            r#""\ud800""#,
            r#""\U00110000""#,
            r#""\é""#,
            "\"\\",
            "\"a\nb\"",
        ] {
            assert!(string(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn characters_that_go_rejects_are_errors() {
        for bad in ["A(`\0`)", "A(`\u{feff}`)", "A() // \0", "/*", "/*line a:0*/ A()", "//line 1:x\nA()"] {
            let tokens = Lexer::new(bad).and_then(|mut lexer| {
                while lexer.next()?.1 != Token::End {}
                Ok(())
            });
            assert!(tokens.is_err(), "{bad:?}");
        }
    }
}
