//! Middlewares that restrict access: `frontend.auth.…`, `frontend.whiteList.…`, `frontend.rateLimit.…` and
//! `backend.maxconn.…`.

use std::net::IpAddr;

use crate::translator::Translator;
use crate::variables::is_open;

/// Creates the middleware for `frontend.auth`. Of several kinds, Traefik 1 used the first in this order.
pub(crate) fn auth(t: &mut Translator<'_>) -> Option<String> {
    let header_field = "frontend.auth.headerField";
    let kinds = ["basic", "digest", "forward"];
    let mut used = kinds.iter().filter(|kind| t.first_below(&format!("frontend.auth.{kind}")).is_some());
    let (Some(kind), others) = (used.next().copied(), used.collect::<Vec<_>>()) else {
        t.warn_if_set(header_field, "no effect without frontend.auth.basic or frontend.auth.digest");
        return None;
    };
    for other in others {
        t.warn_if_below(
            &format!("frontend.auth.{other}"),
            format!("no effect, because frontend.auth.{kind} is set"),
        );
    }
    if kind == "forward" {
        t.warn_if_set(header_field, "no effect with frontend.auth.forward, as in Traefik 1");
        return forward_auth(t);
    }
    let name = t.names.middleware(&format!("{kind}auth"), None);
    let prefix = format!("middlewares.{name}.{kind}auth");
    let old = format!("frontend.auth.{kind}");
    let users_option = if kind == "basic" && t.has(&old) { old.clone() } else { format!("{old}.users") };
    let users = t.list(&users_option);
    if let Some(label) = t.get(&format!("{old}.usersFile")) {
        t.error(label.key, format!("labels cannot name files on Traefik's host; set {old}.users instead"));
        return None;
    }
    if users.is_empty() {
        let key = t.first_below(&old).unwrap_or_default();
        t.error(key, format!("missing users; set {old}.users"));
        return None;
    }
    let (colons, expected) = if kind == "basic" { (1, "USER:HASH") } else { (2, "USER:REALM:HASH") };
    if let Some(label) = t.get(&users_option)
        && users.iter().any(|user| user.matches(':').count() < colons && !is_open(user))
    {
        // The value is secret, so the message does not contain it.
        t.error(label.key, format!("expected {expected}, separated by commas"));
    }
    t.copy_list(&users_option, format_args!("{prefix}.users"));
    t.copy_true(&format!("{old}.removeHeader"), format_args!("{prefix}.removeheader"));
    t.copy(header_field, format_args!("{prefix}.headerfield"));
    Some(name)
}

fn forward_auth(t: &mut Translator<'_>) -> Option<String> {
    let name = t.names.middleware("forwardauth", None);
    let (old, new) = ("frontend.auth.forward", format!("middlewares.{name}.forwardauth"));
    if !t.copy(&format!("{old}.address"), format_args!("{new}.address")) {
        let key = t.first_below(old).unwrap_or_default();
        t.error(key, format!("missing {old}.address"));
        return None;
    }
    t.copy_list(&format!("{old}.authResponseHeaders"), format_args!("{new}.authresponseheaders"));
    t.copy_true(&format!("{old}.trustForwardHeader"), format_args!("{new}.trustforwardheader"));
    t.copy_true(&format!("{old}.tls.insecureSkipVerify"), format_args!("{new}.tls.insecureskipverify"));
    if t.copy_true(&format!("{old}.tls.caOptional"), format_args!("{new}.tls.caoptional")) {
        t.warn_if_set(
            &format!("{old}.tls.caOptional"),
            "no effect: Traefik 3 accepts the option and ignores it",
        );
    }
    for part in ["ca", "cert", "key"] {
        t.copy(&format!("{old}.tls.{part}"), format_args!("{new}.tls.{part}"));
    }
    Some(name)
}

/// Creates the middleware for `frontend.whiteList` and its older name `frontend.whitelistSourceRange`.
pub(crate) fn ip_allow_list(t: &mut Translator<'_>) -> Option<String> {
    let behind_proxies = t.is_true("frontend.whiteList.useXForwardedFor");
    let (new, old) = ("frontend.whiteList.sourceRange", "frontend.whitelistSourceRange");
    let (option, is_new) = if t.list(new).is_empty() { (old, false) } else { (new, true) };
    let ranges = t.list(option);
    if ranges.is_empty() {
        return None;
    }
    if let Some(label) = t.get(option)
        && let Some(bad) = ranges.iter().find(|range| !is_range(range))
    {
        // Traefik 1 allowed every client in this case.
        t.error(label.key, format!("expected an IP address or a network such as 10.0.0.0/8, got {bad:?}"));
    }
    let name = t.names.middleware("ipallowlist", None);
    t.set(format_args!("middlewares.{name}.ipallowlist.sourcerange"), ranges.join(","));
    if behind_proxies && is_new {
        t.set(format_args!("middlewares.{name}.ipallowlist.ipstrategy.depth"), "1");
        t.warn_if_set(
            "frontend.whiteList.useXForwardedFor",
            "now checks the last address in X-Forwarded-For; Traefik 1 allowed any request that named an address of the \
             list; behind several proxies set ipallowlist.ipstrategy.depth",
        );
    }
    Some(name)
}

fn is_range(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return is_open(text) };
    let max = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| {
        bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|b| b <= max)
    })
}

/// Creates the middlewares for `frontend.rateLimit`, one for each rate.
pub(crate) fn rate_limits(t: &mut Translator<'_>) -> Vec<String> {
    if !t.has("frontend.rateLimit.extractorFunc") {
        let message = "no effect without frontend.rateLimit.extractorFunc";
        t.warn_if_below("frontend.rateLimit.rateSet", message);
        return Vec::new();
    }
    let mut created = Vec::new();
    for rate in t.names_below("frontend.rateLimit.rateSet") {
        let old = format!("frontend.rateLimit.rateSet.{rate}");
        let name = t.names.middleware("ratelimit", Some(rate));
        let new = format!("middlewares.{name}.ratelimit");
        t.copy_int(&format!("{old}.average"), format_args!("{new}.average"));
        t.copy_int(&format!("{old}.burst"), format_args!("{new}.burst"));
        t.copy_duration(&format!("{old}.period"), format_args!("{new}.period"));
        if !t.has(&format!("{old}.average")) {
            let key = t.first_below(&old).unwrap_or_default();
            t.error(key, format!("missing {old}.average"));
        }
        source_criterion(t, "frontend.rateLimit.extractorFunc", &new);
        created.push(name);
    }
    created
}

/// Creates the middleware for `backend.maxconn`.
pub(crate) fn max_connections(t: &mut Translator<'_>) -> Option<String> {
    let name = t.names.middleware("inflightreq", None);
    let prefix = format!("middlewares.{name}.inflightreq");
    if !t.copy_int("backend.maxconn.amount", format_args!("{prefix}.amount")) {
        // An invalid amount is an error already.
        t.warn_if_set("backend.maxconn.extractorfunc", "no effect without backend.maxconn.amount");
        return None;
    }
    if t.has("backend.maxconn.extractorfunc") {
        source_criterion(t, "backend.maxconn.extractorfunc", &prefix);
    } else {
        t.set(format_args!("{prefix}.sourcecriterion.requesthost"), "true");
    }
    Some(name)
}

/// Sets the criterion by which requests are counted together.
fn source_criterion(t: &mut Translator<'_>, option: &str, prefix: &str) {
    let Some(label) = t.get(option) else { return };
    let (field, value) = match label.text.as_str() {
        "client.ip" => ("ipstrategy.depth", "0"),
        "request.host" => ("requesthost", "true"),
        other => {
            let Some(header) = other.strip_prefix("request.header.").filter(|header| !header.is_empty())
            else {
                let expected = "client.ip, request.host or request.header.NAME";
                return t.error(label.key, format!("expected {expected}, got {other:?}"));
            };
            ("requestheadername", header)
        }
    };
    t.set(format_args!("{prefix}.sourcecriterion.{field}"), value);
}
