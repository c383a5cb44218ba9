//! Rules of frontends: `Host:a.lan,b.lan;PathPrefixStrip:/c`.

use crate::pattern::{Part, escape, has_expression, has_named_group, to_regex};
use crate::variables::is_open;

/// A rule of Traefik 1: the condition, in the syntax of Traefik 3, and the changes to the path. Where a rule contains
/// several changes of one kind, Traefik 1 used the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Condition on requests.
    pub(crate) matches: String,
    /// Prefixes to strip, of which the first that matches applies.
    pub(crate) strip: Vec<String>,
    /// Regular expressions for prefixes to strip.
    pub(crate) strip_regex: Vec<String>,
    /// Prefix to add.
    pub(crate) add: Option<String>,
    /// Regular expression and its replacement.
    pub(crate) replace_regex: Option<(String, String)>,
    /// New path.
    pub(crate) replace: Option<String>,
    /// Regular expressions of paths to which Traefik 1 redirected from the same path with a slash at its end.
    pub(crate) remove_slash: Vec<String>,
    /// Regular expressions of paths from which Traefik 1 redirected to the same path with a slash at its end.
    pub(crate) add_slash: Vec<String>,
    /// Parts that have another meaning in Traefik 3.
    pub(crate) warnings: Vec<String>,
}

/// The condition of one matcher: all of these terms, each a list of alternatives.
type Terms = Vec<Vec<String>>;

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
    /// Parses a rule. Values of the label end up between backticks and contain none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err("the rule contains a control character".to_owned());
        }
        let mut rule = Self::default();
        let mut terms = Terms::new();
        let mut parts = text.split(';').filter(|part| !part.is_empty()).peekable();
        if parts.peek().is_none() {
            return Err("the rule is empty".to_owned());
        }
        for part in parts {
            let (name, arguments) = split(part)?;
            terms.extend(rule.add_matcher(name, arguments).map_err(|error| format!("{name}: {error}"))?);
        }
        rule.matches = joined(terms);
        if rule.matches.is_empty() {
            "PathPrefix(`/`)".clone_into(&mut rule.matches);
        }
        Ok(rule)
    }

    /// Adds the changes of a matcher to the rule and returns its condition.
    fn add_matcher(&mut self, name: &str, arguments: Vec<String>) -> Result<Terms, String> {
        let one_of = |translate: &dyn Fn(&str) -> Result<String, String>| {
            let alternatives: Result<_, _> = arguments.iter().map(|argument| translate(argument)).collect();
            alternatives.map(|alternatives| vec![alternatives])
        };
        let is_whole = matches!(name, "Path" | "PathStrip" | "PathStripRegex");
        let mut path_terms = |arguments: &[String]| {
            if is_whole {
                return self.whole_paths(arguments);
            }
            Ok(vec![arguments.iter().map(|path| path_matcher(path, false)).collect::<Result<_, _>>()?])
        };
        match name {
            "Host" => {
                if let Some(wildcard) = arguments.iter().find(|host| host.contains('*')) {
                    self.warnings.push(format!(
                        "the asterisk in {wildcard:?} now matches any label; in Traefik 1 it matched only itself, and so \
                         no host"
                    ));
                }
                one_of(&host)
            }
            "HostRegexp" => one_of(&host_regexp),
            "Path" | "PathPrefix" => path_terms(&arguments),
            "PathStrip" | "PathPrefixStrip" => {
                if let Some(path) = arguments.iter().find(|path| has_expression(path)) {
                    return Err(format!("{path:?} contains an expression; use {name}Regex"));
                }
                let terms = path_terms(&arguments);
                self.strip = longest_first(arguments);
                terms
            }
            "PathStripRegex" | "PathPrefixStripRegex" => {
                let terms = path_terms(&arguments);
                let regexes = longest_first(arguments);
                let strip = |path: &String| Ok(format!("^{}", to_regex(path, Part::Path)?));
                self.strip_regex = regexes.iter().map(strip).collect::<Result<_, String>>()?;
                terms
            }
            "Method" => one_of(&|method| matcher("Method", &[method])),
            "Headers" => headers(&arguments, false),
            "HeadersRegexp" => headers(&arguments, true),
            "Query" => arguments.iter().map(|pair| Ok(vec![query(pair)?])).collect(),
            _ => self.set_modifier(name, &arguments).map(|()| Terms::new()),
        }
    }

    /// Translates complete paths. Traefik 1 redirected requests whose path has a slash more or less at its end.
    fn whole_paths(&mut self, paths: &[String]) -> Result<Terms, String> {
        let mut alternatives = Vec::new();
        for path in paths {
            alternatives.push(path_matcher(path, true)?);
            let base = path.strip_suffix('/').unwrap_or(path);
            if base.is_empty() || is_open(path) {
                continue;
            }
            let regex = to_regex(base, Part::Path)?;
            if base == path {
                alternatives.push(path_matcher(&format!("{path}/"), true)?);
                self.remove_slash.push(regex);
            } else {
                alternatives.push(path_matcher(base, true)?);
                self.add_slash.push(regex);
            }
        }
        Ok(vec![alternatives])
    }

    /// Sets a change of the path that is not a condition.
    fn set_modifier(&mut self, name: &str, arguments: &[String]) -> Result<(), String> {
        let [argument] = arguments else {
            return Err(format!("expected one value, got {} separated by commas", arguments.len()));
        };
        match name {
            "AddPrefix" => self.add = Some(argument.clone()),
            "ReplacePath" => self.replace = Some(argument.clone()),
            _ => {
                let (regex, replacement) = argument
                    .split_once(' ')
                    .filter(|(_, replacement)| !replacement.contains(' '))
                    .ok_or("expected a regular expression and its replacement, separated by one space")?;
                self.replace_regex = Some((regex.to_owned(), replacement.to_owned()));
            }
        }
        Ok(())
    }
}

/// Joins the terms of a condition.
pub(crate) fn joined(terms: Terms) -> String {
    let is_alone = terms.len() == 1;
    let joined = terms.into_iter().map(|alternatives| {
        let joined = alternatives.join(" || ");
        if is_alone || alternatives.len() == 1 { joined } else { format!("({joined})") }
    });
    joined.collect::<Vec<_>>().join(" && ")
}

/// Translates a matcher of Traefik 2. Returns `None` if it means the same in Traefik 3. Without `is_v2`, it may also be one
/// of Traefik 3.
pub(crate) fn translate_v2(
    name: &str,
    arguments: &[String],
    is_v2: bool,
    is_tcp: bool,
) -> Result<Option<Terms>, String> {
    let lower = name.to_ascii_lowercase();
    let is_template = arguments.iter().any(|argument| has_named_group(argument));
    let one_of = |translate: &dyn Fn(&str) -> Result<String, String>| {
        let alternatives: Result<_, _> = arguments.iter().map(|argument| translate(argument)).collect();
        alternatives.map(|alternatives| vec![alternatives])
    };
    let is_several = arguments.len() > 1;
    let terms = match lower.as_str() {
        "hostheader" => one_of(&host),
        "host" if is_several => one_of(&host),
        "hostregexp" if is_v2 || is_several || is_template => one_of(&|text| template("HostRegexp", text)),
        "hostsniregexp" if is_tcp && (is_v2 || is_several || is_template) => {
            one_of(&|text| template("HostSNIRegexp", text))
        }
        "path" | "pathprefix" if is_several || is_template => {
            one_of(&|path| path_matcher(path, lower == "path"))
        }
        "headers" | "headersregexp" => headers(arguments, lower == "headersregexp"),
        "query" if is_v2 || arguments.iter().any(|pair| pair.contains('=')) => {
            arguments.iter().map(|pair| Ok(vec![query(pair)?])).collect()
        }
        "method" | "clientip" | "hostsni" | "alpn" if is_several => one_of(&|text| matcher(name, &[text])),
        _ => return Ok(None),
    };
    terms.map(Some).map_err(|error| format!("{name}: {error}"))
}

/// Splits a part of a rule into a matcher, in its usual spelling, and its arguments.
fn split(part: &str) -> Result<(&'static str, Vec<String>), String> {
    // Traefik 1 dropped empty words between colons, and with them the `//` of URLs.
    let mut words = part.split(':').filter(|word| !word.is_empty());
    let given = words.next().unwrap_or_default().trim();
    let name = MATCHERS.into_iter().find(|name| name.eq_ignore_ascii_case(given)).ok_or_else(|| {
        match traefik::suggest(given, MATCHERS) {
            Some(suggestion) => format!("unknown matcher {given:?}; did you mean {suggestion}?"),
            None => format!("unknown matcher {given:?}; matchers of Traefik 1 are {}", MATCHERS.join(", ")),
        }
    })?;
    let rest = words.collect::<Vec<_>>().join(":");
    let arguments = rest.split(',').filter(|word| !word.is_empty()).map(|word| word.trim().to_owned());
    // An empty host or method never matched. An empty path matches every request.
    let is_ignored = |word: &String| word.is_empty() && matches!(name, "Host" | "HostRegexp" | "Method");
    let arguments: Vec<_> = arguments.filter(|word| !is_ignored(word)).collect();
    if arguments.is_empty() {
        return Err(format!("{name} has no value"));
    }
    Ok((name, arguments))
}

fn longest_first(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    paths
}

/// Writes a matcher of Traefik 3: ``Name(`a`, `b`)``. Rejects values that could end the backticks.
fn matcher(name: &str, values: &[&str]) -> Result<String, String> {
    for value in values {
        if value.is_empty() {
            return Err("empty value".to_owned());
        }
        if value.contains('`') {
            return Err(format!("backtick in {value:?}; Traefik 3 cannot express it"));
        }
    }
    Ok(format!("{name}(`{}`)", values.join("`, `")))
}

/// Writes a matcher whose last value is a regular expression, in which a backtick can be escaped.
fn regex_matcher(name: &str, before: &[&str], regex: &str) -> Result<String, String> {
    let escaped = regex.replace('`', r"\x60");
    matcher(name, &[before, &[escaped.as_str()]].concat())
}

fn require_ascii(host: &str, text: &str) -> Result<(), String> {
    if text.is_ascii() { Ok(()) } else { Err(format!("non-ASCII host {host:?}; write it as xn--…")) }
}

fn host(host: &str) -> Result<String, String> {
    require_ascii(host, host)?;
    matcher("Host", &[host])
}

fn host_regexp(text: &str) -> Result<String, String> {
    if has_expression(text) { template("HostRegexp", text) } else { host(text) }
}

/// Translates a host with named groups.
fn template(name: &str, text: &str) -> Result<String, String> {
    let regex = to_regex(text, Part::Host)?;
    require_ascii(text, &regex)?;
    regex_matcher(name, &[], &format!("(?i)^{regex}$"))
}

fn path_matcher(path: &str, is_whole: bool) -> Result<String, String> {
    if !path.starts_with('/') && !is_open(path) {
        return Err(format!("expected a path that begins with a slash, got {path:?}"));
    }
    if has_expression(path) || path.contains('`') {
        let regex = if has_expression(path) { to_regex(path, Part::Path)? } else { escape(path) };
        return regex_matcher("PathRegexp", &[], &format!("^{regex}{}", if is_whole { "$" } else { "" }));
    }
    matcher(if is_whole { "Path" } else { "PathPrefix" }, &[path])
}

/// Translates alternating names and values, all of which must match.
fn headers(arguments: &[String], are_regexes: bool) -> Result<Terms, String> {
    if arguments.len() % 2 == 1 {
        return Err("expected alternating names and values, separated by commas".to_owned());
    }
    let terms = arguments.chunks_exact(2).map(|pair| {
        let (name, value) = (pair[0].as_str(), pair[1].as_str());
        let term = match value {
            // Any value.
            "" => regex_matcher("HeaderRegexp", &[name], "^"),
            _ if are_regexes => regex_matcher("HeaderRegexp", &[name], value),
            _ if value.contains('`') => {
                regex_matcher("HeaderRegexp", &[name], &format!("^{}$", escape(value)))
            }
            _ => matcher("Header", &[name, value]),
        };
        Ok(vec![term?])
    });
    terms.collect()
}

fn query(pair: &str) -> Result<String, String> {
    let (name, value) = pair
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.contains('='))
        .ok_or_else(|| format!("expected NAME=VALUE, got {pair:?}"))?;
    if has_expression(name) {
        return Err(format!("expression in the name of {pair:?}; only the value may contain one"));
    }
    match value {
        "" => regex_matcher("QueryRegexp", &[name], "^"),
        _ if has_expression(value) || value.contains('`') => {
            let regex = to_regex(value, Part::Query)?;
            regex_matcher("QueryRegexp", &[name], &format!("^{regex}$"))
        }
        _ => matcher("Query", &[name, value]),
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
