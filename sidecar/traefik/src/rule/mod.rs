//! Rules of routers, checked as Traefik 3.7 parses them. Pure, and linear in the length of the rule.
//!
//! [`expression`] parses the operators, [`matchers`] checks the arguments of each matcher, [`go_regex`] the regular
//! expressions. Rules that Traefik accepts although they never match are errors too.

mod expression;
pub(crate) mod go_regex;
mod lexer;
mod matchers;
mod unicode_names;
mod v2;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::rule::expression::{Call, Expression};
use crate::rule::lexer::shorten;
use crate::rule::matchers::Matcher;
use crate::tree::Tree;

/// Protocol of a router that has a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http,
    Tcp,
}

/// Value of the option `rulesyntax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    V2,
    V3,
}

/// Checks the rules of all HTTP and TCP routers in `tree`. Routers without a rule are skipped.
pub(crate) fn check_routers(tree: &Tree, warnings: &mut Vec<Diagnostic>, errors: &mut Vec<Diagnostic>) {
    for (protocol, key) in [(Protocol::Http, "http"), (Protocol::Tcp, "tcp")] {
        let routers = tree.get(key).and_then(|section| section.get("routers")).and_then(Value::as_object);
        for (name, router) in routers.into_iter().flatten() {
            let label = format!("traefik.{key}.routers.{name}");
            let Some(rule) = router.get("rule").and_then(Value::as_str).filter(|rule| !rule.is_empty())
            else {
                continue;
            };
            match check_router(protocol, &label, rule, router) {
                Ok(messages) => warnings.extend(messages),
                Err(error) => errors.push(error),
            }
        }
    }
}

/// Replaces matchers of a rule, of any version, with what `map` returns for their name and arguments; the rest of the rule
/// stays. `map` also learns whether the matcher is the whole rule. Returns `None` if the rule has a syntax error.
///
/// # Errors
/// Those of `map`.
pub fn map_matchers(
    rule: &str,
    map: impl Fn(&str, &[String], bool) -> Result<Option<String>, String>,
) -> Option<Result<String, String>> {
    let expression = expression::parse(rule).ok()?;
    let is_whole = matches!(expression, Expression::Leaf(_));
    let (mut mapped, mut rest) = (String::new(), rule);
    for call in expression.leaves() {
        let (before, after) = rest.split_once(call.text)?;
        let arguments: Vec<_> =
            call.arguments.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
        let new = match map(call.name, &arguments, is_whole) {
            Ok(new) => new,
            Err(error) => return Some(Err(error)),
        };
        mapped.extend([before, new.as_deref().unwrap_or(call.text)]);
        rest = after;
    }
    Some(Ok(mapped + rest))
}

/// A part of a request that a matcher can confine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Host,
    Path,
}

/// Returns the hosts that the rule of a router names, in lower case. Traefik gives all HTTPS connections to such a host the
/// TLS options of the router.
pub(crate) fn hosts(protocol: &str, router: &Value) -> BTreeSet<String> {
    let Some(rule) = read(protocol, router) else { return BTreeSet::new() };
    let named = rule.leaves().into_iter().filter(|leaf| leaf.matcher.is_exact(Part::Host));
    named.flat_map(|leaf| leaf.call.arguments.iter().map(|host| text(Part::Host, host))).collect()
}

/// Whether each request that the rule of a router matches has a host or a path that is allowed. `is_allowed` gets the
/// argument of the matchers for it: a host in lower case, or the beginning of a path.
pub(crate) fn is_confined(
    protocol: &str,
    router: &Value,
    part: Part,
    is_allowed: &impl Fn(&str) -> bool,
) -> bool {
    let Some(rule) = read(protocol, router) else { return false };
    // A request may pass a matcher that confines nothing, and one that is negated.
    !rule.may_hold(false, &|leaf, is_negated| {
        let mut arguments = leaf.call.arguments.iter();
        is_negated
            || !leaf.matcher.is_exact(part)
            || !arguments.all(|argument| is_allowed(&text(part, argument)))
    })
}

fn read<'a>(protocol: &str, router: &'a Value) -> Option<Rule<'a>> {
    let option = |name: &str| router.get(name).and_then(Value::as_str);
    let syntax = if option("rulesyntax") == Some("v2") { Syntax::V2 } else { Syntax::V3 };
    let protocol = if protocol == "http" { Protocol::Http } else { Protocol::Tcp };
    parse(protocol, syntax, option("rule")?).ok()
}

fn text(part: Part, argument: &[u8]) -> String {
    let text = String::from_utf8_lossy(argument);
    match part {
        Part::Host => text.trim_end_matches('.').to_lowercase(),
        Part::Path => text.into_owned(),
    }
}

/// Checks the rule of a router. Returns warnings.
fn check_router(
    protocol: Protocol,
    label: &str,
    rule: &str,
    router: &Value,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let in_rule = |message: String| Diagnostic::new(format!("{label}.rule"), message);
    if router.get("rulesyntax").and_then(Value::as_str) == Some("v2") {
        let rule = parse(protocol, Syntax::V2, rule).map_err(in_rule)?;
        check_without_tls(protocol, label, &rule, router)?;
        let message = "deprecated in Traefik 3; write the rule in its syntax and remove this label";
        return Ok(vec![Diagnostic::new(format!("{label}.rulesyntax"), message)]);
    }
    let rule = parse(protocol, Syntax::V3, rule).map_err(in_rule)?;
    check_without_tls(protocol, label, &rule, router)?;
    let dead = |leaf: &Leaf<'_>| {
        let reason = leaf.dead.as_ref()?;
        Some(in_rule(format!("{} never matches: {reason}", shorten(leaf.call.text))))
    };
    let mut dead = rule.leaves().into_iter().filter_map(dead);
    if let Some(reason) = contradiction(&rule) {
        return Err(in_rule(reason));
    }
    let may_match = rule.may_hold(false, &|leaf, is_negated| is_negated || leaf.dead.is_none());
    match dead.next() {
        Some(error) if !may_match => Err(error),
        first => Ok(first.into_iter().chain(dead).collect()),
    }
}

/// A matcher whose arguments Traefik accepts.
struct Leaf<'a> {
    matcher: Matcher,
    call: Call<'a>,
    /// Why it matches nothing, if so.
    dead: Option<String>,
}

type Rule<'a> = Expression<Leaf<'a>>;

fn parse(protocol: Protocol, syntax: Syntax, text: &str) -> Result<Rule<'_>, String> {
    let expression = expression::parse(text).map_err(|error| version_1(protocol, text).unwrap_or(error))?;
    let is_whole = matches!(expression, Expression::Leaf(_));
    expression.try_map(&|call: Call<'_>| {
        let matcher = matchers::resolve(protocol, syntax, call.name)?;
        let checked = match syntax {
            Syntax::V2 => v2::check(matcher, &call).map(|()| None),
            Syntax::V3 => matchers::check(matcher, &call, is_whole),
        };
        let dead = checked.map_err(|error| format!("{}: {error}", shorten(call.text)))?;
        Ok(Leaf { matcher, call, dead })
    })
}

/// The error for a rule of Traefik 1, such as `Host:a.lan,b.lan;PathPrefix:/a`.
fn version_1(protocol: Protocol, text: &str) -> Option<String> {
    let parts = text.split(';').map(|part| {
        let (name, values) = part.split_once(':')?;
        let name = name.trim();
        let is_value = |value: &&str| !value.is_empty() && !value.contains(['`', '"', '\'', '(']);
        let values: Vec<_> = values.split(',').map(str::trim).collect();
        if name.is_empty()
            || !name.bytes().all(|letter| letter.is_ascii_alphabetic())
            || !values.iter().all(is_value)
        {
            return None;
        }
        let known = matchers::resolve(protocol, Syntax::V3, name).is_ok();
        let calls: Vec<_> = values.iter().map(|value| format!("{name}(`{value}`)")).collect();
        Some((known, calls.join(" || "), values.len()))
    });
    let parts: Vec<_> = parts.collect::<Option<_>>()?;
    if !parts.iter().all(|(known, ..)| *known) {
        return Some(
            "rules of Traefik 1 are only read in traefik.frontend.rule; `hub labels` translates them"
                .to_owned(),
        );
    }
    let is_whole = parts.len() == 1;
    let parts = parts
        .into_iter()
        .map(|(_, calls, count)| if count == 1 || is_whole { calls } else { format!("({calls})") });
    let rule = parts.collect::<Vec<_>>().join(" && ");
    Some(format!("this is a rule of Traefik 1; in Traefik 3 it is {}", shorten(&rule)))
}

/// Checks a TCP router without TLS: its connections have no server name, and begin like those of any other protocol.
fn check_without_tls(
    protocol: Protocol,
    label: &str,
    rule: &Rule<'_>,
    router: &Value,
) -> Result<(), Diagnostic> {
    let has_tls = router.get("tls").is_some_and(|tls| tls != "false");
    if protocol == Protocol::Http || has_tls {
        return Ok(());
    }
    let leaves = rule.leaves();
    let mut hosts = leaves.iter().filter(|leaf| leaf.matcher == Matcher::HostSni);
    let catches_all = |leaf: &Leaf<'_>| leaf.call.arguments.first().is_some_and(|host| host == b"*");
    if hosts.next().is_some_and(|first| !catches_all(first)) {
        let message = format!(
            "only TLS connections have a server name; set {label}.tls=true, or use HostSNI(`*`) on an entry point of its own"
        );
        return Err(Diagnostic::new(format!("{label}.rule"), message));
    }
    let may_match = rule.may_hold(false, &|leaf, is_negated| match leaf.matcher {
        Matcher::HostSni => catches_all(leaf) != is_negated,
        Matcher::Alpn => is_negated,
        _ => true,
    });
    let has_entry_points =
        router.get("entrypoints").and_then(Value::as_array).is_some_and(|points| !points.is_empty());
    if may_match && !has_entry_points {
        return Err(Diagnostic::new(
            label,
            format!(
                "without TLS and entry points, this TCP router takes the connections of all services on every entry \
                 point; set {label}.entrypoints"
            ),
        ));
    }
    if !may_match {
        let message =
            "the rule never matches: connections without TLS have no server name and no protocol (ALPN)";
        return Err(Diagnostic::new(format!("{label}.rule"), message));
    }
    Ok(())
}

/// Finds two conditions of the whole rule that no request fulfils both.
fn contradiction(rule: &Rule<'_>) -> Option<String> {
    let Expression::All(all) = rule else { return None };
    let mut first: Vec<&Leaf<'_>> = Vec::new();
    for condition in all {
        let Expression::Leaf(leaf) = condition else { continue };
        let argument = leaf.call.arguments.first()?;
        if !matches!(leaf.matcher, Matcher::Host | Matcher::HostSni | Matcher::Method | Matcher::Path)
            || argument.starts_with(b"*")
        {
            continue;
        }
        match first.iter().find(|other| other.matcher == leaf.matcher) {
            None => first.push(leaf),
            Some(other) if is_same(leaf.matcher, argument, other.call.arguments.first()?) => {}
            Some(other) => {
                let (one, two) = (shorten(other.call.text), shorten(leaf.call.text));
                return Some(format!("no request matches both {one} and {two}; write {one} || {two}"));
            }
        }
    }
    None
}

/// Whether two arguments match the same requests.
fn is_same(matcher: Matcher, one: &[u8], two: &[u8]) -> bool {
    if matcher == Matcher::Path {
        return one == two;
    }
    let trim = |host: &[u8]| host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
    trim(one) == trim(two)
}

#[cfg(test)]
mod tests;
