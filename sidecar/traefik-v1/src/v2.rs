//! Labels of Traefik 2 that Traefik 3 no longer has, or reads differently: rules, and options of middlewares. The
//! reference is Traefik's guide for the migration from version 2 to 3, and the code of version 2.11.

use std::collections::BTreeMap;

use protocol::Labels;
use traefik::{Diagnostic, map_matchers};

use crate::redirect::https_redirect;
use crate::rule::{joined, translate_v2};
use crate::variables::is_open;

/// The warning for rules with variables.
pub(crate) const NO_PRIORITY: &str = "no priority, because a variable leaves the length of the rule open, which was its priority; where rules overlap, set \
     the router's priority";

/// What replaces labels of Traefik 2.
#[derive(Debug, Default)]
pub(crate) struct Replacement {
    /// New labels by old key. Labels that stay are not in it.
    pub(crate) replaced: BTreeMap<String, Vec<(String, String)>>,
    /// What must be in Traefik's own configuration.
    pub(crate) notes: Vec<Diagnostic>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Options of the headers middleware that redirected to HTTPS.
const SSL: [&str; 4] = ["sslredirect", "ssltemporaryredirect", "sslhost", "sslforcehost"];

/// Translates labels of Traefik 2 and 3. `is_swarm` is for labels of Swarm services.
pub(crate) fn translate(labels: &Labels, is_swarm: bool) -> Replacement {
    let mut output = Replacement::default();
    for (key, value) in &labels.0 {
        let lower = key.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('.').collect();
        let renamed = |at: usize, new: &str| {
            let new = key.split('.').enumerate().map(|(number, part)| if number == at { new } else { part });
            vec![(new.collect::<Vec<_>>().join("."), value.clone())]
        };
        note(key, &parts, value, &mut output);
        let new = match parts.as_slice() {
            ["traefik", "docker", "network" | "lbswarm"] if is_swarm => renamed(1, "swarm"),
            ["traefik", "http" | "tcp", "middlewares", _, "ipwhitelist", ..] => renamed(4, "ipallowlist"),
            ["traefik", "http", "middlewares", _, "headers", "featurepolicy"] => {
                renamed(5, "customresponseheaders.Feature-Policy")
            }
            ["traefik", "http", "middlewares", _, "forwardauth", "tls", "caoptional"]
            | ["traefik", "http", "middlewares", _, "stripprefix", "forceslash"]
            | ["traefik", "tls", "options", _, "preferserverciphersuites"]
                // The last option of a definition stays, since others may refer to the definition.
                if labels.0.keys().any(|other| other != key && has_name_of(other, key)) =>
            {
                let default = parts.last() == Some(&"forceslash");
                if parse::go_bool(value) != Some(default) {
                    output.warnings.push(Diagnostic::new(key, "removed: Traefik 3 has no such option"));
                }
                Vec::new()
            }
            ["traefik", protocol @ ("http" | "tcp"), "routers", _, "rule"] => {
                match rule(labels, key, value, *protocol == "tcp", &mut output.warnings) {
                    Ok(Some(new)) => new,
                    Ok(None) => continue,
                    Err(message) => {
                        output.errors.push(Diagnostic::new(key, message));
                        continue;
                    }
                }
            }
            ["traefik", _, "routers", _, "rulesyntax"] if value == "v2" => Vec::new(),
            _ => continue,
        };
        output.replaced.insert(key.clone(), new);
    }
    redirects(labels, &mut output);
    output
}

/// Whether two keys belong to the same router, middleware or other definition.
fn has_name_of(one: &str, two: &str) -> bool {
    let is_same = |(one, two): (&str, &str)| one.eq_ignore_ascii_case(two);
    one.split('.').zip(two.split('.')).take(4).filter(|pair| is_same(*pair)).count() == 4
}

/// Notes what only Traefik's own configuration can tell.
fn note(key: &str, parts: &[&str], value: &str, output: &mut Replacement) {
    let mut note = |message: String| output.notes.push(Diagnostic::new(key, message));
    if let ["traefik", "http" | "tcp", "routers", _, "tls", "certresolver"] = parts {
        note(format!("Traefik's own configuration must define the certificate resolver {value:?}"));
    }
    let is_traefik = parts.first() == Some(&"traefik");
    for name in value.split(',').map(str::trim).filter(|name| is_traefik && name.ends_with("@file")) {
        note(format!("a file of Traefik's file provider must define {name:?}, in the syntax of Traefik 3"));
    }
}

/// Translates a rule. Returns `None` if it stays.
fn rule(
    labels: &Labels,
    key: &str,
    value: &str,
    is_tcp: bool,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Option<Vec<(String, String)>>, String> {
    let router = &key[..key.len() - "rule".len()];
    let option = |name: &str| {
        let key = format!("{router}{name}");
        labels.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(&key)).map(|(_, value)| value.as_str())
    };
    let is_v2 = option("rulesyntax") == Some("v2");
    let new = map_matchers(value, |name, arguments, is_whole| {
        let terms = translate_v2(name, arguments, is_v2, is_tcp)?;
        Ok(terms.map(|terms| {
            let is_one = terms.len() == 1 && terms[0].len() == 1;
            let text = joined(terms);
            if is_whole || is_one { text } else { format!("({text})") }
        }))
    });
    // The check of the whole rule reports a syntax error.
    let Some(new) = new.transpose()?.filter(|new| new != value) else { return Ok(None) };
    let mut pairs = vec![(key.to_owned(), new)];
    // Both versions try longer rules first, but translation changes the lengths. The old length keeps the old order.
    if option("priority").is_none() && pairs[0].1.len() != value.len() {
        if is_open(value) {
            warnings.push(Diagnostic::new(key, NO_PRIORITY));
        } else {
            pairs.push((format!("{router}priority"), value.len().to_string()));
        }
    }
    Ok(Some(pairs))
}

/// Translates the redirects of headers middlewares to middlewares of their own. A middleware with other options, too,
/// becomes a chain, so that routers can go on referring to it.
fn redirects(labels: &Labels, output: &mut Replacement) {
    let mut middlewares: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for key in labels.0.keys() {
        let lower = key.to_ascii_lowercase();
        if let ["traefik", "http", "middlewares", name, "headers", _, ..] =
            lower.split('.').collect::<Vec<_>>()[..]
        {
            middlewares.entry(name.to_owned()).or_default().push(key);
        }
    }
    let option_of = |key: &str| key.split('.').nth(5).unwrap_or_default().to_ascii_lowercase();
    for keys in middlewares.values() {
        let (ssl, others): (Vec<&str>, Vec<&str>) =
            keys.iter().partition(|key| SSL.contains(&option_of(key).as_str()));
        let Some(first) = ssl.first() else { continue };
        let value = |option: &str| {
            let key = keys.iter().find(|key| option_of(key) == option);
            key.map(|key| labels.0[*key].as_str())
        };
        let is_true = |option: &str| value(option).and_then(parse::go_bool).unwrap_or(false);
        if let Some(key) = ssl.iter().find(|key| option_of(key) != "sslhost" && is_open(&labels.0[**key])) {
            output
                .errors
                .push(Diagnostic::new(*key, "expected true or false; a variable cannot decide this"));
            continue;
        }
        let redirect = https_redirect(is_true("sslredirect"), is_true("sslforcehost"), value("sslhost"));
        let redirect = redirect.filter(|_| !is_true("isdevelopment"));
        let prefix = first.split('.').take(4).collect::<Vec<_>>().join(".");
        let name = prefix.rsplit('.').next().unwrap_or_default();
        let redirect = match redirect {
            None if others.is_empty() => {
                output.warnings.push(Diagnostic::new(
                    *first,
                    "no effect in Traefik 3; remove it where nothing refers to it",
                ));
                continue;
            }
            redirect => redirect,
        };
        output.replaced.extend(ssl.iter().map(|key| ((*key).to_owned(), Vec::new())));
        let Some((kind, mut options)) = redirect else { continue };
        if !is_true("ssltemporaryredirect") {
            options.push(("permanent", "true".to_owned()));
        }
        let (mut new, mut own) = (Vec::new(), prefix.clone());
        if !others.is_empty() {
            own = format!("{prefix}-https");
            new.push((format!("{prefix}.chain.middlewares"), format!("{name}-https,{name}-headers")));
            for key in others {
                let pairs = output.replaced.entry(key.to_owned());
                let pairs = pairs.or_insert_with(|| vec![(key.to_owned(), labels.0[key].clone())]);
                for (key, _) in pairs {
                    *key = format!("{prefix}-headers{}", &key[prefix.len()..]);
                }
            }
        }
        new.extend(options.into_iter().map(|(option, value)| (format!("{own}.{kind}.{option}"), value)));
        output.replaced.insert((*first).to_owned(), new);
    }
}
