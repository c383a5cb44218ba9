//! A frontend becomes a router, and middlewares in the order in which Traefik 1 had them.

use protocol::Labels;

use crate::keys::DISTINGUISHED_NAME;
use crate::names::{Names, backend_name};
use crate::rule::Rule;
use crate::segment::Segment;
use crate::{Output, access, backend, headers, redirect};

/// What a frontend's rule comes to.
enum Routing {
    /// Traefik 1's.
    Old { rule: Rule, length: usize },
    /// In Traefik 3's words.
    New(String),
}

/// Writes the router. Tells whether there is one: without a rule there is not.
pub(crate) fn translate(
    service: &str,
    labels: &Labels,
    segment: &Segment<'_>,
    names: &Names,
    default_rule: Option<&str>,
    output: &mut Output,
) -> bool {
    let found = routing(service, labels, segment, default_rule, output);
    let rule = match &found {
        Some(Routing::Old { rule, .. }) => Some(rule),
        _ => None,
    };
    let middlewares = middlewares(segment, names, rule, output);
    let router = format!("routers.{}", names.router);
    if !middlewares.is_empty() {
        output.set(format_args!("{router}.middlewares"), middlewares.join(","));
    }
    output.set(format_args!("{router}.service"), names.service.as_str());
    entry_points(segment, &router, output);
    let priority = segment.int("frontend.priority", output).filter(|priority| *priority > 0);
    let Some(found) = found else { return false };
    let (text, length) = match found {
        Routing::Old { rule, length } => (rule.matches, length),
        Routing::New(text) => {
            let length = text.len();
            (text, length)
        }
    };
    // Both put longer rules first, but rules have grown and shrunk unlike: only by the old lengths the order is the old one.
    if let Some(priority) = priority {
        output.set(format_args!("{router}.priority"), priority.to_string());
    } else if length != text.len() {
        output.set(format_args!("{router}.priority"), length.to_string());
    }
    output.set(format_args!("{router}.rule"), text);
    true
}

fn routing(
    service: &str,
    labels: &Labels,
    segment: &Segment<'_>,
    default_rule: Option<&str>,
    output: &mut Output,
) -> Option<Routing> {
    let said = segment.text("frontend.rule");
    let host = || {
        let domain = segment.text("domain")?;
        let compose = ["service", "project"]
            .map(|part| labels.0.get(&format!("com.docker.compose.{part}")).filter(|text| !text.is_empty()));
        let name = match compose {
            [Some(service), Some(project)] => format!("{service}.{project}"),
            _ => service.to_owned(),
        };
        let name = name.trim_start_matches('/').replace(['/', '_'], "-");
        Some((domain.key, format!("Host:{name}.{}", domain.text)))
    };
    let (key, text) = match said {
        Some(value) => (value.key, value.text.to_owned()),
        None => match (host(), default_rule) {
            (Some(made), _) => made,
            (None, Some(rule)) => return Some(Routing::New(rule.to_owned())),
            (None, None) => {
                let name = segment.name.as_ref().map(|name| format!("{name}.")).unwrap_or_default();
                output.warn(
                    &format!("traefik.{name}frontend.rule"),
                    "it is not there, nor a traefik.domain to make one of, so that there is no router: a rule is needed",
                );
                return None;
            }
        },
    };
    match Rule::read(&text) {
        Ok(rule) => {
            for warning in &rule.warnings {
                output.warn(key, warning.as_str());
            }
            Some(Routing::Old { rule, length: text.len() })
        }
        Err(why) => {
            output.error(key, why);
            None
        }
    }
}

/// All middlewares, outermost first.
fn middlewares(
    segment: &Segment<'_>,
    names: &Names,
    rule: Option<&Rule>,
    output: &mut Output,
) -> Vec<String> {
    let mut all = errors(segment, names, output);
    all.extend(access::white_list(segment, names, output));
    // Traefik 1 changed the path first, and undid that for the client.
    all.extend(redirect::translate(segment, names, rule, output));
    if let Some(rule) = rule {
        all.extend(path(rule, names, output));
    }
    all.extend(headers::translate(segment, names, output));
    all.extend(client_certificate(segment, names, output));
    all.extend(access::auth(segment, names, output));
    all.extend(backend::middlewares(segment, names, output));
    all.extend(access::max_connections(segment, names, output));
    all.extend(access::rate_limits(segment, names, output));
    all
}

/// What becomes of the path, in Traefik 1's order.
fn path(rule: &Rule, names: &Names, output: &mut Output) -> Vec<String> {
    let mut made = Vec::new();
    let mut add = |kind: &str, fields: &[(&str, &str)]| {
        let name = names.middleware(kind, None);
        for (field, value) in fields {
            output.set(format_args!("middlewares.{name}.{kind}.{field}"), *value);
        }
        made.push(name);
    };
    if !rule.strip_regex.is_empty() {
        add("stripprefixregex", &[("regex", &rule.strip_regex.join(","))]);
    }
    if !rule.strip.is_empty() {
        add("stripprefix", &[("prefixes", &rule.strip.join(","))]);
    }
    if let Some(prefix) = &rule.add {
        add("addprefix", &[("prefix", prefix)]);
    }
    if let Some((regex, replacement)) = &rule.replace_regex {
        add("replacepathregex", &[("regex", regex), ("replacement", replacement)]);
    }
    if let Some(path) = &rule.replace {
        add("replacepath", &[("path", path)]);
    }
    made
}

fn entry_points(segment: &Segment<'_>, router: &str, output: &mut Output) {
    let points = segment.list("frontend.entryPoints");
    let Some(value) = segment.text("frontend.entryPoints").filter(|_| !points.is_empty()) else { return };
    output.set(format_args!("{router}.entrypoints"), points.join(","));
    output.warn(
        value.key,
        "entry points of these names have to be there, and one with TLS needs http.tls in Traefik's own configuration",
    );
}

/// A middleware for each of `frontend.errors`.
fn errors(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Vec<String> {
    let mut made = Vec::new();
    for page in segment.names("frontend.errors") {
        let old = format!("frontend.errors.{page}");
        let key = segment.below(&old).unwrap_or_default().to_owned();
        let status = segment.list(&format!("{old}.status")).join(",");
        let (Some(backend), false) = (segment.text(&format!("{old}.backend")), status.is_empty()) else {
            output.error(&key, format!("there is no {old}.status or no {old}.backend"));
            continue;
        };
        let service = backend_name(backend.text);
        if service == names.service {
            output
                .warn(backend.key, "of no effect, as in Traefik 1: it is the backend whose errors these are");
            continue;
        }
        let name = names.middleware("errors", Some(page));
        let prefix = format!("middlewares.{name}.errors");
        output.set(format_args!("{prefix}.status"), status);
        output.set(format_args!("{prefix}.service"), service.as_str());
        if let Some(value) = segment.text(&format!("{old}.query")) {
            output.set(format_args!("{prefix}.query"), value.text);
        }
        output.warn(
            backend.key,
            format!("there has to be a service {service}: without it Traefik 3 leaves out the whole router"),
        );
        made.push(name);
    }
    made
}

/// The middleware for `frontend.passTLSClientCert`.
fn client_certificate(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    if segment.is_true("frontend.passTLSCert", output)
        && let Some(value) = segment.text("frontend.passTLSCert")
    {
        output.warn(
            value.key,
            "no successor: give the service a serversTransport with a certificate, or pass the client's on in a header \
             by passtlsclientcert.pem",
        );
    }
    let name = names.middleware("passtlsclientcert", None);
    let mut fields = Vec::new();
    if segment.is_true("frontend.passTLSClientCert.pem", output) {
        fields.push("pem".to_owned());
    }
    let mut infos: Vec<String> = ["notAfter", "notBefore", "sans"].map(str::to_owned).into();
    for whose in ["subject", "issuer"] {
        infos.extend(DISTINGUISHED_NAME.map(|part| format!("{whose}.{part}")));
    }
    for info in infos {
        if segment.is_true(&format!("frontend.passTLSClientCert.infos.{info}"), output) {
            fields.push(format!("info.{}", info.to_ascii_lowercase()));
        }
    }
    if fields.iter().any(|field| field.starts_with("info."))
        && let Some(key) = segment.below("frontend.passTLSClientCert.infos")
    {
        output.warn(
            key,
            "the header is called X-Forwarded-Tls-Client-Cert-Info now, without an s, and reads otherwise",
        );
    }
    if fields.is_empty() {
        return None;
    }
    for field in fields {
        output.set(format_args!("middlewares.{name}.passtlsclientcert.{field}"), "true");
    }
    Some(name)
}
