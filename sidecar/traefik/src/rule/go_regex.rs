//! Syntax of Go's regular expressions: which patterns `regexp.Compile` accepts.
//!
//! Go's limits of size and nesting are replaced by lower ones, so that no pattern exhausts Traefik's memory.

use crate::rule::unicode_names::is_unicode_class;

/// Maximum number of instructions of the compiled pattern. Go's limit is 3,355,443.
const MAX_SIZE: u64 = 100_000;

/// Maximum number of characters in classes. Go's limit is 33,554,432.
const MAX_CLASS_SIZE: u64 = 1_000_000;

/// Upper bound for the ends of the ranges in a class of Unicode, such as `\pL`.
const UNICODE_CLASS_SIZE: u64 = 1_500;

/// Maximum height of the syntax tree, as in Go.
const MAX_HEIGHT: u64 = 1_000;

/// Maximum number of repetitions, also by nested operators, as in Go.
const MAX_REPEAT: u64 = 1_000;

const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Checks `pattern`. Returns the places of braces that stand for themselves, without a backslash.
///
/// # Errors
/// Go rejects the pattern, or it is too large.
pub(crate) fn check(pattern: &[u8]) -> Result<Vec<usize>, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "not valid UTF-8".to_owned())?;
    let mut parser = Parser {
        rest: pattern,
        length: pattern.len(),
        last_posix_end: pattern.rfind(":]").unwrap_or_default(),
        class_size: 0,
        groups: vec![Group::default()],
        braces: Vec::new(),
    };
    parser.parse()?;
    Ok(parser.braces)
}

/// Upper bounds for a part of the syntax tree.
#[derive(Clone, Copy, Default)]
struct Part {
    size: u64,
    height: u64,
    /// Product of nested repetitions.
    repeat: u64,
}

impl Part {
    const ONE: Self = Self { size: 1, height: 1, repeat: 1 };

    fn join(self, other: Self) -> Self {
        Self {
            size: self.size + other.size,
            height: self.height.max(other.height),
            repeat: self.repeat.max(other.repeat),
        }
    }
}

/// An open group.
#[derive(Default)]
struct Group {
    /// The finished alternatives.
    alternatives: Part,
    /// Number of finished alternatives.
    count: u64,
    /// Size of the largest alternative.
    largest: u64,
    /// The current alternative, without `last`.
    before: Part,
    /// The part to which an operator would apply.
    last: Option<Part>,
}

impl Group {
    fn push(&mut self, part: Part) {
        self.before = self.before.join(self.last.replace(part).unwrap_or_default());
    }

    fn end_alternative(&mut self) {
        let alternative = self.before.join(self.last.take().unwrap_or_default());
        self.before = Part::default();
        self.count += 1;
        self.largest = self.largest.max(alternative.size);
        self.alternatives = self.alternatives.join(alternative);
    }

    fn end(mut self) -> Part {
        self.end_alternative();
        let Part { size, height, repeat } = self.alternatives;
        // Go factors common prefixes out, which adds up to three levels for each of their characters.
        let factored = if self.count > 1 { 3 * self.largest.min(self.count) } else { 0 };
        Part { size: size + self.count + 2, height: height + factored + 3, repeat: repeat.max(1) }
    }
}

struct Parser<'a> {
    rest: &'a str,
    length: usize,
    /// Place of the last `:]`, so that the search for it is not repeated in vain.
    last_posix_end: usize,
    class_size: u64,
    groups: Vec<Group>,
    braces: Vec<usize>,
}

impl Parser<'_> {
    fn parse(&mut self) -> Result<(), String> {
        let mut after_repeat = false;
        while let Some(letter) = self.peek() {
            let is_repeat = match letter {
                '*' | '+' | '?' => {
                    self.skip(1);
                    Some((0, None, letter))
                }
                '{' => self.repeat_range()?.map(|(min, max)| (min, max, letter)),
                _ => None,
            };
            if let Some((min, max, operator)) = is_repeat {
                self.take("?");
                if after_repeat {
                    return Err(format!("invalid nested repetition operator before {:?}", self.rest));
                }
                self.repeat(min, max, operator)?;
            } else {
                self.part(letter)?;
            }
            after_repeat = is_repeat.is_some();
        }
        let group = self.groups.pop().ok_or("unexpected )")?;
        if !self.groups.is_empty() {
            return Err("missing closing )".to_owned());
        }
        bounded(group.end())
    }

    fn part(&mut self, letter: char) -> Result<(), String> {
        match letter {
            '(' => return self.open(),
            '|' => {
                self.skip(1);
                self.group()?.end_alternative();
                return Ok(());
            }
            ')' => {
                self.skip(1);
                let group = self.groups.pop().ok_or("unexpected )")?;
                if self.groups.is_empty() {
                    return Err("unexpected )".to_owned());
                }
                return self.push(group.end());
            }
            '[' => self.class()?,
            '\\' if self.take("\\Q") => {
                let (literal, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for _ in literal.chars() {
                    self.push(Part::ONE)?;
                }
                return Ok(());
            }
            '\\' if ["\\A", "\\b", "\\B", "\\z"].iter().any(|anchor| self.take(anchor)) => {}
            '\\' if self.take_class_escape()? => {}
            '\\' => drop(self.escape()?),
            '{' => {
                self.braces.push(self.length - self.rest.len());
                self.skip(1);
            }
            letter => self.skip(letter.len_utf8()),
        }
        self.push(Part::ONE)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.skip(letter.len_utf8());
        Some(letter)
    }

    fn group(&mut self) -> Result<&mut Group, String> {
        self.groups.last_mut().ok_or_else(|| "unexpected )".to_owned())
    }

    fn push(&mut self, part: Part) -> Result<(), String> {
        bounded(part)?;
        let group = self.group()?;
        group.push(part);
        bounded(group.before)
    }

    /// Applies an operator to the last part.
    fn repeat(&mut self, min: u64, max: Option<u64>, operator: char) -> Result<(), String> {
        let last = self.group()?.last.as_mut();
        let last = last.ok_or_else(|| format!("missing argument to repetition operator {operator}"))?;
        last.height += 1;
        if operator == '{' {
            let most = max.unwrap_or(min);
            last.repeat = most * last.repeat.max(1);
            if (min >= 2 || max.is_some_and(|max| max >= 2)) && last.repeat > MAX_REPEAT {
                return Err(format!("more than {MAX_REPEAT} repetitions"));
            }
            last.size = most.max(1) * last.size + most + 2;
        } else {
            last.size += 2;
        }
        bounded(*last)
    }

    /// Takes `{min}`, `{min,}` or `{min,max}`. Other braces are literals.
    fn repeat_range(&mut self) -> Result<Option<(u64, Option<u64>)>, String> {
        let Some((min, rest)) = self.rest.strip_prefix('{').and_then(number) else { return Ok(None) };
        let (max, rest) = match rest.strip_prefix(',') {
            None => (Some(min), rest),
            Some(rest) if rest.starts_with('}') => (None, rest),
            Some(rest) => match number(rest) {
                Some((max, rest)) => (Some(max), rest),
                None => return Ok(None),
            },
        };
        let Some(rest) = rest.strip_prefix('}') else { return Ok(None) };
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || min > max) {
            let range = &self.rest[..self.rest.len() - rest.len()];
            return Err(format!("invalid repeat count {range}; the maximum is {MAX_REPEAT}"));
        }
        self.rest = rest;
        Ok(Some((min, max)))
    }

    /// Takes the start of a group, or flags.
    fn open(&mut self) -> Result<(), String> {
        let start = self.rest;
        if !self.take("(?") {
            self.skip(1);
            self.groups.push(Group::default());
            return Ok(());
        }
        // Go compares lengths: at the end of the pattern these are no names.
        if (start.len() > 4 && self.take("P<")) || (start.len() > 3 && self.take("<")) {
            let (name, rest) = self.rest.split_once('>').ok_or("invalid named capture: missing >")?;
            if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                return Err(format!("invalid named capture {name:?}"));
            }
            self.rest = rest;
            self.groups.push(Group::default());
            return Ok(());
        }
        let mut is_negated = false;
        let mut has_flag = false;
        while let Some(letter) = self.letter() {
            match letter {
                'i' | 'm' | 's' | 'U' => has_flag = true,
                '-' if !is_negated => {
                    is_negated = true;
                    has_flag = false;
                }
                ':' | ')' if !is_negated || has_flag => {
                    if letter == ':' {
                        self.groups.push(Group::default());
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        let syntax = &start[..start.len() - self.rest.len()];
        Err(format!("invalid or unsupported syntax {syntax:?}; Go has no look-around"))
    }

    /// Takes a class in brackets.
    fn class(&mut self) -> Result<(), String> {
        self.skip(1);
        self.take("^");
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if self.take_posix_class()? || self.take_class_escape()? {
                continue;
            }
            let start = self.rest;
            let low = self.class_letter()?;
            if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.skip(1);
                let high = self.class_letter()?;
                if high < low {
                    let range = &start[..start.len() - self.rest.len()];
                    return Err(format!("invalid character class range {range:?}"));
                }
            }
            // A range has up to four spellings when case is ignored.
            self.count_class(8)?;
        }
        self.skip(1);
        Ok(())
    }

    fn class_letter(&mut self) -> Result<u32, String> {
        match self.peek() {
            None => Err("missing closing ]".to_owned()),
            Some('\\') => self.escape(),
            Some(letter) => {
                self.skip(letter.len_utf8());
                Ok(letter.into())
            }
        }
    }

    /// Takes a class such as `[:alpha:]`.
    fn take_posix_class(&mut self) -> Result<bool, String> {
        let start = self.length - self.rest.len();
        let Some(rest) = self.rest.strip_prefix("[:").filter(|_| start < self.last_posix_end) else {
            return Ok(false);
        };
        let Some((name, rest)) = rest.split_once(":]") else { return Ok(false) };
        if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("unknown character class \"[:{name}:]\""));
        }
        self.rest = rest;
        self.count_class(20)?;
        Ok(true)
    }

    /// Takes a class such as `\d` or `\p{Greek}`.
    fn take_class_escape(&mut self) -> Result<bool, String> {
        if ["\\d", "\\D", "\\s", "\\S", "\\w", "\\W"].iter().any(|class| self.take(class)) {
            self.count_class(20)?;
            return Ok(true);
        }
        if !self.take("\\p") && !self.take("\\P") {
            return Ok(false);
        }
        let name = if self.take("{") {
            let (name, rest) = self.rest.split_once('}').ok_or("invalid character class: missing }")?;
            self.rest = rest;
            name.to_owned()
        } else {
            self.letter().map(String::from).unwrap_or_default()
        };
        if !is_unicode_class(name.strip_prefix('^').unwrap_or(&name)) {
            return Err(format!("unknown Unicode class \\p{{{name}}}"));
        }
        self.count_class(UNICODE_CLASS_SIZE)?;
        Ok(true)
    }

    fn count_class(&mut self, size: u64) -> Result<(), String> {
        self.class_size += size;
        if self.class_size > MAX_CLASS_SIZE { Err("the pattern is too large".to_owned()) } else { Ok(()) }
    }

    /// Takes a backslash and the character that it escapes.
    fn escape(&mut self) -> Result<u32, String> {
        let start = self.rest;
        self.skip(1);
        let code = self.escaped();
        code.ok_or_else(|| {
            let escape = &start[..start.len() - self.rest.len()];
            if escape.len() == 1 {
                "trailing backslash".to_owned()
            } else {
                format!("invalid escape sequence {escape}")
            }
        })
    }

    fn escaped(&mut self) -> Option<u32> {
        Some(match self.letter()? {
            // A single digit would be a back reference.
            '1'..='7' if !self.rest.starts_with(|next: char| next.is_digit(8)) => return None,
            first @ '0'..='7' => {
                let mut code = first.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    self.skip(1);
                    code = code * 8 + digit;
                }
                code
            }
            'x' if self.take("{") => {
                let mut code = self.letter()?.to_digit(16)?;
                loop {
                    match self.letter()? {
                        '}' => break code,
                        digit => code = code * 16 + digit.to_digit(16)?,
                    }
                    if code > char::MAX.into() {
                        return None;
                    }
                }
            }
            'x' => self.letter()?.to_digit(16)? * 16 + self.letter()?.to_digit(16)?,
            'a' => 7,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            letter if letter.is_ascii() && !letter.is_ascii_alphanumeric() => letter.into(),
            _ => return None,
        })
    }
}

/// Takes a decimal number without a leading zero.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u64::MAX), rest))
}

fn bounded(part: Part) -> Result<(), String> {
    if part.size > MAX_SIZE {
        Err("the pattern is too large".to_owned())
    } else if part.height > MAX_HEIGHT {
        Err("the pattern is nested too deeply".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[path = "go_regex_tests.rs"]
mod tests;
