//! IP networks and URLs, as Go's standard library reads them.

use std::net::IpAddr;

/// Whether Go reads `value` as an IP address or a network.
pub(super) fn is_network(value: &str) -> bool {
    match value.split_once('/') {
        None => value.parse::<IpAddr>().is_ok(),
        Some((address, bits)) => address.parse::<IpAddr>().is_ok_and(|address| {
            let max = if address.is_ipv4() { 32 } else { 128 };
            is_digits(bits) && bits.parse::<u32>().is_ok_and(|bits| bits <= max)
        }),
    }
}

/// Whether `rest` is a valid URL after the scheme and `://`.
pub(super) fn is_authority_and_path(rest: &str) -> bool {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    is_escaped(user) && is_host(host) && is_escaped(path)
}

fn is_host(host: &str) -> bool {
    let (name, port) = if let Some(literal) = host.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        (host, port)
    } else {
        let end = host.find(':').unwrap_or(host.len());
        host.split_at(end)
    };
    let is_letter = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "-._~!$&'()*+,;=:[]".contains(c);
    let is_port = |port: &str| port.is_empty() || (is_digits(port) && port.parse::<u16>().is_ok());
    !name.is_empty()
        && name.chars().all(is_letter)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Whether `value` is a path, perhaps with a query, that Go joins to a server's URL.
pub(super) fn is_relative(value: &str) -> bool {
    let first = value.find(['/', '?', '#']).map_or(value, |end| &value[..end]);
    !value.starts_with("//") && !first.contains(':') && is_escaped(value)
}

/// Whether Go reads `value` as the scheme of a URL.
pub(super) fn is_scheme(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` has no control characters, and each `%` begins an escape such as `%20`.
fn is_escaped(text: &str) -> bool {
    let mut parts = text.split('%');
    let has_digits = |part: &str| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    parts.next();
    !text.contains(|c: char| c.is_ascii_control()) && parts.all(has_digits)
}
