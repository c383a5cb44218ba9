//! `/posts/{id:[0-9]+}` as a regular expression, as gorilla/mux made one of it.

/// What stands in a template's braces where only a name does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within {
    Host,
    Path,
    Query,
}

impl Within {
    fn anything(self) -> &'static str {
        match self {
            Self::Host => "[^.]+",
            Self::Path => "[^/]+",
            Self::Query => ".*",
        }
    }
}

/// Whether there is an expression in it at all.
pub(crate) fn has_expressions(template: &str) -> bool {
    template.contains(['{', '}'])
}

/// The expression for `template`, without anchors.
pub(crate) fn expression(template: &str, within: Within) -> Result<String, String> {
    let mut expression = String::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        quote(literal, &mut expression)?;
        let end = closing(after).ok_or_else(|| unbalanced(template))?;
        let (name, pattern) = after[..end].split_once(':').unwrap_or((&after[..end], within.anything()));
        if name.is_empty() || pattern.is_empty() {
            return Err(format!("{{{}}} lacks a name or an expression", &after[..end]));
        }
        // What alternates, or sets flags, must not do so beyond its braces.
        if pattern.contains('|') || pattern.contains("(?") {
            expression.extend(["(?:", pattern, ")"]);
        } else {
            expression.push_str(pattern);
        }
        rest = &after[end + 1..];
    }
    quote(rest, &mut expression).map_err(|_| unbalanced(template))?;
    Ok(expression)
}

/// Where the brace ends that was opened just before.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 1 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn unbalanced(template: &str) -> String {
    format!(
        "the braces of {template:?} do not match; Traefik 1 splits a rule at each comma and semicolon, even there"
    )
}

fn quote(literal: &str, expression: &mut String) -> Result<(), String> {
    if literal.contains('}') {
        return Err(unbalanced(literal));
    }
    expression.push_str(&quoted(literal));
    Ok(())
}

/// An expression that matches `literal` alone.
pub(crate) fn quoted(literal: &str) -> String {
    let mut expression = String::with_capacity(literal.len());
    for c in literal.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            expression.push('\\');
        }
        expression.push(c);
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_braces_is_an_expression_and_all_else_is_literal() {
        for (template, expected) in [
            ("/a.b", r"/a\.b"),
            ("/posts/{id:[0-9]+}", "/posts/[0-9]+"),
            ("/{a}/{b}.html", r"/[^/]+/[^/]+\.html"),
            ("/{a:x|y}/z", "/(?:x|y)/z"),
            ("/{a:(?i)x}/z", "/(?:(?i)x)/z"),
            ("/{year:[0-9]{4}}/", "/[0-9]{4}/"),
            ("{a:[[:alpha:]]}", "[[:alpha:]]"),
        ] {
            assert_eq!(expression(template, Within::Path).as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(expression("{sub}.lan", Within::Host).as_deref(), Ok(r"[^.]+\.lan"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["{", "}", "{a", "a}", "{a:b}}", "{}", "{:a}", "{a:}"] {
            assert!(expression(bad, Within::Path).is_err(), "{bad}");
        }
    }
}
