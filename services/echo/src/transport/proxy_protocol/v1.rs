//! Version 1: one line of text.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{Ends, Header, HeaderError};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line that can be, with its end.
const MOST_BYTES: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let line = &bytes[..bytes.len().min(MOST_BYTES)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        if line.len() == MOST_BYTES {
            return Err(fault(format_args!("the line is longer than {MOST_BYTES} bytes")));
        }
        return Ok(None);
    };
    let Some(line) = line[..end].strip_suffix(b"\r") else {
        return Err(fault("the line does not end in CR LF"));
    };
    let text = String::from_utf8_lossy(line.get(SIGNATURE.len()..).unwrap_or_default());
    Ok(Some((Header { version: 1, ends: ends(&text)? }, end + 1)))
}

fn ends(text: &str) -> Result<Ends, HeaderError> {
    let mut words = text.split(' ');
    let address: fn(&str, Option<&str>) -> Result<IpAddr, HeaderError> = match words.next() {
        Some("TCP4") => |end, word| address::<Ipv4Addr>(end, word, "IPv4"),
        Some("TCP6") => |end, word| address::<Ipv6Addr>(end, word, "IPv6"),
        // The rest is to be ignored, whatever it is.
        Some("UNKNOWN") => return Ok(Ends::Unknown),
        other => {
            let other = other.unwrap_or_default();
            return Err(fault(format_args!("the protocol {other:?} is none of TCP4, TCP6 and UNKNOWN")));
        }
    };
    let (source, destination) = (address("source", words.next())?, address("destination", words.next())?);
    let (from, to) = (port("source", words.next())?, port("destination", words.next())?);
    if words.next().is_some() {
        return Err(fault("more than two ports"));
    }
    Ok(Ends::Inet { source: (source, from).into(), destination: (destination, to).into() })
}

fn address<A: FromStr + Into<IpAddr>>(
    end: &str,
    word: Option<&str>,
    kind: &str,
) -> Result<IpAddr, HeaderError> {
    let Some(word) = word else { return Err(fault(format_args!("the {end} is missing"))) };
    let address: Result<A, _> = word.parse();
    address
        .map(Into::into)
        .map_err(|_| fault(format_args!("the {end} \"{}\" is no {kind} address", word.escape_default())))
}

fn port(end: &str, word: Option<&str>) -> Result<u16, HeaderError> {
    let Some(word) = word else { return Err(fault(format_args!("the {end}'s port is missing"))) };
    // Neither signs nor leading zeros, which the standard parser takes.
    let is_plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    let port = if is_plain { word.parse().ok() } else { None };
    port.ok_or_else(|| fault(format_args!("the {end}'s port \"{}\" is no port", word.escape_default())))
}

fn fault(fault: impl Display) -> HeaderError {
    HeaderError::new(1, fault)
}
