//! Version 2: binary.

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Ends, Header, HeaderError};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header that is taken: room for the addresses, and for far more TLVs than any proxy sends.
pub const MOST_BYTES: usize = 4096;

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// How much a unix socket's path takes.
const PATH: usize = 108;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let Some(fixed) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    let &[command, family, high, low] = fixed else { return Ok(None) };
    if command >> 4 != 2 {
        return Err(fault(format_args!("version {} instead of 2", command >> 4)));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BYTES {
        return Err(fault(format_args!("it announces {length} bytes, more than {MOST_BYTES}")));
    }
    let Some(rest) = bytes.get(FIXED..length) else { return Ok(None) };
    let ends = match command & 0xf {
        0 => Ends::Local,
        1 => ends(family, rest)?,
        other => return Err(fault(format_args!("the command {other} is neither LOCAL nor PROXY"))),
    };
    Ok(Some((Header { version: 2, ends }, length)))
}

fn ends(family: u8, rest: &[u8]) -> Result<Ends, HeaderError> {
    let (family, protocol) = (family >> 4, family & 0xf);
    if protocol > 2 {
        return Err(fault(format_args!("the transport protocol {protocol} is none")));
    }
    let (ends, extra) = match family {
        0 => return Ok(Ends::Unknown),
        1 => inet::<4, Ipv4Addr>(rest, "IPv4")?,
        2 => inet::<16, Ipv6Addr>(rest, "IPv6")?,
        3 => unix(rest)?,
        other => return Err(fault(format_args!("the address family {other} is none"))),
    };
    check_extra(extra)?;
    Ok(ends)
}

/// Both ends, and what follows them.
fn inet<'a, const N: usize, A>(rest: &'a [u8], kind: &str) -> Result<(Ends, &'a [u8]), HeaderError>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let parts = || {
        let (source, rest) = rest.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (&[a, b, c, d], rest) = rest.split_first_chunk::<4>()?;
        let end = |address: &[u8; N], port| (A::from(*address).into(), u16::from_be_bytes(port)).into();
        Some((Ends::Inet { source: end(source, [a, b]), destination: end(destination, [c, d]) }, rest))
    };
    parts().ok_or_else(|| too_few(rest, kind, 2 * N + 4))
}

fn unix(rest: &[u8]) -> Result<(Ends, &[u8]), HeaderError> {
    let parts = || {
        let (source, rest) = rest.split_first_chunk::<PATH>()?;
        let (destination, rest) = rest.split_first_chunk::<PATH>()?;
        Some((Ends::Unix { source: path(source), destination: path(destination) }, rest))
    };
    parts().ok_or_else(|| too_few(rest, "unix", 2 * PATH))
}

fn path(bytes: &[u8]) -> PathBuf {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    OsStr::from_bytes(&bytes[..end]).into()
}

/// Types, lengths and values to the end: what they say does not matter here.
fn check_extra(mut extra: &[u8]) -> Result<(), HeaderError> {
    while !extra.is_empty() {
        let value = extra
            .split_first_chunk::<3>()
            .and_then(|(&[_, high, low], rest)| rest.get(usize::from(u16::from_be_bytes([high, low]))..));
        extra = value.ok_or_else(|| fault("the header ends within a TLV"))?;
    }
    Ok(())
}

fn too_few(rest: &[u8], kind: &str, needed: usize) -> HeaderError {
    let count = rest.len();
    fault(format_args!("{count} bytes are too few for two {kind} addresses, which take {needed}"))
}

fn fault(fault: impl Display) -> HeaderError {
    HeaderError::new(2, fault)
}
