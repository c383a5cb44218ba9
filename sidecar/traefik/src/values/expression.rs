//! Conditions of the circuit breaker and of the buffering middleware: Go expressions over a few functions.

/// Type of a part of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Truth value.
    Condition,
    /// Function whose result is compared with a number.
    Int,
    Float,
    Text,
    /// Constants.
    IntValue,
    FloatValue,
    TextValue,
}

/// Functions of a condition: name, types of the arguments, type of the result.
type Functions = [(&'static str, &'static [Type], Type)];

pub(super) const BREAKER: [(&str, &[Type], Type); 3] = [
    ("LatencyAtQuantileMS", &[Type::FloatValue], Type::Int),
    ("NetworkErrorRatio", &[], Type::Float),
    ("ResponseCodeRatio", &[Type::IntValue; 4], Type::Float),
];

pub(super) const BUFFERING: [(&str, &[Type], Type); 4] = [
    ("RequestMethod", &[], Type::Text),
    ("IsNetworkError", &[], Type::Condition),
    ("Attempts", &[], Type::Int),
    ("ResponseCode", &[], Type::Int),
];

/// Maximum number of nested parentheses.
const MAX_DEPTH: usize = 32;

const COMPARISONS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

/// Returns the reason why Traefik cannot use the condition.
pub(super) fn mismatch(functions: &Functions, text: &str) -> Option<String> {
    let mut parser = Parser { functions, rest: text };
    match parser.any(0) {
        Ok(Type::Condition) if parser.next_is_end() => None,
        Ok(Type::Condition) => Some(parser.unexpected()),
        Ok(_) => Some(format!("expected a condition such as {}", example(functions))),
        Err(message) => Some(message),
    }
}

fn example(functions: &Functions) -> &'static str {
    if functions == BREAKER { "NetworkErrorRatio() > 0.30" } else { "IsNetworkError() && Attempts() < 2" }
}

struct Parser<'a> {
    functions: &'a Functions,
    rest: &'a str,
}

impl Parser<'_> {
    /// Removes `token` from the rest.
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn next_is_end(&mut self) -> bool {
        self.take("") && self.rest.is_empty()
    }

    fn unexpected(&self) -> String {
        let shown: String = self.rest.chars().take(20).collect();
        if shown.is_empty() {
            format!("the condition is incomplete; expected one such as {}", example(self.functions))
        } else {
            format!("unexpected {shown:?}; expected a condition such as {}", example(self.functions))
        }
    }

    /// Conditions joined by `||`.
    fn any(&mut self, depth: usize) -> Result<Type, String> {
        self.joined("||", depth, |parser| parser.joined("&&", depth, |parser| parser.comparison(depth)))
    }

    fn joined(
        &mut self,
        operator: &str,
        depth: usize,
        operand: impl Fn(&mut Self) -> Result<Type, String>,
    ) -> Result<Type, String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels of parentheses"));
        }
        let mut left = operand(self)?;
        while self.take(operator) {
            let right = operand(self)?;
            if (left, right) != (Type::Condition, Type::Condition) {
                return Err(format!("expected conditions on both sides of {operator:?}"));
            }
            left = Type::Condition;
        }
        Ok(left)
    }

    fn comparison(&mut self, depth: usize) -> Result<Type, String> {
        let mut left = self.operand(depth)?;
        while let Some(operator) = COMPARISONS.into_iter().find(|operator| self.take(operator)) {
            let right = self.operand(depth)?;
            left = match (left, right) {
                (Type::Int, Type::IntValue) | (Type::Float, Type::FloatValue) => Type::Condition,
                (Type::Text, Type::TextValue) if matches!(operator, "==" | "!=") => Type::Condition,
                (Type::Float, Type::IntValue) => {
                    return Err(
                        "a ratio is compared with a number with a decimal point, such as 1.0".to_owned()
                    );
                }
                (Type::Int, Type::FloatValue) => {
                    return Err("this function is compared with an integer, such as 100".to_owned());
                }
                _ => {
                    return Err(format!(
                        "{operator:?} expects a function on the left and a constant on the right, as in {}",
                        example(self.functions)
                    ));
                }
            };
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Type, String> {
        if self.take("(") {
            let inner = self.any(depth + 1)?;
            return if self.take(")") { Ok(inner) } else { Err(self.unexpected()) };
        }
        let word = self.word();
        if word.is_empty() {
            return self.constant().ok_or_else(|| self.unexpected());
        }
        let Some(&(name, parameters, result)) = self.functions.iter().find(|(name, ..)| *name == word) else {
            let names: Vec<_> = self.functions.iter().map(|(name, ..)| *name).collect();
            let word: String = word.chars().take(40).collect();
            return Err(format!("unknown function {word:?}; expected one of {}", names.join(", ")));
        };
        if !self.take("(") {
            return Err(self.unexpected());
        }
        let mut arguments = Vec::new();
        while !self.take(")") {
            arguments.push(self.constant().ok_or_else(|| self.unexpected())?);
            if !self.take(",") {
                if self.take(")") {
                    break;
                }
                return Err(self.unexpected());
            }
        }
        if arguments != parameters {
            let expected = match parameters {
                [] => "no argument".to_owned(),
                [Type::FloatValue] => "a number with a decimal point, such as 50.0".to_owned(),
                several => format!("{} integers", several.len()),
            };
            return Err(format!("{name} takes {expected}"));
        }
        Ok(result)
    }

    /// Removes a name from the rest.
    fn word(&mut self) -> String {
        self.take("");
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let starts = self.rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let (word, rest) = self.rest.split_at(if starts { end } else { 0 });
        self.rest = rest;
        word.to_owned()
    }

    /// Removes a number or a quoted text from the rest.
    fn constant(&mut self) -> Option<Type> {
        self.take("");
        if let Some(quote) = self.rest.chars().next().filter(|quote| matches!(quote, '"' | '`')) {
            let inner = &self.rest[1..];
            let end = inner.find(quote).filter(|end| !inner[..*end].contains(['\\', '\n']))?;
            self.rest = &inner[end + 1..];
            return Some(Type::TextValue);
        }
        let mut before = ' ';
        let end = self.rest.find(|c: char| {
            let is_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            before = c;
            !(c.is_ascii_digit() || is_sign || matches!(c, '.' | 'e' | 'E'))
        });
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let kind = if number.parse::<i64>().is_ok() && !(number.len() > 1 && number.starts_with('0')) {
            Type::IntValue
        } else {
            number
                .contains(['.', 'e', 'E'])
                .then(|| number.parse::<f64>().ok())
                .flatten()
                .map(|_| Type::FloatValue)?
        };
        self.rest = rest;
        Some(kind)
    }
}
