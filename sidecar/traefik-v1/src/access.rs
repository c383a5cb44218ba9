//! Who may come in, and how often: `frontend.auth.…`, `frontend.whiteList.…`, `frontend.rateLimit.…`,
//! `backend.maxconn.…`.

use std::net::IpAddr;

use crate::Output;
use crate::names::Names;
use crate::segment::Segment;

/// The middleware for `frontend.auth`. Traefik 1 took the first kind of three.
pub(crate) fn auth(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    let header = segment.text("frontend.auth.headerField");
    let kinds = ["basic", "digest", "forward"];
    let mut said = kinds.into_iter().filter(|kind| segment.below(&format!("frontend.auth.{kind}")).is_some());
    let Some(kind) = said.next() else {
        if let Some(value) = header {
            output.warn(value.key, "of no effect without frontend.auth.basic or frontend.auth.digest");
        }
        return None;
    };
    for other in said {
        if let Some(key) = segment.below(&format!("frontend.auth.{other}")) {
            output.warn(key, format!("of no effect beside frontend.auth.{kind}"));
        }
    }
    if kind == "forward" {
        if let Some(value) = header {
            output.warn(value.key, "Traefik 1 ignored it with frontend.auth.forward, and so it is now");
        }
        return forward(segment, names, output);
    }
    let name = names.middleware(&format!("{kind}auth"), None);
    let prefix = format!("middlewares.{name}.{kind}auth");
    let old = format!("frontend.auth.{kind}");
    let users_are_in =
        if kind == "basic" && segment.has(&old) { old.clone() } else { format!("{old}.users") };
    let users = segment.list(&users_are_in);
    let file = segment.text(&format!("{old}.usersFile"));
    if users.is_empty() && file.is_none() {
        let key = segment.below(&old).unwrap_or_default();
        output.error(key, format!("there are neither {old}.users nor {old}.usersFile"));
        return None;
    }
    let colons = if kind == "basic" { 1 } else { 2 };
    if let Some(value) = segment.text(&users_are_in)
        && users.iter().any(|user| user.matches(':').count() < colons)
    {
        // Not the value: it holds what should not get about.
        let expected = if kind == "basic" { "user:hash" } else { "user:realm:hash" };
        output.error(value.key, format!("{expected} is expected, with commas between"));
    }
    if !users.is_empty() {
        output.set(format_args!("{prefix}.users"), users.join(","));
    }
    if let Some(value) = file {
        output.set(format_args!("{prefix}.usersfile"), value.text);
    }
    if segment.is_true(&format!("{old}.removeHeader"), output) {
        output.set(format_args!("{prefix}.removeheader"), "true");
    }
    if let Some(value) = header {
        output.set(format_args!("{prefix}.headerfield"), value.text);
    }
    Some(name)
}

fn forward(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    let name = names.middleware("forwardauth", None);
    let prefix = format!("middlewares.{name}.forwardauth");
    let Some(address) = segment.text("frontend.auth.forward.address") else {
        let key = segment.below("frontend.auth.forward").unwrap_or_default();
        output.error(key, "there is no frontend.auth.forward.address");
        return None;
    };
    output.set(format_args!("{prefix}.address"), address.text);
    let headers = segment.list("frontend.auth.forward.authResponseHeaders");
    if !headers.is_empty() {
        output.set(format_args!("{prefix}.authresponseheaders"), headers.join(","));
    }
    for (old, new) in [
        ("trustForwardHeader", "trustforwardheader"),
        ("tls.insecureSkipVerify", "tls.insecureskipverify"),
        ("tls.caOptional", "tls.caoptional"),
    ] {
        let old = format!("frontend.auth.forward.{old}");
        if segment.is_true(&old, output) {
            output.set(format_args!("{prefix}.{new}"), "true");
            if let Some(value) = segment.text(&old).filter(|_| new == "tls.caoptional") {
                output.warn(value.key, "of no effect: Traefik 3 takes it and leaves it at that");
            }
        }
    }
    for part in ["ca", "cert", "key"] {
        if let Some(value) = segment.text(&format!("frontend.auth.forward.tls.{part}")) {
            output.set(format_args!("{prefix}.tls.{part}"), value.text);
        }
    }
    Some(name)
}

/// The middleware for `frontend.whiteList`, and for what it was called before.
pub(crate) fn white_list(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    let through_proxies = segment.is_true("frontend.whiteList.useXForwardedFor", output);
    let (new, old) = ("frontend.whiteList.sourceRange", "frontend.whitelistSourceRange");
    let (option, is_new) = if segment.list(new).is_empty() { (old, false) } else { (new, true) };
    let ranges = segment.list(option);
    if ranges.is_empty() {
        return None;
    }
    if let Some(value) = segment.text(option)
        && let Some(bad) = ranges.iter().find(|range| !is_range(range))
    {
        // Traefik 1 let everybody in then.
        output.error(
            value.key,
            format!("an address or a network is expected, such as 10.0.0.0/8, not {bad:?}"),
        );
    }
    let name = names.middleware("ipallowlist", None);
    output.set(format_args!("middlewares.{name}.ipallowlist.sourcerange"), ranges.join(","));
    if through_proxies && is_new {
        output.set(format_args!("middlewares.{name}.ipallowlist.ipstrategy.depth"), "1");
        if let Some(value) = segment.text("frontend.whiteList.useXForwardedFor") {
            output.warn(
                value.key,
                "Traefik 1 let in whoever named any address of the list; now the last of X-Forwarded-For counts: \
                 for more proxies than one set ipallowlist.ipstrategy.depth",
            );
        }
    }
    Some(name)
}

fn is_range(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| {
        bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|b| b <= most)
    })
}

/// The middlewares for `frontend.rateLimit`, one for each rate.
pub(crate) fn rate_limits(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Vec<String> {
    let rates = segment.names("frontend.rateLimit.rateSet");
    if !segment.has("frontend.rateLimit.extractorFunc") {
        if let Some(key) = segment.below("frontend.rateLimit.rateSet") {
            output.warn(key, "of no effect without frontend.rateLimit.extractorFunc");
        }
        return Vec::new();
    }
    let mut made = Vec::new();
    for rate in rates {
        let old = format!("frontend.rateLimit.rateSet.{rate}");
        let name = names.middleware("ratelimit", Some(rate));
        let prefix = format!("middlewares.{name}.ratelimit");
        for number in ["average", "burst"] {
            if let Some(value) = segment.int(&format!("{old}.{number}"), output) {
                output.set(format_args!("{prefix}.{number}"), value.to_string());
            }
        }
        if let Some(period) = segment.duration(&format!("{old}.period"), output) {
            output.set(format_args!("{prefix}.period"), period);
        }
        if !segment.has(&format!("{old}.average")) {
            let key = segment.below(&old).unwrap_or_default().to_owned();
            output.error(&key, format!("there is no {old}.average"));
        }
        if let Some((field, value)) = source(segment, "frontend.rateLimit.extractorFunc", output) {
            output.set(format_args!("{prefix}.sourcecriterion.{field}"), value);
        }
        made.push(name);
    }
    made
}

/// The middleware for `backend.maxconn`.
pub(crate) fn max_connections(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    let Some(amount) = segment.int("backend.maxconn.amount", output) else {
        if let Some(value) = segment.text("backend.maxconn.extractorfunc") {
            output.warn(value.key, "of no effect without backend.maxconn.amount");
        }
        return None;
    };
    let name = names.middleware("inflightreq", None);
    let prefix = format!("middlewares.{name}.inflightreq");
    output.set(format_args!("{prefix}.amount"), amount.to_string());
    let by_host = ("requesthost", "true".to_owned());
    let said = segment.has("backend.maxconn.extractorfunc");
    let source = if said { source(segment, "backend.maxconn.extractorfunc", output) } else { Some(by_host) };
    if let Some((field, value)) = source {
        output.set(format_args!("{prefix}.sourcecriterion.{field}"), value);
    }
    Some(name)
}

/// By what requests are told apart.
fn source(segment: &Segment<'_>, option: &str, output: &mut Output) -> Option<(&'static str, String)> {
    let value = segment.text(option)?;
    match value.text {
        "client.ip" => Some(("ipstrategy.depth", "0".to_owned())),
        "request.host" => Some(("requesthost", "true".to_owned())),
        other => {
            let header = other.strip_prefix("request.header.").filter(|header| !header.is_empty());
            if header.is_none() {
                let expected = "client.ip, request.host or request.header.NAME is expected";
                output.error(value.key, format!("{expected}, not {other:?}"));
            }
            header.map(|header| ("requestheadername", header.to_owned()))
        }
    }
}
