//! Arguments of matchers in the syntax of Traefik 2, which routers with `rulesyntax=v2` have.

use crate::rule::expression::Call;
use crate::rule::go_regex;
use crate::rule::matchers::{Matcher, invalid_regex, is_ip_or_cidr};

/// Default pattern of a named group.
const DEFAULT_PATTERN: &str = "[^/]+";

/// Checks the arguments of `call`.
///
/// # Errors
/// Traefik rejects the matcher.
pub(super) fn check(matcher: Matcher, call: &Call<'_>) -> Result<(), String> {
    let name = call.name;
    let arguments = &call.arguments;
    if arguments.is_empty() || arguments.iter().any(Vec::is_empty) {
        return Err(format!("{name} has no argument, or an empty one"));
    }
    let texts: Vec<_> = arguments.iter().map(|argument| String::from_utf8_lossy(argument)).collect();
    match matcher {
        Matcher::Host | Matcher::HostRegexp if !arguments.iter().all(|host| host.is_ascii()) => {
            Err(format!("{name} takes ASCII only"))
        }
        Matcher::Path | Matcher::PathPrefix if !texts.iter().all(|path| path.starts_with('/')) => {
            Err("a path begins with a slash".to_owned())
        }
        Matcher::HostRegexp | Matcher::HostSniRegexp | Matcher::Path | Matcher::PathPrefix => {
            arguments.iter().try_for_each(|template| check_template(name, template))
        }
        Matcher::ClientIp if !texts.iter().all(|text| is_ip_or_cidr(text)) => {
            Err("ClientIP takes IP addresses or ranges such as 10.0.0.0/8".to_owned())
        }
        Matcher::Header | Matcher::HeaderRegexp if !arguments.len().is_multiple_of(2) => {
            Err(format!("{name} takes pairs of a name and a value"))
        }
        Matcher::HeaderRegexp => arguments.iter().skip(1).step_by(2).try_for_each(|pattern| {
            go_regex::check(pattern).map(drop).map_err(|error| invalid_regex(name, pattern, &error))
        }),
        Matcher::Query => check_queries(name, arguments),
        Matcher::Alpn if texts.iter().any(|protocol| protocol == "acme-tls/1") => {
            Err("Traefik reserves the protocol acme-tls/1".to_owned())
        }
        Matcher::HostSni if !texts.iter().all(|host| host == "*" || is_host(host)) => {
            Err("HostSNI takes host names".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_host(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte))
}

/// Checks `name=value` arguments. Without `=`, an argument is a name, and the next one its value.
fn check_queries(name: &str, arguments: &[Vec<u8>]) -> Result<(), String> {
    let parts: Vec<&[u8]> =
        arguments.iter().flat_map(|argument| argument.splitn(2, |byte| *byte == b'=')).collect();
    if !parts.len().is_multiple_of(2) {
        return Err(format!("{name} takes name=value"));
    }
    parts.chunks(2).try_for_each(|pair| check_template(name, &pair.join(&b'=')))
}

/// Checks a text with named groups: `{name}` or `{name:pattern}`.
fn check_template(name: &str, template: &[u8]) -> Result<(), String> {
    let template = std::str::from_utf8(template).map_err(|_| format!("{name} takes UTF-8 only"))?;
    let mut whole = String::new();
    for group in groups(template).ok_or("unbalanced braces")? {
        let (group, pattern) = group.split_once(':').unwrap_or((group, DEFAULT_PATTERN));
        if group.is_empty() || pattern.is_empty() {
            return Err("a named group has no name or no pattern".to_owned());
        }
        let invalid = |error: String| invalid_regex(name, pattern.as_bytes(), &error);
        go_regex::check(pattern.as_bytes()).map_err(invalid)?;
        whole = format!("{whole}({pattern})");
    }
    go_regex::check(whole.as_bytes()).map(drop).map_err(|error| invalid_regex(name, whole.as_bytes(), &error))
}

/// Returns what the outer braces of `template` enclose, or `None` if they are unbalanced.
fn groups(template: &str) -> Option<Vec<&str>> {
    let mut groups = Vec::new();
    let (mut level, mut start) = (0_usize, 0);
    for (at, _) in template.match_indices(['{', '}']) {
        if template[at..].starts_with('{') {
            level += 1;
            if level == 1 {
                start = at + 1;
            }
        } else {
            level = level.checked_sub(1)?;
            if level == 0 {
                groups.push(&template[start..at]);
            }
        }
    }
    (level == 0).then_some(groups)
}
