//! `frontend.headers.…`: headers that are set, and those that browsers are to heed.

use crate::Output;
use crate::names::Names;
use crate::segment::Segment;

/// Truths that have their successors, with those.
const TRUTHS: [(&str, &str); 6] = [
    ("forceSTSHeader", "forcestsheader"),
    ("frameDeny", "framedeny"),
    ("contentTypeNosniff", "contenttypenosniff"),
    ("browserXSSFilter", "browserxssfilter"),
    ("STSIncludeSubdomains", "stsincludesubdomains"),
    ("STSPreload", "stspreload"),
];

/// Texts that are as they were.
const TEXTS: [(&str, &str); 5] = [
    ("customFrameOptionsValue", "customframeoptionsvalue"),
    ("customBrowserXSSValue", "custombrowserxssvalue"),
    ("contentSecurityPolicy", "contentsecuritypolicy"),
    ("publicKey", "publickey"),
    ("referrerPolicy", "referrerpolicy"),
];

/// The middleware for headers, if there is to be one.
pub(crate) fn translate(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    let name = names.middleware("headers", None);
    let mut fields: Vec<(String, String)> = Vec::new();
    for (old, new) in
        [("customRequestHeaders", "customrequestheaders"), ("customResponseHeaders", "customresponseheaders")]
    {
        let pairs = segment.map(&format!("frontend.headers.{old}"), output);
        fields.extend(pairs.into_iter().map(|(header, value)| (format!("{new}.{header}"), value)));
    }
    let pairs = segment.map("frontend.headers.SSLProxyHeaders", output);
    fields.extend(pairs.into_iter().map(|(header, value)| (format!("sslproxyheaders.{header}"), value)));
    for (old, new) in TRUTHS {
        if segment.is_true(&format!("frontend.headers.{old}"), output) {
            fields.push((new.to_owned(), "true".to_owned()));
        }
    }
    for (old, new) in TEXTS {
        if let Some(value) = segment.text(&format!("frontend.headers.{old}")) {
            fields.push((new.to_owned(), value.text.to_owned()));
        }
    }
    for (old, new) in [("allowedHosts", "allowedhosts"), ("hostsProxyHeaders", "hostsproxyheaders")] {
        let list = segment.list(&format!("frontend.headers.{old}"));
        if !list.is_empty() {
            fields.push((new.to_owned(), list.join(",")));
        }
    }
    if let Some(seconds) = segment.int("frontend.headers.STSSeconds", output) {
        fields.push(("stsseconds".to_owned(), seconds.to_string()));
    }
    if segment.is_true("frontend.headers.isDevelopment", output) {
        fields.push(("isdevelopment".to_owned(), "true".to_owned()));
    }
    if let Some(value) = segment.text("frontend.headers.publicKey") {
        output.warn(value.key, "browsers heed it no more: pinned keys are gone from all of them");
    }
    if let Some(value) = segment.text("frontend.headers.SSLProxyHeaders")
        && segment.has("frontend.headers.SSLRedirect")
    {
        output.warn(
            value.key,
            "it counts for the STS header only; whether a request came by HTTPS, the redirect asks X-Forwarded-Proto, \
             from whom the entry point's forwardedHeaders.trustedIPs names",
        );
    }
    if fields.is_empty() {
        return None;
    }
    for (field, value) in fields {
        output.set(format_args!("middlewares.{name}.headers.{field}"), value);
    }
    Some(name)
}

/// Reads `Name: value`. The name becomes part of a label's key.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("name:value is expected, with || between, not {text:?}"))?;
    let (name, value) = (name.trim(), value.trim());
    // All of RFC 9110's but the dot, at which keys are split.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(format!("{name:?} cannot be the name of a header"));
    }
    if value.contains(char::is_control) {
        return Err(format!("there is a control character in the value of {name}"));
    }
    Ok((canonical(name), value.to_owned()))
}

/// `x-forwarded-for` as `X-Forwarded-For`: the same header twice is one.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let letter = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        letter
    };
    name.chars().map(letter).collect()
}
