//! Traefik's `defaultRule`: a Go template for the rule of routers without one. The hub supports the part of the template
//! language that rules need, and reports everything else when it starts.

use std::str::FromStr;

use protocol::Labels;

use crate::scanner::{Scanner, string_literal};

/// Template for the rule of a router without one.
///
/// Values: `.Name` (the name of the service, normalised as by `normalize`), `.ServiceName` (the same), and its labels as `index .Labels "key"`. Functions:
/// `normalize`, `lower`, `upper`, `trim`, `trimPrefix`, `trimSuffix`, `trimAll`, `replace` and `default`, as in Traefik.
/// Syntax: `|`, parentheses, `if`, `else` and `end`. Values of a single container, such as `.ContainerName`, do not exist
/// in the hub: all tasks of a service share one rule.
#[derive(Clone, Debug)]
pub struct DefaultRule(Vec<Block>);

impl DefaultRule {
    /// Returns the rule for `service`, which may be empty.
    pub(crate) fn evaluate(&self, service: &str, labels: &Labels) -> String {
        render(&self.0, &normalize(service), labels)
    }
}

/// Replaces each sequence of characters other than letters and numbers by `-`, and removes it at both ends. Traefik does the
/// same with the names of services.
pub fn normalize(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

impl FromStr for DefaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text, trims: false };
        match parser.blocks(0)? {
            (blocks, Stop::Text) => Ok(Self(blocks)),
            (_, Stop::Else(action, _) | Stop::End(action)) => Err(without_if(&action)),
        }
    }
}

/// A part of a template.
#[derive(Clone, Debug)]
enum Block {
    Text(String),
    Value(Argument),
    If { condition: Argument, then: Vec<Block>, otherwise: Vec<Block> },
}

/// An expression with a string value.
#[derive(Clone, Debug)]
enum Argument {
    Text(String),
    /// Name of the service.
    Name,
    /// Value of the label with this key.
    Label(Box<Argument>),
    Call(Function, Vec<Argument>),
}

/// A function of the template language. Its last argument is the text that it changes.
type Function = fn(&[String]) -> String;

/// Functions, with their numbers of arguments.
const FUNCTIONS: [(&str, usize, Function); 9] = [
    ("normalize", 1, |arguments| normalize(&arguments[0])),
    ("lower", 1, |arguments| arguments[0].to_lowercase()),
    ("upper", 1, |arguments| arguments[0].to_uppercase()),
    ("trim", 1, |arguments| arguments[0].trim().to_owned()),
    ("trimPrefix", 2, |arguments| {
        arguments[1].strip_prefix(&arguments[0]).unwrap_or(&arguments[1]).to_owned()
    }),
    ("trimSuffix", 2, |arguments| {
        arguments[1].strip_suffix(&arguments[0]).unwrap_or(&arguments[1]).to_owned()
    }),
    ("trimAll", 2, |arguments| arguments[1].trim_matches(|c| arguments[0].contains(c)).to_owned()),
    ("replace", 3, |arguments| arguments[2].replace(&arguments[0], &arguments[1])),
    ("default", 2, |arguments| arguments[usize::from(!arguments[1].is_empty())].clone()),
];

/// Maximum nesting of conditions.
const MAX_DEPTH: usize = 32;

fn render(blocks: &[Block], service: &str, labels: &Labels) -> String {
    let mut text = String::new();
    for block in blocks {
        match block {
            Block::Text(plain) => text.push_str(plain),
            Block::Value(argument) => text.push_str(&value(argument, service, labels)),
            Block::If { condition, then, otherwise } => {
                let is_true = !value(condition, service, labels).is_empty();
                text.push_str(&render(if is_true { then } else { otherwise }, service, labels));
            }
        }
    }
    text
}

fn value(argument: &Argument, service: &str, labels: &Labels) -> String {
    match argument {
        Argument::Text(text) => text.clone(),
        Argument::Name => service.to_owned(),
        Argument::Label(key) => labels.0.get(&value(key, service, labels)).cloned().unwrap_or_default(),
        Argument::Call(function, arguments) => {
            let arguments: Vec<_> =
                arguments.iter().map(|argument| value(argument, service, labels)).collect();
            function(&arguments)
        }
    }
}

/// The end of a list of blocks.
enum Stop {
    /// The end of the template.
    Text,
    /// An `else`, and the condition of an `else if`.
    Else(String, Option<Argument>),
    /// An `end`.
    End(String),
}

struct Parser<'a> {
    rest: &'a str,
    /// Whether the last action removes the space after it.
    trims: bool,
}

impl Parser<'_> {
    fn blocks(&mut self, depth: usize) -> Result<(Vec<Block>, Stop), String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} nested conditions"));
        }
        let mut blocks = Vec::new();
        loop {
            let Some((text, after)) = self.rest.split_once("{{") else {
                blocks.push(Block::Text(self.plain(self.rest, false)));
                self.rest = "";
                return Ok((blocks, Stop::Text));
            };
            let (action, rest) = split_action(after)?;
            let whole = format!("{{{{{action}}}}}");
            let (inner, trims_before, trims_after) = trim_markers(action);
            blocks.push(Block::Text(self.plain(text, trims_before)));
            (self.rest, self.trims) = (rest, trims_after);
            let in_action = |error| format!("{whole}: {error}");
            let (keyword, condition) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            match keyword {
                _ if inner.starts_with("/*") && inner.ends_with("*/") => {}
                "if" => {
                    let condition = pipeline(condition).map_err(in_action)?;
                    blocks.push(self.condition(&whole, condition, depth)?);
                }
                "else" => {
                    let condition = condition.trim_start();
                    let else_if = match condition.strip_prefix("if") {
                        Some(condition) => Some(pipeline(condition).map_err(in_action)?),
                        None if condition.is_empty() => None,
                        None => return Err(format!("{whole}: expected `if` or nothing after `else`")),
                    };
                    return Ok((blocks, Stop::Else(whole, else_if)));
                }
                "end" if condition.is_empty() => return Ok((blocks, Stop::End(whole))),
                _ => blocks.push(Block::Value(pipeline(inner).map_err(in_action)?)),
            }
        }
    }

    /// Parses the rest of the `if` action `whole`.
    fn condition(&mut self, whole: &str, condition: Argument, depth: usize) -> Result<Block, String> {
        let unterminated = || format!("{whole:?} has no `{{{{ end }}}}`");
        let (then, end) = self.blocks(depth + 1)?;
        let otherwise = match end {
            Stop::Text => return Err(unterminated()),
            Stop::End(_) => Vec::new(),
            Stop::Else(_, Some(else_if)) => vec![self.condition(whole, else_if, depth + 1)?],
            Stop::Else(..) => match self.blocks(depth + 1)? {
                (_, Stop::Text) => return Err(unterminated()),
                (_, Stop::Else(action, _)) => return Err(without_if(&action)),
                (blocks, Stop::End(_)) => blocks,
            },
        };
        Ok(Block::If { condition, then, otherwise })
    }

    fn plain(&self, text: &str, trims_end: bool) -> String {
        let text = if self.trims { text.trim_start() } else { text };
        (if trims_end { text.trim_end() } else { text }).to_owned()
    }
}

fn without_if(action: &str) -> String {
    format!("{action}: no matching `if`")
}

/// Splits at the next `}}` outside of string literals.
fn split_action(input: &str) -> Result<(&str, &str), String> {
    let mut rest = input;
    loop {
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((&input[..input.len() - rest.len()], after));
        }
        // An invalid literal is reported when the action is parsed.
        rest = if let Ok(Some((_, after))) = string_literal(rest) {
            after
        } else {
            let mut chars = rest.chars();
            chars.next().ok_or_else(|| format!("{:?} has no closing `}}}}`", format!("{{{{{input}")))?;
            chars.as_str()
        };
    }
}

/// Returns the action without its `-` markers, and whether it removes the space before and after it.
fn trim_markers(action: &str) -> (&str, bool, bool) {
    let is_space = |c: char| c.is_ascii_whitespace();
    let before = action.strip_prefix('-').filter(|rest| rest.starts_with(is_space));
    let rest = before.unwrap_or(action);
    let after = rest.strip_suffix('-').filter(|rest| rest.ends_with(is_space));
    (after.unwrap_or(rest).trim(), before.is_some(), after.is_some())
}

fn pipeline(input: &str) -> Result<Argument, String> {
    let mut scanner = Scanner::new(input);
    let argument = commands(&mut scanner)?;
    match scanner.rest.trim() {
        "" => Ok(argument),
        rest => Err(format!("unexpected {rest:?}")),
    }
}

/// The first word of a command.
enum Word {
    Argument(Argument),
    Labels,
    Function(String),
}

/// Parses commands separated by `|`. The result of each is the last argument of the next.
fn commands(scanner: &mut Scanner<'_>) -> Result<Argument, String> {
    let mut result = command(scanner, None)?;
    while scanner.take("|") {
        result = command(scanner, Some(result))?;
    }
    Ok(result)
}

fn command(scanner: &mut Scanner<'_>, last: Option<Argument>) -> Result<Argument, String> {
    let name = match word(scanner)? {
        Some(Word::Function(name)) => name,
        Some(Word::Labels) => return Err(labels_without_key()),
        None if last.is_none() => return Err("empty action".to_owned()),
        None => return Err("expected a function after `|`".to_owned()),
        Some(Word::Argument(_)) if last.is_some() => return Err("expected a function after `|`".to_owned()),
        Some(Word::Argument(argument)) => {
            return match word(scanner)? {
                None => Ok(argument),
                Some(_) => Err("only a function takes arguments".to_owned()),
            };
        }
    };
    if name == "index" {
        let is_on_labels = matches!(word(scanner)?, Some(Word::Labels));
        let keys = if is_on_labels { arguments(scanner, last)? } else { Vec::new() };
        let [key] = <[Argument; 1]>::try_from(keys).map_err(|_| "index takes .Labels and a key")?;
        return Ok(Argument::Label(Box::new(key)));
    }
    let Some((_, count, function)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        let known = FUNCTIONS.map(|(known, ..)| known).join(", ");
        return Err(format!("unknown function {name:?}; known are {known} and index"));
    };
    let arguments = arguments(scanner, last)?;
    if arguments.len() != *count {
        let plural = if *count == 1 { "" } else { "s" };
        return Err(format!("{name} takes {count} argument{plural}, got {}", arguments.len()));
    }
    Ok(Argument::Call(*function, arguments))
}

fn arguments(scanner: &mut Scanner<'_>, last: Option<Argument>) -> Result<Vec<Argument>, String> {
    let mut arguments = Vec::new();
    while let Some(word) = word(scanner)? {
        arguments.push(match word {
            Word::Argument(argument) => argument,
            Word::Labels => return Err(labels_without_key()),
            Word::Function(name) => return Err(format!("put the call of {name:?} in parentheses")),
        });
    }
    arguments.extend(last);
    Ok(arguments)
}

fn labels_without_key() -> String {
    ".Labels needs a key; use index .Labels \"key\"".to_owned()
}

/// Takes the next word of this command, if there is one.
fn word(scanner: &mut Scanner<'_>) -> Result<Option<Word>, String> {
    scanner.skip_space();
    if scanner.rest.is_empty() || scanner.rest.starts_with(['|', ')']) {
        return Ok(None);
    }
    if let Some(text) = scanner.string()? {
        return Ok(Some(Word::Argument(Argument::Text(text))));
    }
    if scanner.take("(") {
        let argument = scanner.nested(commands)?;
        scanner.expect(")")?;
        return Ok(Some(Word::Argument(argument)));
    }
    let word = scanner.word(|c| c.is_alphanumeric() || c == '.' || c == '_');
    Ok(Some(match word {
        ".Name" | ".ServiceName" => Word::Argument(Argument::Name),
        ".Labels" => Word::Labels,
        ".ContainerName" => return Err("the hub routes services, not containers; use .Name".to_owned()),
        "" => return Err(format!("unsupported syntax at {:?}", scanner.rest.trim_end())),
        _ => match word.strip_prefix(".Labels.") {
            Some(key) if !key.contains('.') && !key.is_empty() => {
                Word::Argument(Argument::Label(Box::new(Argument::Text(key.to_owned()))))
            }
            _ if word.starts_with('.') => {
                return Err(format!("unknown value {word}; known are .Name, .ServiceName and .Labels"));
            }
            _ => Word::Function(word.to_owned()),
        },
    }))
}

#[cfg(test)]
#[path = "default_rule_tests.rs"]
mod tests;
