//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Endpoints;

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Maximum length of a line with its CR LF, from the specification.
const MAX_BYTES: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Endpoints, usize)>, String> {
    let line = &bytes[..bytes.len().min(MAX_BYTES)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        if line.len() == MAX_BYTES {
            return Err(format!("line longer than {MAX_BYTES} bytes"));
        }
        return Ok(None);
    };
    let Some(line) = line[..end].strip_suffix(b"\r") else {
        return Err("line without CR LF".to_owned());
    };
    let text = String::from_utf8_lossy(line.get(SIGNATURE.len()..).unwrap_or_default());
    Ok(Some((endpoints(&text)?, end + 1)))
}

fn endpoints(text: &str) -> Result<Endpoints, String> {
    let mut words = text.split(' ');
    let address: fn(&str, Option<&str>) -> Result<IpAddr, String> = match words.next() {
        Some("TCP4") => |end, word| address::<Ipv4Addr>(end, word, "IPv4"),
        Some("TCP6") => |end, word| address::<Ipv6Addr>(end, word, "IPv6"),
        // The specification says to ignore the rest.
        Some("UNKNOWN") => return Ok(Endpoints::Unknown),
        other => {
            let other = other.unwrap_or_default();
            return Err(format!("unknown protocol {other:?}; expected TCP4, TCP6 or UNKNOWN"));
        }
    };
    let (source, destination) = (address("source", words.next())?, address("destination", words.next())?);
    let (from, to) = (port("source", words.next())?, port("destination", words.next())?);
    if words.next().is_some() {
        return Err("text after the second port".to_owned());
    }
    Ok(Endpoints::Inet { source: (source, from).into(), destination: (destination, to).into() })
}

fn address<A: FromStr + Into<IpAddr>>(end: &str, word: Option<&str>, kind: &str) -> Result<IpAddr, String> {
    let Some(word) = word else { return Err(format!("missing address of the {end}")) };
    let address: Result<A, _> = word.parse();
    address
        .map(Into::into)
        .map_err(|_| format!("invalid {kind} address \"{}\" of the {end}", word.escape_default()))
}

fn port(end: &str, word: Option<&str>) -> Result<u16, String> {
    let Some(word) = word else { return Err(format!("missing port of the {end}")) };
    // The standard parser accepts signs and leading zeros.
    let is_plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    let port = if is_plain { word.parse().ok() } else { None };
    port.ok_or_else(|| format!("invalid port \"{}\" of the {end}", word.escape_default()))
}
