//! A frontend's rule: `Host:a.lan,b.lan;PathPrefixStrip:/c`, in Traefik 3's words.

use crate::template::{self, Within, quoted};

/// What a rule asks for: which requests, and what becomes of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Which requests, in Traefik 3's words.
    pub(crate) matches: String,
    /// Taken off the path: the first that fits. What comes later in a rule counts alone, here and below.
    pub(crate) strip: Vec<String>,
    /// The same as expressions.
    pub(crate) strip_regex: Vec<String>,
    /// Put before the path.
    pub(crate) add: Option<String>,
    /// An expression, and what takes its place in the path.
    pub(crate) replace_regex: Option<(String, String)>,
    /// Takes the path's place.
    pub(crate) replace: Option<String>,
    /// What means something else in Traefik 3.
    pub(crate) warnings: Vec<String>,
}

const MATCHERS: [&str; 15] = [
    "Host",
    "HostRegexp",
    "Path",
    "PathStrip",
    "PathStripRegex",
    "PathPrefix",
    "PathPrefixStrip",
    "PathPrefixStripRegex",
    "Method",
    "Headers",
    "HeadersRegexp",
    "AddPrefix",
    "ReplacePath",
    "ReplacePathRegex",
    "Query",
];

impl Rule {
    /// Reads a rule. Whatever comes from it stands between backticks, and holds none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err("there is a control character in it".to_owned());
        }
        let mut rule = Self::default();
        let mut terms: Vec<Vec<String>> = Vec::new();
        let mut parts = text.split(';').filter(|part| !part.is_empty()).peekable();
        if parts.peek().is_none() {
            return Err("it is empty".to_owned());
        }
        for part in parts {
            let (name, arguments) = split(part)?;
            let alternatives = rule.take(name, arguments).map_err(|why| format!("{name}: {why}"))?;
            terms.extend(alternatives);
        }
        let is_alone = terms.len() == 1;
        let joined = terms.into_iter().map(|alternatives| {
            let joined = alternatives.join(" || ");
            if is_alone || alternatives.len() == 1 { joined } else { format!("({joined})") }
        });
        rule.matches = joined.collect::<Vec<_>>().join(" && ");
        if rule.matches.is_empty() {
            "PathPrefix(`/`)".clone_into(&mut rule.matches);
        }
        Ok(rule)
    }

    /// Takes in one matcher: the terms, each of alternatives, that have to be true for it.
    fn take(&mut self, name: &str, arguments: Vec<String>) -> Result<Vec<Vec<String>>, String> {
        let any = |terms: Result<Vec<String>, String>| terms.map(|alternatives| vec![alternatives]);
        let each =
            |read: fn(&str) -> Result<String, String>| any(arguments.iter().map(|a| read(a)).collect());
        match name {
            "Host" => {
                if let Some(wild) = arguments.iter().find(|host| host.contains('*')) {
                    self.warnings.push(format!(
                        "Traefik 1 took the asterisk in {wild:?} for itself, which no host has; Traefik 3 takes it for any"
                    ));
                }
                each(host)
            }
            "HostRegexp" => each(host_regexp),
            "Path" => each(|path| path_is(path, true)),
            "PathPrefix" => each(|path| path_is(path, false)),
            "PathStrip" | "PathPrefixStrip" => {
                let whole = name == "PathStrip";
                if let Some(path) = arguments.iter().find(|path| template::has_expressions(path)) {
                    return Err(format!("{path:?} has an expression, for which there is {name}Regex"));
                }
                let terms = arguments.iter().map(|path| path_is(path, whole)).collect();
                self.strip = longest_first(arguments);
                any(terms)
            }
            "PathStripRegex" | "PathPrefixStripRegex" => {
                let whole = name == "PathStripRegex";
                let terms = arguments.iter().map(|path| path_is(path, whole)).collect();
                let expressions = longest_first(arguments);
                let strip = |path: &String| Ok(format!("^{}", template::expression(path, Within::Path)?));
                self.strip_regex = expressions.iter().map(strip).collect::<Result<_, String>>()?;
                any(terms)
            }
            "Method" => each(|method| matcher("Method", &[method])),
            "Headers" => headers(&arguments, false),
            "HeadersRegexp" => headers(&arguments, true),
            "Query" => {
                let terms = arguments.iter().map(|pair| Ok(vec![query(pair)?]));
                terms.collect()
            }
            _ => self.modify(name, &arguments).map(|()| Vec::new()),
        }
    }

    /// What changes the path of a request, and is no condition for it.
    fn modify(&mut self, name: &str, arguments: &[String]) -> Result<(), String> {
        let [argument] = arguments else {
            return Err(format!("it takes one value, and commas make {} of this", arguments.len()));
        };
        match name {
            "AddPrefix" => self.add = Some(argument.clone()),
            "ReplacePath" => self.replace = Some(argument.clone()),
            _ => {
                let (expression, replacement) =
                    argument.split_once(' ').filter(|(_, replacement)| !replacement.contains(' ')).ok_or(
                        "it takes an expression and what is to stand in its place, with one space between",
                    )?;
                self.replace_regex = Some((expression.to_owned(), replacement.to_owned()));
            }
        }
        Ok(())
    }
}

/// A matcher's name, as it is spelt, and what it is given.
fn split(part: &str) -> Result<(&'static str, Vec<String>), String> {
    // Traefik 1 lost colons that have nothing between them, and so a port or a scheme.
    let mut words = part.split(':').filter(|word| !word.is_empty());
    let said = words.next().unwrap_or_default().trim();
    let name = MATCHERS.into_iter().find(|name| name.eq_ignore_ascii_case(said)).ok_or_else(|| {
        match traefik::suggest(said, MATCHERS) {
            Some(meant) => format!("{said:?} is no matcher of Traefik 1's, did you mean {meant}"),
            None => {
                format!("{said:?} is no matcher of Traefik 1's, of which there are {}", MATCHERS.join(", "))
            }
        }
    })?;
    let rest = words.collect::<Vec<_>>().join(":");
    let arguments = rest.split(',').filter(|word| !word.is_empty()).map(|word| word.trim().to_owned());
    // No host and no method is called like nothing, so these never mattered. A path that is nothing fits all.
    let is_needless = |word: &String| word.is_empty() && matches!(name, "Host" | "HostRegexp" | "Method");
    let arguments: Vec<_> = arguments.filter(|word| !is_needless(word)).collect();
    if arguments.is_empty() {
        return Err(format!("{name} is given nothing"));
    }
    Ok((name, arguments))
}

fn longest_first(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    paths
}

/// `Name(`a`, `b`)`. What could break out of its backticks is refused.
fn matcher(name: &str, values: &[&str]) -> Result<String, String> {
    for value in values {
        if value.is_empty() {
            return Err("one of its values is empty".to_owned());
        }
        if value.contains('`') {
            return Err(format!("{value:?} has a backtick, which Traefik 3 cannot be told"));
        }
    }
    Ok(format!("{name}(`{}`)", values.join("`, `")))
}

/// The same for an expression, in which a backtick can be output in another way.
fn expression(name: &str, before: &[&str], expression: &str) -> Result<String, String> {
    let escaped = expression.replace('`', r"\x60");
    matcher(name, &[before, &[escaped.as_str()]].concat())
}

fn host(host: &str) -> Result<String, String> {
    if !host.is_ascii() {
        return Err(format!("{host:?} has to be output in ASCII, as xn--…"));
    }
    matcher("Host", &[host])
}

fn host_regexp(text: &str) -> Result<String, String> {
    if !template::has_expressions(text) {
        return host(text);
    }
    let read = template::expression(text, Within::Host)?;
    if !read.is_ascii() {
        return Err(format!("{text:?} has to be output in ASCII, as xn--…"));
    }
    expression("HostRegexp", &[], &format!("(?i)^{read}$"))
}

fn path_is(path: &str, whole: bool) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("a path that begins with a slash is expected, not {path:?}"));
    }
    let end = if whole { "$" } else { "" };
    if template::has_expressions(path) {
        let read = template::expression(path, Within::Path)?;
        return expression("PathRegexp", &[], &format!("^{read}{end}"));
    }
    if path.contains('`') {
        return expression("PathRegexp", &[], &format!("^{}{end}", quoted(path)));
    }
    matcher(if whole { "Path" } else { "PathPrefix" }, &[path])
}

/// Names and values by turns. All have to be there.
fn headers(arguments: &[String], are_expressions: bool) -> Result<Vec<Vec<String>>, String> {
    if arguments.len() % 2 == 1 {
        return Err("it takes names and values by turns, with commas between them".to_owned());
    }
    let terms = arguments.chunks_exact(2).map(|pair| {
        let (name, value) = (pair[0].as_str(), pair[1].as_str());
        let term = match (are_expressions, value) {
            // Whatever its value is.
            (_, "") => expression("HeaderRegexp", &[name], "^"),
            (true, _) => expression("HeaderRegexp", &[name], value),
            (false, _) if value.contains('`') => {
                expression("HeaderRegexp", &[name], &format!("^{}$", quoted(value)))
            }
            (false, _) => matcher("Header", &[name, value]),
        };
        Ok(vec![term?])
    });
    terms.collect()
}

fn query(pair: &str) -> Result<String, String> {
    let (name, value) = pair
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.contains('='))
        .ok_or_else(|| format!("name=value is expected, not {pair:?}"))?;
    if template::has_expressions(name) {
        return Err(format!("the name in {pair:?} cannot be an expression"));
    }
    match value {
        "" => expression("QueryRegexp", &[name], "^"),
        _ if template::has_expressions(value) || value.contains('`') => {
            let read = template::expression(value, Within::Query)?;
            expression("QueryRegexp", &[name], &format!("^{read}$"))
        }
        _ => matcher("Query", &[name, value]),
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
