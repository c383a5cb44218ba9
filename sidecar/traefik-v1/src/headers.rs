//! `frontend.headers.…`: request and response headers.

use crate::translator::Translator;

const BOOLEANS: [&str; 7] = [
    "forceSTSHeader",
    "frameDeny",
    "contentTypeNosniff",
    "browserXSSFilter",
    "STSIncludeSubdomains",
    "STSPreload",
    "isDevelopment",
];

const STRINGS: [&str; 5] = [
    "customFrameOptionsValue",
    "customBrowserXSSValue",
    "contentSecurityPolicy",
    "publicKey",
    "referrerPolicy",
];

/// Creates the headers middleware, if there are options for it. Its options are those of Traefik 1 in lower case.
pub(crate) fn translate(t: &mut Translator<'_>) -> Option<String> {
    let name = t.names.middleware("headers", None);
    let old = |option: &str| format!("frontend.headers.{option}");
    let new = |option: &str| format!("middlewares.{name}.headers.{}", option.to_ascii_lowercase());
    let mut is_used = false;
    for option in ["customRequestHeaders", "customResponseHeaders", "SSLProxyHeaders"] {
        for (header, value) in t.headers(&old(option)) {
            t.set(format_args!("{}.{header}", new(option)), value);
            is_used = true;
        }
    }
    for option in BOOLEANS {
        is_used |= t.copy_true(&old(option), new(option));
    }
    for option in STRINGS {
        is_used |= t.copy(&old(option), new(option));
    }
    for option in ["allowedHosts", "hostsProxyHeaders"] {
        is_used |= t.copy_list(&old(option), new(option));
    }
    is_used |= t.copy_int(&old("STSSeconds"), new("STSSeconds"));
    t.warn_if_set("frontend.headers.publicKey", "no effect: browsers no longer support key pinning");
    if t.has("frontend.headers.SSLRedirect") {
        t.warn_if_set(
            "frontend.headers.SSLProxyHeaders",
            "affects only the STS header; the redirect trusts X-Forwarded-Proto from the addresses in the entry point's \
             forwardedHeaders.trustedIPs",
        );
    }
    is_used.then_some(name)
}

/// Parses `Name: value`. The name becomes part of a label's key.
pub(crate) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE, separated by ||")?;
    let (name, value) = (name.trim(), value.trim());
    // The token characters of RFC 9110 except the dot, which separates the parts of a key.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err("invalid header name".to_owned());
    }
    if value.contains(char::is_control) {
        return Err(format!("control character in the value of header {name}"));
    }
    Ok((canonical(name), value.to_owned()))
}

/// Turns `x-forwarded-for` into `X-Forwarded-For`, so that spellings of one header do not become two labels.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let letter = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        letter
    };
    name.chars().map(letter).collect()
}
