//! Texts as Go writes them: `"a\tb"`, or between backticks as they are.

/// The text that `input` begins with, and what comes after it; none if it begins with no text.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn text(input: &str) -> Result<Option<(String, &str)>, String> {
    if let Some(rest) = input.strip_prefix('`') {
        let (text, rest) =
            rest.split_once('`').ok_or_else(|| format!("{input}: it has no second backtick"))?;
        // Go leaves them out here.
        return Ok(Some((text.replace('\r', ""), rest)));
    }
    let Some(mut rest) = input.strip_prefix('"') else { return Ok(None) };
    let mut text = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None | Some('\n') => return Err(format!("{input}: it has no second quotation mark")),
            Some('"') => return Ok(Some((text, chars.as_str()))),
            Some('\\') => {
                let (letter, after) =
                    escaped(chars.as_str()).ok_or_else(|| format!("{input}: Go has no such escape"))?;
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

/// What stands for the letters after a backslash, and what comes after them.
fn escaped(input: &str) -> Option<(char, &str)> {
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
        // Those for bytes are left out but for ASCII: what they make need not be text.
        'x' => return coded(chars.as_str(), 2, 16).filter(|(letter, _)| letter.is_ascii()),
        'u' => return coded(chars.as_str(), 4, 16),
        'U' => return coded(chars.as_str(), 8, 16),
        '0'..='7' => return coded(input, 3, 8).filter(|(letter, _)| letter.is_ascii()),
        _ => return None,
    };
    Some((letter, chars.as_str()))
}

fn coded(input: &str, digits: usize, radix: u32) -> Option<(char, &str)> {
    let (code, rest) = input.split_at_checked(digits)?;
    let is_code = code.chars().all(|digit| digit.is_digit(radix));
    let code = u32::from_str_radix(code, radix).ok().filter(|_| is_code)?;
    Some((char::from_u32(code)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_go() {
        for (input, expected, rest) in [
            (r#""a" b"#, "a", " b"),
            ("`a\"\\n`)", "a\"\\n", ")"),
            (r#""\t\"\\\x41\101\u00e9\U0001F600""#, "\t\"\\AAé😀", ""),
            (r#""""#, "", ""),
        ] {
            assert_eq!(text(input).unwrap().unwrap(), (expected.to_owned(), rest), "{input}");
        }
        assert_eq!(text("a"), Ok(None));
        for bad in ["\"a", "`a", "\"\\q\"", "\"\\x4\"", "\"\\u+123\"", "\"\\xff\"", "\"\\ud800\"", "\"\\"] {
            assert!(text(bad).is_err(), "{bad}");
        }
    }
}
