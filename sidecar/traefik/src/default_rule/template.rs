//! The language of the template.

use crate::literal;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Block {
    Text(String),
    Value(Argument),
    If { condition: Argument, then: Vec<Block>, otherwise: Vec<Block> },
}

/// What makes a text.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    Text(String),
    /// The service's name.
    Name,
    /// The label of this key.
    Label(Box<Argument>),
    Call(Function, Vec<Argument>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Normalize,
    Lower,
    Upper,
    Trim,
    TrimPrefix,
    TrimSuffix,
    TrimAll,
    Replace,
    Default,
}

/// Their names, and how many arguments they take.
const FUNCTIONS: [(&str, Function, usize); 9] = [
    ("normalize", Function::Normalize, 1),
    ("lower", Function::Lower, 1),
    ("upper", Function::Upper, 1),
    ("trim", Function::Trim, 1),
    ("trimPrefix", Function::TrimPrefix, 2),
    ("trimSuffix", Function::TrimSuffix, 2),
    ("trimAll", Function::TrimAll, 2),
    ("replace", Function::Replace, 3),
    ("default", Function::Default, 2),
];

/// More conditions, or parentheses, within each other than anybody writes.
const DEEPEST: usize = 32;

pub(super) fn read(text: &str) -> Result<Vec<Block>, String> {
    let mut reader = Reader { rest: text, trims: false };
    let (blocks, end) = reader.blocks(0)?;
    match end {
        Stop::Text => Ok(blocks),
        Stop::Else(action, _) | Stop::End(action) => Err(format!("{action}: there is no `if` before it")),
    }
}

/// What a list of blocks ends with.
enum Stop {
    Text,
    /// With the action as it is written, and the condition of an `else if`.
    Else(String, Option<Argument>),
    End(String),
}

struct Reader<'a> {
    rest: &'a str,
    /// Whether the last action takes away the space after it.
    trims: bool,
}

impl Reader<'_> {
    fn blocks(&mut self, depth: usize) -> Result<(Vec<Block>, Stop), String> {
        if depth > DEEPEST {
            return Err(format!("more than {DEEPEST} conditions stand within each other"));
        }
        let mut blocks = Vec::new();
        loop {
            let Some((text, after)) = self.rest.split_once("{{") else {
                blocks.push(Block::Text(self.plain(self.rest, false)));
                self.rest = "";
                return Ok((blocks, Stop::Text));
            };
            let (action, rest) = action(after)?;
            let whole = format!("{{{{{action}}}}}");
            let (inner, trims_before, trims_after) = trimmed(action);
            blocks.push(Block::Text(self.plain(text, trims_before)));
            (self.rest, self.trims) = (rest, trims_after);
            let named = |why| format!("{whole}: {why}");
            let (keyword, condition) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            match keyword {
                _ if inner.starts_with("/*") && inner.ends_with("*/") => {}
                "if" => {
                    let condition = pipeline(condition).map_err(named)?;
                    blocks.push(self.condition(&whole, condition, depth)?);
                }
                "else" => {
                    let condition = condition.trim_start();
                    let further = match condition.strip_prefix("if") {
                        Some(condition) => Some(pipeline(condition).map_err(named)?),
                        None if condition.is_empty() => None,
                        None => return Err(format!("{whole}: after `else` comes `if`, or nothing")),
                    };
                    return Ok((blocks, Stop::Else(whole, further)));
                }
                "end" if condition.is_empty() => return Ok((blocks, Stop::End(whole))),
                _ => blocks.push(Block::Value(pipeline(inner).map_err(named)?)),
            }
        }
    }

    /// The rest of an `if` that is written as `whole`.
    fn condition(&mut self, whole: &str, condition: Argument, depth: usize) -> Result<Block, String> {
        let unended = || format!("{whole:?} has no `{{{{ end }}}}`");
        let (then, end) = self.blocks(depth + 1)?;
        let otherwise = match end {
            Stop::Text => return Err(unended()),
            Stop::End(_) => Vec::new(),
            Stop::Else(_, Some(further)) => vec![self.condition(whole, further, depth + 1)?],
            Stop::Else(..) => match self.blocks(depth + 1)? {
                (_, Stop::Text) => return Err(unended()),
                (_, Stop::Else(action, _)) => return Err(format!("{action}: there is no `if` before it")),
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

/// What stands before the next `}}` that is in no text, and what after it.
fn action(input: &str) -> Result<(&str, &str), String> {
    let mut rest = input;
    loop {
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((&input[..input.len() - rest.len()], after));
        }
        // What is wrong with a text is said when it is read.
        rest = if let Ok(Some((_, after))) = literal::text(rest) {
            after
        } else {
            let mut chars = rest.chars();
            chars.next().ok_or_else(|| format!("{:?}: it has no `}}}}`", format!("{{{{{input}")))?;
            chars.as_str()
        };
    }
}

/// The action without what says that space around it is to go, and whether that before it is, and after it.
fn trimmed(action: &str) -> (&str, bool, bool) {
    let space = |c: char| c.is_ascii_whitespace();
    let before = action.strip_prefix('-').filter(|rest| rest.starts_with(space));
    let rest = before.unwrap_or(action);
    let after = rest.strip_suffix('-').filter(|rest| rest.ends_with(space));
    (after.unwrap_or(rest).trim(), before.is_some(), after.is_some())
}

fn pipeline(input: &str) -> Result<Argument, String> {
    let mut words = Words { rest: input, depth: 0 };
    let argument = words.pipeline()?;
    if words.rest.trim().is_empty() {
        Ok(argument)
    } else {
        Err(format!("{:?} is not expected here", words.rest.trim()))
    }
}

/// What a command begins with.
enum Word {
    Argument(Argument),
    Labels,
    Name(String),
}

struct Words<'a> {
    rest: &'a str,
    depth: usize,
}

impl Words<'_> {
    /// Commands with `|` between; what one makes is the last argument of the next.
    fn pipeline(&mut self) -> Result<Argument, String> {
        let mut made = self.command(None)?;
        while self.take("|") {
            made = self.command(Some(made))?;
        }
        Ok(made)
    }

    fn command(&mut self, last: Option<Argument>) -> Result<Argument, String> {
        let Some(word) = self.word()? else {
            return Err(if last.is_some() { "after `|` comes a function" } else { "it is empty" }.to_owned());
        };
        let name = match word {
            Word::Argument(_) if last.is_some() => return Err("after `|` comes a function".to_owned()),
            Word::Argument(argument) => {
                return match self.word()? {
                    None => Ok(argument),
                    Some(_) if matches!(argument, Argument::Name) => {
                        Err(".Name takes no arguments".to_owned())
                    }
                    Some(_) => Err("only a function takes arguments".to_owned()),
                };
            }
            Word::Labels => return Err("labels are all of them: use index .Labels \"key\"".to_owned()),
            Word::Name(name) => name,
        };
        if name == "index" {
            let Some(Word::Labels) = self.word()? else {
                return Err("index takes .Labels and a key".to_owned());
            };
            let mut keys = self.arguments(last)?;
            let key = keys.pop().filter(|_| keys.is_empty());
            let key = key.ok_or("index takes .Labels and a key")?;
            return Ok(Argument::Label(Box::new(key)));
        }
        let Some((_, function, count)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            let known = FUNCTIONS.map(|(known, ..)| known).join(", ");
            return Err(format!("{name:?} is not known: there are {known} and index"));
        };
        let arguments = self.arguments(last)?;
        if arguments.len() != *count {
            let plural = if *count == 1 { "" } else { "s" };
            return Err(format!("{name} takes {count} argument{plural}, not {}", arguments.len()));
        }
        Ok(Argument::Call(*function, arguments))
    }

    fn arguments(&mut self, last: Option<Argument>) -> Result<Vec<Argument>, String> {
        let mut arguments = Vec::new();
        while let Some(word) = self.word()? {
            arguments.push(match word {
                Word::Argument(argument) => argument,
                Word::Labels => return Err("labels are all of them: use index .Labels \"key\"".to_owned()),
                Word::Name(name) => return Err(format!("{name:?} has to stand in parentheses here")),
            });
        }
        arguments.extend(last);
        Ok(arguments)
    }

    /// The next word of this command, if there is one.
    fn word(&mut self) -> Result<Option<Word>, String> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
            return Ok(None);
        }
        if let Some((text, rest)) = literal::text(self.rest)? {
            self.rest = rest;
            return Ok(Some(Word::Argument(Argument::Text(text))));
        }
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(format!("more than {DEEPEST} parentheses stand within each other"));
            }
            let argument = self.pipeline()?;
            if !self.take(")") {
                return Err("a parenthesis is not closed".to_owned());
            }
            self.depth -= 1;
            return Ok(Some(Word::Argument(argument)));
        }
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let word = match word {
            ".Name" | ".ServiceName" => Word::Argument(Argument::Name),
            ".Labels" => Word::Labels,
            ".ContainerName" => {
                return Err("the hub knows services, not containers: use .Name".to_owned());
            }
            "" => return Err(format!("{:?} is not understood", self.rest.trim_end())),
            _ => match (word.strip_prefix(".Labels."), word.starts_with('.')) {
                (Some(key), _) if !key.contains('.') && !key.is_empty() => {
                    Word::Argument(Argument::Label(Box::new(Argument::Text(key.to_owned()))))
                }
                (_, true) => {
                    return Err(format!("{word} is not known: there are .Name, .ServiceName and .Labels"));
                }
                (_, false) => Word::Name(word.to_owned()),
            },
        };
        self.rest = rest;
        Ok(Some(word))
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}
