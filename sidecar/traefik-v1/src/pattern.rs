//! Templates of gorilla/mux such as `/posts/{id:[0-9]+}`, as regular expressions.

/// Part of a request that a template matches. It decides what `{name}` without an expression matches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Host,
    Path,
    Query,
}

impl Part {
    fn default_pattern(self) -> &'static str {
        match self {
            Self::Host => "[^.]+",
            Self::Path => "[^/]+",
            Self::Query => ".*",
        }
    }
}

/// Whether the template contains braces.
pub(crate) fn has_expression(template: &str) -> bool {
    template.contains(['{', '}'])
}

/// Whether the template contains `{name}` or `{name:pattern}`, which no regular expression of Traefik 3 contains.
pub(crate) fn has_named_group(template: &str) -> bool {
    template.match_indices('{').any(|(at, _)| {
        let (before, group) = (&template[..at], &template[at + 1..]);
        let rest = group.trim_start_matches(|c: char| c.is_alphanumeric() || "_-".contains(c));
        // `\p{Greek}` and `\x{e9}`.
        let is_class = ["\\p", "\\P", "\\x"].iter().any(|class| before.ends_with(class));
        let is_count = group.starts_with(|c: char| c.is_ascii_digit());
        rest.len() < group.len() && rest.starts_with([':', '}']) && !is_class && !is_count
    })
}

/// Returns the regular expression for `template`, without anchors.
pub(crate) fn to_regex(template: &str, part: Part) -> Result<String, String> {
    let mut expression = String::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        quote(literal, &mut expression)?;
        let end = closing(after).ok_or_else(|| unbalanced(template))?;
        let (name, pattern) = after[..end].split_once(':').unwrap_or((&after[..end], part.default_pattern()));
        if name.is_empty() || pattern.is_empty() {
            return Err(format!("missing name or expression in {{{}}}", &after[..end]));
        }
        // Alternatives and flags must not reach beyond the braces.
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

/// Returns the position of the closing brace.
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
        "unbalanced braces in {template:?}; a rule is split at every comma and semicolon, also between braces"
    )
}

fn quote(literal: &str, expression: &mut String) -> Result<(), String> {
    if literal.contains('}') {
        return Err(unbalanced(literal));
    }
    expression.push_str(&escape(literal));
    Ok(())
}

/// Returns a regular expression that matches only `literal`.
pub(crate) fn escape(literal: &str) -> String {
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
    fn text_outside_of_braces_is_literal() {
        for (template, expected) in [
            ("/a.b", r"/a\.b"),
            ("/posts/{id:[0-9]+}", "/posts/[0-9]+"),
            ("/{a}/{b}.html", r"/[^/]+/[^/]+\.html"),
            ("/{a:x|y}/z", "/(?:x|y)/z"),
            ("/{a:(?i)x}/z", "/(?:(?i)x)/z"),
            ("/{year:[0-9]{4}}/", "/[0-9]{4}/"),
            ("{a:[[:alpha:]]}", "[[:alpha:]]"),
        ] {
            assert_eq!(to_regex(template, Part::Path).as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(to_regex("{sub}.lan", Part::Host).as_deref(), Ok(r"[^.]+\.lan"));
    }

    #[test]
    fn unbalanced_or_empty_braces_are_errors() {
        for bad in ["{", "}", "{a", "a}", "{a:b}}", "{}", "{:a}", "{a:}"] {
            assert!(to_regex(bad, Part::Path).is_err(), "{bad}");
        }
    }
}
