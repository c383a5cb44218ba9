//! Version 1: one line of text.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Endpoints, Header, HeaderError};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Maximum length of a line with its CR LF, from the specification.
const MAX_BYTES: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let line = &bytes[..bytes.len().min(MAX_BYTES)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        if line.len() == MAX_BYTES {
            return Err(error(format_args!("line longer than {MAX_BYTES} bytes")));
        }
        return Ok(None);
    };
    let Some(line) = line[..end].strip_suffix(b"\r") else {
        return Err(error("line without CR LF"));
    };
    let text = String::from_utf8_lossy(line.get(SIGNATURE.len()..).unwrap_or_default());
    Ok(Some((Header { version: 1, endpoints: endpoints(&text)? }, end + 1)))
}

fn endpoints(text: &str) -> Result<Endpoints, HeaderError> {
    let mut words = text.split(' ');
    let address: fn(&str, Option<&str>) -> Result<IpAddr, HeaderError> = match words.next() {
        Some("TCP4") => |end, word| address::<Ipv4Addr>(end, word, "IPv4"),
        Some("TCP6") => |end, word| address::<Ipv6Addr>(end, word, "IPv6"),
        // The specification says to ignore the rest.
        Some("UNKNOWN") => return Ok(Endpoints::Unknown),
        other => {
            let other = other.unwrap_or_default();
            return Err(error(format_args!("unknown protocol {other:?}; expected TCP4, TCP6 or UNKNOWN")));
        }
    };
    let (source, destination) = (address("source", words.next())?, address("destination", words.next())?);
    let (from, to) = (port("source", words.next())?, port("destination", words.next())?);
    if words.next().is_some() {
        return Err(error("text after the second port"));
    }
    Ok(Endpoints::Inet { source: (source, from).into(), destination: (destination, to).into() })
}

fn address<A: FromStr + Into<IpAddr>>(
    end: &str,
    word: Option<&str>,
    kind: &str,
) -> Result<IpAddr, HeaderError> {
    let Some(word) = word else { return Err(error(format_args!("missing address of the {end}"))) };
    let address: Result<A, _> = word.parse();
    address
        .map(Into::into)
        .map_err(|_| error(format_args!("invalid {kind} address \"{}\" of the {end}", word.escape_default())))
}

fn port(end: &str, word: Option<&str>) -> Result<u16, HeaderError> {
    let Some(word) = word else { return Err(error(format_args!("missing port of the {end}"))) };
    // The standard parser accepts signs and leading zeros.
    let is_plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    let port = if is_plain { word.parse().ok() } else { None };
    port.ok_or_else(|| error(format_args!("invalid port \"{}\" of the {end}", word.escape_default())))
}

fn error(cause: impl Display) -> HeaderError {
    HeaderError::new(1, cause)
}
