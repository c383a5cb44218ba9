//! What a stack file leaves open: `$NAME` and `${NAME:-default}`, and `$$` for a dollar.

/// The variables of a place, each of which has a word in its stead while labels are translated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables(Vec<String>);

impl Variables {
    /// The text, with a word for each variable that is nothing but itself wherever it stands.
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
            let length = length(after);
            if length == 0 {
                hidden.push('$');
            } else {
                let variable = &after[..length];
                let known = self.0.iter().position(|known| known == variable);
                let number = known.unwrap_or_else(|| {
                    self.0.push(variable.to_owned());
                    self.0.len() - 1
                });
                hidden.push_str(&word(number));
            }
            rest = &after[length..];
        }
        hidden + rest
    }

    /// Whether a variable is in `hidden`.
    pub(crate) fn are_in(&self, hidden: &str) -> bool {
        (0..self.0.len()).any(|number| hidden.contains(&word(number)))
    }

    /// The text as a stack file has it.
    pub(crate) fn show(&self, hidden: &str) -> String {
        self.put_back(&hidden.replace('$', "$$"))
    }

    /// The text for people to read.
    pub(crate) fn put_back(&self, hidden: &str) -> String {
        let numbered = self.0.iter().enumerate();
        numbered.fold(hidden.to_owned(), |text, (number, variable)| {
            text.replace(&word(number), &format!("${variable}"))
        })
    }
}

/// Letters, digits and dashes only, so that it is the same in a host, a path and an expression.
fn word(number: usize) -> String {
    format!("hub-labels-variable-{number}-stands-here")
}

/// How long the variable is with which `text` begins, after its dollar.
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
    let is_in_names = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !is_in_names(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown_again() {
        for text in ["a", "$$1", "${A}", "$A/b", "${A:-x}/$B$$", "${A:-${B}}", "a$A-$A", ""] {
            let mut variables = Variables::default();
            let hidden = variables.hide(text);
            assert!(!hidden.contains('{'), "{hidden}");
            assert_eq!(variables.show(&hidden), text);
        }
    }

    #[test]
    fn a_dollar_is_a_dollar() {
        let mut variables = Variables::default();
        assert_eq!(variables.hide("$$1 $1 $ ${"), "$1 $1 $ ${");
        assert!(!variables.are_in("$1"));
        let hidden = variables.hide("x${A}");
        assert!(variables.are_in(&hidden));
        assert_eq!(variables.put_back(&hidden), "x${A}");
    }
}
