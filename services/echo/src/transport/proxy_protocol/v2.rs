//! Version 2: binary.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Endpoints;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Maximum length of a header in bytes: more than any proxy needs for addresses and TLVs.
pub const MAX_BYTES: usize = 4096;

/// Length of the fixed part: signature (12 bytes), version and command (1), family and protocol (1), length of the rest (2).
const FIXED: usize = 16;

/// Length of the path of a Unix socket.
const PATH: usize = 108;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Endpoints, usize)>, String> {
    let Some(fixed) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    let &[command, family, high, low] = fixed else { return Ok(None) };
    if command >> 4 != 2 {
        return Err(format!("unsupported version {}", command >> 4));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BYTES {
        return Err(format!("length of {length} bytes exceeds {MAX_BYTES}"));
    }
    let Some(rest) = bytes.get(FIXED..length) else { return Ok(None) };
    let endpoints = match command & 0xf {
        0 => Endpoints::Local,
        1 => endpoints(family, rest)?,
        other => return Err(format!("unknown command {other}")),
    };
    Ok(Some((endpoints, length)))
}

fn endpoints(family: u8, rest: &[u8]) -> Result<Endpoints, String> {
    let (family, protocol) = (family >> 4, family & 0xf);
    if protocol > 2 {
        return Err(format!("unknown transport protocol {protocol}"));
    }
    let (endpoints, extra) = match family {
        0 => return Ok(Endpoints::Unknown),
        1 => inet::<4, Ipv4Addr>(rest, "IPv4")?,
        2 => inet::<16, Ipv6Addr>(rest, "IPv6")?,
        3 => unix(rest)?,
        other => return Err(format!("unknown address family {other}")),
    };
    check_extra(extra)?;
    Ok(endpoints)
}

/// Returns both endpoints and the bytes after them.
fn inet<'a, const N: usize, A>(rest: &'a [u8], kind: &str) -> Result<(Endpoints, &'a [u8]), String>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let parts = || {
        let (source, rest) = rest.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (&[a, b, c, d], rest) = rest.split_first_chunk::<4>()?;
        let end = |address: &[u8; N], port| (A::from(*address).into(), u16::from_be_bytes(port)).into();
        Some((Endpoints::Inet { source: end(source, [a, b]), destination: end(destination, [c, d]) }, rest))
    };
    parts().ok_or_else(|| too_few(rest, kind, 2 * N + 4))
}

fn unix(rest: &[u8]) -> Result<(Endpoints, &[u8]), String> {
    let parts = || {
        let (source, rest) = rest.split_first_chunk::<PATH>()?;
        let (destination, rest) = rest.split_first_chunk::<PATH>()?;
        Some((Endpoints::Unix { source: path(source), destination: path(destination) }, rest))
    };
    parts().ok_or_else(|| too_few(rest, "unix", 2 * PATH))
}

fn path(bytes: &[u8]) -> PathBuf {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    OsStr::from_bytes(&bytes[..end]).into()
}

/// Checks that the TLVs are complete; their values are not used.
fn check_extra(mut extra: &[u8]) -> Result<(), String> {
    while !extra.is_empty() {
        let value = extra
            .split_first_chunk::<3>()
            .and_then(|(&[_, high, low], rest)| rest.get(usize::from(u16::from_be_bytes([high, low]))..));
        extra = value.ok_or_else(|| "incomplete TLV".to_owned())?;
    }
    Ok(())
}

fn too_few(rest: &[u8], kind: &str, needed: usize) -> String {
    let count = rest.len();
    format!("expected {needed} bytes for two {kind} addresses, got {count}")
}
