//! Headers of the PROXY protocol, parsed at once and byte by byte.
#![no_main]

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;

use transport::proxy_protocol::{Detection, Endpoints, Header, MAX_BYTES, parse};

#[path = "../../services/echo/src/transport"]
mod transport {
    pub mod proxy_protocol;
}

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    // The result does not change once it is known.
    let decided = (0..=bytes.len()).find(|&length| parse(&bytes[..length]) != Ok(Detection::Incomplete));
    let Some(decided) = decided else { return assert_eq!(whole, Ok(Detection::Incomplete)) };
    assert_eq!(parse(&bytes[..decided]), whole);
    match whole {
        Ok(Detection::Incomplete) => panic!("{decided} bytes are a complete header"),
        Ok(Detection::NoHeader) => {}
        Ok(Detection::Header(header, length)) => {
            // The header ends before the client's first byte.
            assert_eq!(length, decided, "{header:?}");
            check(&header, &bytes[..length]);
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
});

fn check(header: &Header, bytes: &[u8]) {
    match header.version {
        1 => assert!(bytes.len() <= 107 && bytes.ends_with(b"\r\n"), "{header:?}"),
        2 => {
            let announced = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
            assert!(bytes.len() == 16 + announced && bytes.len() <= MAX_BYTES, "{header:?}");
        }
        other => panic!("version {other}"),
    }
    let (family, rest) = match &header.endpoints {
        Endpoints::Local | Endpoints::Unknown => return,
        Endpoints::Inet { source, destination } => {
            let protocol = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            let line = format!("PROXY {protocol} {from} {to} {} {}\r\n", source.port(), destination.port());
            assert_read(1, &header.endpoints, line.as_bytes());
            let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
            (
                if source.is_ipv4() { 0x11 } else { 0x21 },
                [octets(source), octets(destination), ports].concat(),
            )
        }
        Endpoints::Unix { source, destination } => {
            let padded = [source, destination].map(|path| {
                let mut bytes = path.as_os_str().as_bytes().to_vec();
                bytes.resize(108, 0);
                bytes
            });
            (0x31, padded.concat())
        }
    };
    let length = u16::try_from(rest.len()).expect("addresses are short").to_be_bytes();
    let written = [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &length, &rest].concat();
    assert_read(2, &header.endpoints, &written);
}

/// Asserts that `bytes` parse to a header with `endpoints`.
fn assert_read(version: u8, endpoints: &Endpoints, bytes: &[u8]) {
    let expected = Header { version, endpoints: endpoints.clone() };
    assert_eq!(parse(bytes), Ok(Detection::Header(expected, bytes.len())));
}

fn octets(address: &SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(address) => address.ip().octets().to_vec(),
        SocketAddr::V6(address) => address.ip().octets().to_vec(),
    }
}
