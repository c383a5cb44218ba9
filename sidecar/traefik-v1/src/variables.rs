//! Variables in stack files: `$NAME`, `${NAME:-default}`, and `$$` for a dollar.

/// Variables of a file. During translation a placeholder stands for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables(Vec<String>);

impl Variables {
    /// Replaces variables with placeholders, and `$$` with a dollar.
    pub(crate) fn hide(&mut self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            hidden.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                hidden.push('$');
                rest = after;
                continue;
            }
            let (variable, after) = after.split_at(length(after));
            if variable.is_empty() {
                hidden.push('$');
            } else {
                let known = self.0.iter().position(|known| known == variable);
                let number = known.unwrap_or_else(|| {
                    self.0.push(variable.to_owned());
                    self.0.len() - 1
                });
                hidden.push_str(&placeholder(number));
            }
            rest = after;
        }
        hidden + rest
    }

    /// Returns the text for a stack file, with dollars doubled.
    pub(crate) fn to_stack_file(&self, hidden: &str) -> String {
        self.restore(&hidden.replace('$', "$$"))
    }

    /// Replaces placeholders with variables.
    pub(crate) fn restore(&self, hidden: &str) -> String {
        self.0.iter().enumerate().fold(hidden.to_owned(), |text, (number, variable)| {
            text.replace(&placeholder(number), &format!("${variable}"))
        })
    }
}

/// Whether a variable stands in `hidden`, so that its value is unknown.
pub(crate) fn is_open(hidden: &str) -> bool {
    hidden.contains(PLACEHOLDER)
}

/// Consists of letters, digits and dashes, so that it is valid and unchanged in a host, a path and a regular expression.
const PLACEHOLDER: &str = "hub-labels-variable-";

fn placeholder(number: usize) -> String {
    format!("{PLACEHOLDER}{number}-stands-here")
}

/// Returns the length of the variable at the start of `text`, after its dollar.
fn length(text: &str) -> usize {
    if let Some(braced) = text.strip_prefix('{') {
        let mut open = 1_usize;
        for (at, c) in braced.char_indices() {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return at + 2;
            }
        }
        return 0;
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_variables_are_restored() {
        for text in ["a", "$$1", "${A}", "$A/b", "${A:-x}/$B$$", "${A:-${B}}", "a$A-$A", ""] {
            let mut variables = Variables::default();
            let hidden = variables.hide(text);
            assert!(!hidden.contains('{'), "{hidden}");
            assert_eq!(variables.to_stack_file(&hidden), text);
        }
    }

    #[test]
    fn dollar_without_a_name_is_literal() {
        let mut variables = Variables::default();
        assert_eq!(variables.hide("$$1 $1 $ ${"), "$1 $1 $ ${");
        assert!(!is_open("$1"));
        let hidden = variables.hide("x${A}");
        assert!(is_open(&hidden));
        assert_eq!(variables.restore(&hidden), "x${A}");
    }
}
