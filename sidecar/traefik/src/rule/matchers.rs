//! Matchers of Traefik 3, and the checks of their arguments.

use std::net::IpAddr;

use crate::rule::expression::Call;
use crate::rule::go_regex;
use crate::rule::lexer::shorten;
use crate::rule::{Part, Protocol, Syntax};
use crate::suggest::suggest;

/// A matcher of version 2 or 3. The matchers of one protocol and version are [`Protocol::matchers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matcher {
    Alpn,
    ClientIp,
    Header,
    HeaderRegexp,
    Host,
    HostRegexp,
    HostSni,
    HostSniRegexp,
    Method,
    Path,
    PathPrefix,
    PathRegexp,
    Query,
    QueryRegexp,
}

const HTTP: &[(&str, Matcher)] = &[
    ("ClientIP", Matcher::ClientIp),
    ("Header", Matcher::Header),
    ("HeaderRegexp", Matcher::HeaderRegexp),
    ("Host", Matcher::Host),
    ("HostRegexp", Matcher::HostRegexp),
    ("Method", Matcher::Method),
    ("Path", Matcher::Path),
    ("PathPrefix", Matcher::PathPrefix),
    ("PathRegexp", Matcher::PathRegexp),
    ("Query", Matcher::Query),
    ("QueryRegexp", Matcher::QueryRegexp),
];

const HTTP_V2: &[(&str, Matcher)] = &[
    ("ClientIP", Matcher::ClientIp),
    ("Headers", Matcher::Header),
    ("HeadersRegexp", Matcher::HeaderRegexp),
    ("Host", Matcher::Host),
    ("HostHeader", Matcher::Host),
    ("HostRegexp", Matcher::HostRegexp),
    ("Method", Matcher::Method),
    ("Path", Matcher::Path),
    ("PathPrefix", Matcher::PathPrefix),
    ("Query", Matcher::Query),
];

const TCP: &[(&str, Matcher)] = &[
    ("ALPN", Matcher::Alpn),
    ("ClientIP", Matcher::ClientIp),
    ("HostSNI", Matcher::HostSni),
    ("HostSNIRegexp", Matcher::HostSniRegexp),
];

impl Matcher {
    /// Whether the arguments are hosts, or paths or their beginnings.
    pub(super) fn is_exact(self, part: Part) -> bool {
        match part {
            Part::Host => matches!(self, Self::Host | Self::HostSni),
            Part::Path => matches!(self, Self::Path | Self::PathPrefix),
        }
    }
}

impl Protocol {
    fn matchers(self, syntax: Syntax) -> &'static [(&'static str, Matcher)] {
        match (self, syntax) {
            (Self::Http, Syntax::V2) => HTTP_V2,
            (Self::Http, Syntax::V3) => HTTP,
            (Self::Tcp, _) => TCP,
        }
    }
}

/// Returns the matcher that `name` stands for. Traefik accepts `PathPrefix`, `pathprefix`, `PATHPREFIX` and `Pathprefix`.
pub(super) fn resolve(protocol: Protocol, syntax: Syntax, name: &str) -> Result<Matcher, String> {
    let matchers = protocol.matchers(syntax);
    let found = matchers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let has_case = |(known, _): &&(&str, _)| {
        let rest = name.get(1..).unwrap_or_default();
        name == *known
            || name.bytes().all(|letter| letter.is_ascii_lowercase())
            || name.bytes().all(|letter| letter.is_ascii_uppercase())
            || rest.bytes().all(|letter| letter.is_ascii_lowercase())
    };
    if let Some((_, matcher)) = found.filter(has_case) {
        return Ok(*matcher);
    }
    let instead = match name.to_ascii_lowercase().as_str() {
        "headers" => "Traefik 3 has Header(`name`, `value`)",
        "headersregexp" => "Traefik 3 has HeaderRegexp(`name`, `pattern`)",
        "hostheader" => "Traefik 3 has Host",
        "hostsni" | "hostsniregexp" | "alpn" if protocol == Protocol::Http => {
            "it belongs into the rule of a TCP router; HTTP routers have Host"
        }
        _ => "",
    };
    let suggestion =
        found.map(|(known, _)| *known).or_else(|| suggest(name, matchers.iter().map(|(known, _)| *known)));
    let hint = match suggestion {
        _ if !instead.is_empty() => instead.to_owned(),
        Some(known) => format!("did you mean {known}?"),
        None => {
            let known: Vec<_> = matchers.iter().map(|(known, _)| *known).collect();
            format!("the matchers are {}", known.join(", "))
        }
    };
    Err(format!("no matcher {}; {hint}", shorten(name)))
}

/// Checks the arguments of `call`, a matcher of version 3. Returns why it never matches, if so.
///
/// # Errors
/// Traefik rejects the matcher, or it is written as in version 2 and never matches.
pub(super) fn check(matcher: Matcher, call: &Call<'_>, is_whole: bool) -> Result<Option<String>, String> {
    let name = call.name;
    let (first, second) = match (call.arguments.as_slice(), matcher) {
        ([], _) => return Err(format!("{name} has no argument")),
        (all, _) if all.iter().any(Vec::is_empty) => return Err(format!("{name} has an empty argument")),
        ([name, value], Matcher::Header | Matcher::HeaderRegexp | Matcher::Query | Matcher::QueryRegexp) => {
            (name, Some(value))
        }
        (_, Matcher::Header | Matcher::HeaderRegexp) => {
            return Err(format!("{name} takes two arguments: {name}(`name`, `value`)"));
        }
        ([only], _) => (only, None),
        (_, Matcher::Query | Matcher::QueryRegexp) => {
            return Err(format!(
                "{name} takes one or two arguments: {name}(`name`) or {name}(`name`, `value`)"
            ));
        }
        (several, _) => return Err(too_many(name, several, is_whole)),
    };
    let text = String::from_utf8_lossy(first);
    match matcher {
        Matcher::Host if text == "*" => Ok(None),
        Matcher::Host | Matcher::HostRegexp | Matcher::HostSniRegexp if !first.is_ascii() => {
            Err(not_ascii(name))
        }
        Matcher::Host | Matcher::HostSni => check_host(matcher, name, &text),
        Matcher::HostRegexp | Matcher::HostSniRegexp | Matcher::PathRegexp => {
            check_regex(name, first).map(|()| None)
        }
        Matcher::Path | Matcher::PathPrefix => check_path(name, &text),
        Matcher::ClientIp if is_ip_or_cidr(&text) => Ok(None),
        Matcher::ClientIp => Err("ClientIP takes an IP address or a range such as 10.0.0.0/8".to_owned()),
        Matcher::Alpn if text == "acme-tls/1" => Err("Traefik reserves the protocol acme-tls/1".to_owned()),
        Matcher::Alpn | Matcher::Query => Ok(None),
        Matcher::Method if is_token(first) => Ok(None),
        Matcher::Method => Ok(Some(one_of(name, &text, "a method", is_whole))),
        Matcher::QueryRegexp | Matcher::Header | Matcher::HeaderRegexp => {
            if let Some(pattern) = second.filter(|_| matcher != Matcher::Header) {
                go_regex::check(pattern).map_err(|error| invalid_regex(name, pattern, &error))?;
            }
            Ok(if matcher == Matcher::QueryRegexp {
                None
            } else if text.eq_ignore_ascii_case("host") {
                Some("Traefik keeps the Host header apart from the others; use Host or HostRegexp".to_owned())
            } else {
                (!is_token(first)).then(|| format!("{text:?} is not the name of a header"))
            })
        }
    }
}

/// The error for several arguments, with the rule that replaces them.
fn too_many(name: &str, arguments: &[Vec<u8>], is_whole: bool) -> String {
    const SHOWN: usize = 5;
    let shown = &arguments[..arguments.len().min(SHOWN)];
    let calls: Vec<_> = shown.iter().map(|argument| format!("{name}({})", quote(argument))).collect();
    let more = if arguments.len() > SHOWN { " || …" } else { "" };
    let rule = format!("{}{more}", calls.join(" || "));
    let rule = if is_whole { rule } else { format!("({rule})") };
    format!("{name} takes one argument in Traefik 3: {rule}")
}

/// Quotes an argument as rules do.
fn quote(argument: &[u8]) -> String {
    let text = shorten(&String::from_utf8_lossy(argument));
    if text.contains('`') { format!("{text:?}") } else { format!("`{text}`") }
}

/// The reason why a list in one argument never matches.
fn one_of(name: &str, text: &str, kind: &str, is_whole: bool) -> String {
    let parts: Vec<_> = text.split([',', ' ', '|', ';']).filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [_, _, ..] => {
            let parts: Vec<_> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
            too_many(name, &parts, is_whole)
        }
        _ => format!("{text:?} is not {kind}"),
    }
}

fn not_ascii(name: &str) -> String {
    format!("{name} takes ASCII only; write international names in Punycode, such as xn--bcher-kva.example")
}

fn check_host(matcher: Matcher, name: &str, host: &str) -> Result<Option<String>, String> {
    if host.contains('{') {
        return Err(placeholder(name));
    }
    if matcher == Matcher::HostSni && host != "*" {
        let rest = host.strip_prefix("*.").unwrap_or(host);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte);
        if rest.is_empty() || !rest.bytes().all(is_host) {
            return Err(one_of(name, host, "a host name", false));
        }
    }
    // Characters that Go's server accepts in a Host header, without `,`, which no name contains.
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+-.:;=[]_~".contains(&byte);
    let wildcard = host.strip_prefix('*').filter(|rest| !rest.is_empty());
    Ok(if let Some((_, rest)) = host.split_once("://") {
        let rest = rest.split(['/', ':']).next().unwrap_or_default();
        Some(format!("{name} takes a host name without a scheme: {name}(`{}`)", shorten(rest)))
    } else if let Some((host, _)) = host.split_once('/') {
        Some(format!("{name} takes a host name without a path: {name}(`{}`) && PathPrefix(…)", shorten(host)))
    } else if !host.bytes().all(is_valid) {
        Some(one_of(name, host, "a host name", false))
    } else if host.matches(':').count() == 1 && !host.contains('[') {
        let host = host.split(':').next().unwrap_or_default();
        Some(format!("{name} takes a host name without a port: {name}(`{}`)", shorten(host)))
    } else if wildcard.is_some_and(|rest| !rest.starts_with('.')) {
        Some(format!("`*` stands for the whole first label only, as in *.example.com; use {name}Regexp"))
    } else {
        None
    })
}

/// Characters that Traefik leaves encoded in the path of a request.
const RESERVED: [&str; 19] = [
    "3A", "2F", "3F", "23", "5B", "5D", "40", "21", "24", "26", "27", "28", "29", "2A", "2B", "2C", "3B",
    "3D", "25",
];

fn check_path(name: &str, path: &str) -> Result<Option<String>, String> {
    if !path.starts_with('/') {
        return Err(format!("a path begins with a slash: {name}(`/{}`)", shorten(path)));
    }
    if path.match_indices('{').any(|(at, _)| is_named_group(&path[at..])) {
        return Err(placeholder(name));
    }
    let encoded = path.match_indices('%').map(|(at, _)| path.get(at + 1..at + 3).unwrap_or_default());
    Ok(if path.contains('?') {
        Some(format!("{name} takes a path without a query; use Query(`name`, `value`)"))
    } else if path.contains('#') {
        Some("requests have no fragment".to_owned())
    } else {
        encoded.into_iter().find(|code| !RESERVED.contains(code)).map(|code| {
            format!(
                "Traefik decodes paths except for {}, so `%{code}` is in none",
                "%2F and other reserved characters"
            )
        })
    })
}

fn check_regex(name: &str, pattern: &[u8]) -> Result<(), String> {
    let braces = go_regex::check(pattern).map_err(|error| invalid_regex(name, pattern, &error))?;
    let pattern = String::from_utf8_lossy(pattern);
    if braces.iter().any(|at| pattern.get(*at..).is_some_and(is_named_group)) {
        return Err(placeholder(name));
    }
    Ok(())
}

pub(super) fn invalid_regex(name: &str, pattern: &[u8], error: &str) -> String {
    format!("{name} takes a regular expression of Go: {}: {error}", quote(pattern))
}

/// Whether `text` begins with a named group of version 2, `{name}` or `{name:pattern}`.
fn is_named_group(text: &str) -> bool {
    let name = text.trim_start_matches('{');
    let rest = name.trim_start_matches(|letter: char| letter.is_alphanumeric() || "_-. ".contains(letter));
    rest.len() < name.len() && rest.starts_with([':', '}'])
}

fn placeholder(name: &str) -> String {
    let regexp = match name.to_ascii_lowercase().as_str() {
        "path" => r"PathRegexp(`^/[a-z]+$`)",
        "pathprefix" | "pathregexp" => r"PathRegexp(`^/[a-z]+/`)",
        "hostsni" | "hostsniregexp" => r"HostSNIRegexp(`^[a-z]+\.example\.com$`)",
        _ => r"HostRegexp(`^[a-z]+\.example\.com$`)",
    };
    format!(
        "named groups in braces are of Traefik 2 and never match in Traefik 3; write a regular expression: {regexp}"
    )
}

/// Whether `text` is an IP address or a range, as Go reads them.
pub(super) fn is_ip_or_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return text.parse::<IpAddr>().is_ok() };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let max = if address.is_ipv4() { 32 } else { 128 };
    !length.is_empty()
        && length.bytes().all(|digit| digit.is_ascii_digit())
        && length.parse::<u32>().is_ok_and(|length| length <= max)
}

/// Whether `text` is a token of HTTP: a method, or the name of a header.
fn is_token(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}
