//! Frontends become routers, and middlewares in the order of Traefik 1.

use protocol::Labels;

use crate::keys;
use crate::names::normalized;
use crate::rule::Rule;
use crate::translator::Translator;
use crate::{headers, middlewares, redirect, service};

/// Translates the frontend. Returns whether there is a router, which needs a rule.
pub(crate) fn translate(
    t: &mut Translator<'_>,
    service: &str,
    labels: &Labels,
    default_rule: Option<&str>,
) -> bool {
    let old_rule = old_rule(t, service, labels, default_rule);
    let rule = old_rule.as_ref().map(|(rule, _)| rule);
    let origin = t.origin.get();
    let middlewares = middlewares(t, rule);
    t.origin.set(origin);
    let router = format!("routers.{}", t.names.router);
    if !middlewares.is_empty() {
        t.set(format_args!("{router}.middlewares"), middlewares.join(","));
    }
    t.set(format_args!("{router}.service"), t.names.service.as_str());
    if t.copy_list("frontend.entryPoints", format_args!("{router}.entrypoints")) {
        t.warn_if_set(
            "frontend.entryPoints",
            "Traefik needs entry points of these names, and TLS in its own configuration of those that use it",
        );
    }
    let priority = t
        .int("frontend.priority")
        .filter(|priority| priority.parse::<i64>() != Ok(0) && !priority.starts_with('-'));
    t.origin.set(origin);
    let has_rule_label = old_rule.is_some() || t.has("frontend.rule") || t.has("domain");
    let (text, length) = match (old_rule, default_rule) {
        (Some((rule, length)), _) => (rule.matches, length),
        (None, Some(rule)) if !has_rule_label => (rule.to_owned(), rule.len()),
        _ => return false,
    };
    // Both versions try longer rules first, but translation changes the lengths. The old length keeps the old order.
    if let Some(priority) = priority {
        t.set(format_args!("{router}.priority"), priority);
    } else if length != text.len() {
        t.set(format_args!("{router}.priority"), length.to_string());
    }
    t.set(format_args!("{router}.rule"), text);
    true
}

/// Reads the rule from the label or builds it from `traefik.domain`. Returns it with its length in Traefik 1.
fn old_rule(
    t: &mut Translator<'_>,
    service: &str,
    labels: &Labels,
    default_rule: Option<&str>,
) -> Option<(Rule, usize)> {
    let (key, text) = if let Some(label) = t.get("frontend.rule") {
        (label.key, label.text.clone())
    } else if let Some(label) = t.get("domain") {
        let compose = ["service", "project"]
            .map(|part| labels.0.get(&format!("com.docker.compose.{part}")).filter(|text| !text.is_empty()));
        let name = match compose {
            [Some(service), Some(project)] => format!("{service}.{project}"),
            _ => service.to_owned(),
        };
        let name = name.trim_start_matches('/').replace(['/', '_'], "-");
        (label.key, format!("Host:{name}.{}", label.text))
    } else {
        if default_rule.is_none() {
            let segment = t.segment.name.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
            t.warn(
                &format!("traefik.{segment}frontend.rule"),
                "no router: there is neither this label nor traefik.domain; set a rule, or --default-rule, such as \
                 'Host(`{{ normalize .Name }}.lan`)', for services that relied on Traefik 1's --docker.domain",
            );
        }
        return None;
    };
    match Rule::parse(&text) {
        Ok(rule) => {
            for warning in &rule.warnings {
                t.warn(key, warning.as_str());
            }
            Some((rule, text.len()))
        }
        Err(message) => {
            t.error(key, message);
            None
        }
    }
}

/// Creates all middlewares, outermost first.
fn middlewares(t: &mut Translator<'_>, rule: Option<&Rule>) -> Vec<String> {
    let mut all = rule.map_or_else(Vec::new, |rule| redirect::slashes(t, rule));
    all.extend(errors(t));
    all.extend(middlewares::ip_allow_list(t));
    // Traefik 1 changed the path first, and restored it for the redirect.
    all.extend(redirect::translate(t, rule));
    if let Some(rule) = rule {
        all.extend(path(t, rule));
    }
    all.extend(headers::translate(t));
    all.extend(client_certificate(t));
    all.extend(middlewares::auth(t));
    all.extend(service::middlewares(t));
    all.extend(middlewares::max_connections(t));
    all.extend(middlewares::rate_limits(t));
    all
}

/// Creates the middlewares that change the path, in the order of Traefik 1.
fn path(t: &mut Translator<'_>, rule: &Rule) -> Vec<String> {
    let mut created = Vec::new();
    if !rule.strip_regex.is_empty() {
        created.push(t.set_middleware("stripprefixregex", &[("regex", &rule.strip_regex.join(","))]));
    }
    if !rule.strip.is_empty() {
        created.push(t.set_middleware("stripprefix", &[("prefixes", &rule.strip.join(","))]));
    }
    if let Some(prefix) = &rule.add {
        created.push(t.set_middleware("addprefix", &[("prefix", prefix)]));
    }
    if let Some((regex, replacement)) = &rule.replace_regex {
        let options = [("regex", regex.as_str()), ("replacement", replacement)];
        created.push(t.set_middleware("replacepathregex", &options));
    }
    if let Some(path) = &rule.replace {
        created.push(t.set_middleware("replacepath", &[("path", path)]));
    }
    created
}

/// Creates a middleware for each of `frontend.errors`.
fn errors(t: &mut Translator<'_>) -> Vec<String> {
    let mut created = Vec::new();
    for page in t.names_below("frontend.errors") {
        let old = format!("frontend.errors.{page}");
        let key = t.first_below(&old).unwrap_or_default();
        let status = t.list(&format!("{old}.status")).join(",");
        let (Some(backend), false) = (t.get(&format!("{old}.backend")), status.is_empty()) else {
            t.error(key, format!("missing {old}.status or {old}.backend; set both"));
            continue;
        };
        let service = normalized(&backend.text);
        if service == t.names.service {
            t.warn(
                backend.key,
                "no effect, as in Traefik 1: the error pages come from the failing backend itself",
            );
            continue;
        }
        let name = t.names.middleware("errors", Some(page));
        let prefix = format!("middlewares.{name}.errors");
        t.set(format_args!("{prefix}.status"), status);
        t.set(format_args!("{prefix}.service"), service.as_str());
        t.copy(&format!("{old}.query"), format_args!("{prefix}.query"));
        t.warn(
            backend.key,
            format!("there must be a service {service}; without it Traefik 3 drops the whole router"),
        );
        created.push(name);
    }
    created
}

/// Creates the middleware for `frontend.passTLSClientCert`.
fn client_certificate(t: &mut Translator<'_>) -> Option<String> {
    if t.is_true("frontend.passTLSCert") {
        t.warn_if_set(
            "frontend.passTLSCert",
            "no successor; give the service a serversTransport with a certificate, or pass the client's certificate in \
             a header with passtlsclientcert.pem",
        );
    }
    let name = t.names.middleware("passtlsclientcert", None);
    let (old, new) = ("frontend.passTLSClientCert", format!("middlewares.{name}.passtlsclientcert"));
    let is_passed = t.copy_true(&format!("{old}.pem"), format_args!("{new}.pem"));
    let mut has_infos = false;
    let options = keys::options()
        .iter()
        .filter_map(|(option, _)| option.strip_prefix("frontend.passTLSClientCert.infos."));
    for info in options {
        let path = format!("{new}.info.{}", info.to_ascii_lowercase());
        has_infos |= t.copy_true(&format!("{old}.infos.{info}"), path);
    }
    if has_infos {
        t.warn_if_below(
            &format!("{old}.infos"),
            "the header is now X-Forwarded-Tls-Client-Cert-Info (Traefik 1: ...-Infos), in another format",
        );
    }
    (is_passed || has_infos).then_some(name)
}
