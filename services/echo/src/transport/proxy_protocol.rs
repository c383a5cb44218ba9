//! The PROXY protocol, versions 1 and 2: a header with the client's address before the client's own bytes.
//!
//! [`parse`] is pure: it takes all bytes received so far and reads no further than the header.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

mod v1;
mod v2;

pub use v2::MAX_BYTES;

/// A PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the protocol, 1 or 2.
    pub version: u8,
    /// Endpoints of the client's connection.
    pub endpoints: Endpoints,
}

/// Endpoints of the client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// A connection of the proxy itself, such as a health check.
    Local,
    /// Not known to the proxy.
    Unknown,
    /// IPv4 or IPv6.
    Inet {
        /// Address of the client.
        source: SocketAddr,
        /// Address that the client connected to.
        destination: SocketAddr,
    },
    /// Unix sockets; a path may be empty.
    Unix {
        /// Path of the client's socket.
        source: PathBuf,
        /// Path that the client connected to.
        destination: PathBuf,
    },
}

/// Result of looking for a header in the first bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detection {
    /// More bytes are needed.
    Incomplete,
    /// The bytes are not a header.
    NoHeader,
    /// A header and its length in bytes.
    Header(Header, usize),
}

/// An invalid header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    version: u8,
    cause: String,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PROXY header, version {}: {}", self.version, self.cause)
    }
}

impl std::error::Error for HeaderError {}

/// Looks for a header at the start of `bytes`, all bytes received so far.
pub fn parse(bytes: &[u8]) -> Result<Detection, HeaderError> {
    for (version, signature, parse) in [(1, v1::SIGNATURE, v1::parse as Parse), (2, v2::SIGNATURE, v2::parse)]
    {
        if bytes.starts_with(signature) {
            let header = parse(bytes).map_err(|cause| HeaderError { version, cause })?;
            return Ok(header.map_or(Detection::Incomplete, |(endpoints, length)| {
                Detection::Header(Header { version, endpoints }, length)
            }));
        }
        if signature.starts_with(bytes) {
            return Ok(Detection::Incomplete);
        }
    }
    Ok(Detection::NoHeader)
}

/// Returns the endpoints and the length of a complete header, or the cause of an error.
type Parse = fn(&[u8]) -> Result<Option<(Endpoints, usize)>, String>;

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn inet(source: &str, destination: &str) -> Endpoints {
        Endpoints::Inet { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    /// Builds a header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    /// Parses a header followed by other bytes, and checks that every prefix is incomplete.
    fn whole(header: &[u8]) -> Header {
        for length in 0..header.len() {
            assert_eq!(parse(&header[..length]), Ok(Detection::Incomplete), "{length} bytes of {header:?}");
        }
        match parse(&[header, b"GET / HTTP/1.1\r\n"].concat()) {
            Ok(Detection::Header(parsed, length)) if length == header.len() => parsed,
            other => panic!("{header:?}: {other:?}"),
        }
    }

    fn error(header: &[u8]) -> String {
        parse(header).unwrap_err().to_string()
    }

    #[test]
    fn version_1_header_has_both_endpoints() {
        let cases = [
            ("TCP4 192.0.2.1 198.51.100.7 56324 443", inet("192.0.2.1:56324", "198.51.100.7:443")),
            ("TCP4 0.0.0.0 255.255.255.255 0 65535", inet("0.0.0.0:0", "255.255.255.255:65535")),
            ("TCP6 2001:db8::1 ::ffff:192.0.2.1 1 2", inet("[2001:db8::1]:1", "[::ffff:192.0.2.1]:2")),
            ("UNKNOWN", Endpoints::Unknown),
            ("UNKNOWN ffff:f...f:ffff whatever 65535 it is", Endpoints::Unknown),
        ];
        for (text, endpoints) in cases {
            assert_eq!(whole(format!("PROXY {text}\r\n").as_bytes()), Header { version: 1, endpoints });
        }
    }

    #[test]
    fn version_1_header_has_a_maximum_length() {
        let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {address} {address} 65535 65535\r\n");
        assert_eq!(longest.len(), 107);
        whole(longest.as_bytes());
        let longer = longest.replace("\r\n", "0\r\n");
        assert_eq!(parse(&longer.as_bytes()[..106]), Ok(Detection::Incomplete));
        for length in 107..=longer.len() {
            let said = error(&longer.as_bytes()[..length]);
            assert_eq!(said, "PROXY header, version 1: line longer than 107 bytes");
        }
    }

    #[test]
    fn invalid_version_1_header_is_reported() {
        let cases = [
            ("TCP4 192.0.2.1 198.51.100.7 1", "missing port of the destination"),
            ("TCP4 192.0.2.1 198.51.100.7 1 2 3", "text after the second port"),
            ("TCP4 192.0.2.1 198.51.100.7 1 2 ", "text after the second port"),
            ("TCP4 192.0.2.1  198.51.100.7 1 2", "invalid IPv4 address \"\" of the destination"),
            ("TCP4 192.0.2.01 198.51.100.7 1 2", "invalid IPv4 address \"192.0.2.01\" of the source"),
            ("TCP4 2001:db8::1 198.51.100.7 1 2", "invalid IPv4 address \"2001:db8::1\" of the source"),
            ("TCP6 2001:db8::1 198.51.100.7 1 2", "invalid IPv6 address \"198.51.100.7\" of the destination"),
            ("TCP4 192.0.2.1 198.51.100.7 65536 2", "invalid port \"65536\" of the source"),
            ("TCP4 192.0.2.1 198.51.100.7 1 +2", "invalid port \"+2\" of the destination"),
            ("TCP4 192.0.2.1 198.51.100.7 01 2", "invalid port \"01\" of the source"),
            ("UDP4 192.0.2.1 198.51.100.7 1 2", "unknown protocol \"UDP4\"; expected TCP4, TCP6 or UNKNOWN"),
            ("", "unknown protocol \"\"; expected TCP4, TCP6 or UNKNOWN"),
            ("TCP4 192.0.2.\u{e9}", "invalid IPv4 address \"192.0.2.\\u{e9}\" of the source"),
        ];
        for (text, said) in cases {
            let line = format!("PROXY {text}\r\n");
            assert_eq!(error(line.as_bytes()), format!("PROXY header, version 1: {said}"), "{text:?}");
        }
        assert!(error(b"PROXY UNKNOWN\n").ends_with(": line without CR LF"));
        assert!(error(b"PROXY TCP4 \xff\r\n").contains("invalid IPv4 address"));
    }

    #[test]
    fn version_2_header_has_both_endpoints() {
        let four = [&[192, 0, 2, 1, 198, 51, 100, 7][..], &[0xdc, 0x04, 0x01, 0xbb]].concat();
        let endpoints = inet("192.0.2.1:56324", "198.51.100.7:443");
        for family in [0x11, 0x12] {
            assert_eq!(whole(&v2(0x21, family, &four)), Header { version: 2, endpoints: endpoints.clone() });
        }
        let address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let six = [&address[..], &[1], &address, &[2], &[0, 1, 0, 2]].concat();
        assert_eq!(whole(&v2(0x21, 0x21, &six)).endpoints, inet("[2001:db8::1]:1", "[2001:db8::2]:2"));

        let mut unix = [0; 216];
        unix[..6].copy_from_slice(b"/run/a");
        unix[108..].fill(b'b');
        let endpoints = Endpoints::Unix { source: "/run/a".into(), destination: "b".repeat(108).into() };
        assert_eq!(whole(&v2(0x21, 0x31, &unix)).endpoints, endpoints);
    }

    #[test]
    fn version_2_header_may_have_no_endpoints() {
        assert_eq!(whole(&v2(0x20, 0x00, &[])).endpoints, Endpoints::Local);
        // The rest is ignored then, even an unknown family.
        assert_eq!(whole(&v2(0x20, 0xff, b"anything")).endpoints, Endpoints::Local);
        assert_eq!(whole(&v2(0x21, 0x00, b"")).endpoints, Endpoints::Unknown);
    }

    #[test]
    fn complete_tlvs_are_skipped() {
        let four = [0; 12];
        let endpoints = inet("0.0.0.0:0", "0.0.0.0:0");
        let extras: [&[u8]; 3] = [&[4, 0, 0], &[1, 0, 2, b'h', b'2', 5, 0, 1, 7], &[4, 0, 0, 4, 0, 0]];
        for extra in extras {
            assert_eq!(whole(&v2(0x21, 0x11, &[&four[..], extra].concat())).endpoints, endpoints);
        }
        let broken: [&[u8]; 3] = [&[4], &[4, 0], &[1, 0, 2, b'h', b'2', 5, 0, 2, 7]];
        for extra in broken {
            let said = error(&v2(0x21, 0x11, &[&four[..], extra].concat()));
            assert!(said.contains("incomplete TLV"), "{said}");
        }
    }

    #[test]
    fn invalid_version_2_header_is_reported() {
        let cases = [
            (0x11, 0x11, 12, "unsupported version 1"),
            (0x22, 0x11, 12, "unknown command 2"),
            (0x21, 0x41, 12, "unknown address family 4"),
            (0x21, 0x13, 12, "unknown transport protocol 3"),
            (0x21, 0x11, 11, "expected 12 bytes for two IPv4 addresses, got 11"),
            (0x21, 0x21, 35, "expected 36 bytes for two IPv6 addresses, got 35"),
            (0x21, 0x31, 215, "expected 216 bytes for two unix addresses, got 215"),
        ];
        for (command, family, length, said) in cases {
            let header = v2(command, family, &vec![0; length]);
            assert_eq!(error(&header), format!("PROXY header, version 2: {said}"));
        }
        let long = v2(0x21, 0x11, &[0; MAX_BYTES]);
        let said = error(&long[..16]);
        assert_eq!(said, "PROXY header, version 2: length of 4112 bytes exceeds 4096");
    }

    #[test]
    fn other_bytes_are_detected_at_the_first_difference() {
        for bytes in ["G", "PU", "PRI", "PROPFIND", "PROXX", "\x16", "\r\nG", "\n", "proxy "] {
            assert_eq!(parse(bytes.as_bytes()), Ok(Detection::NoHeader), "{bytes:?}");
        }
        for bytes in ["", "P", "PRO", "PROXY", "\r", "\r\n\r\n"] {
            assert_eq!(parse(bytes.as_bytes()), Ok(Detection::Incomplete), "{bytes:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic() {
        // A simple generator that breaks headers in many ways, always the same.
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(state >> 8).unwrap()
        };
        let headers = [
            b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n".to_vec(),
            b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n".to_vec(),
            v2(0x21, 0x11, &[0; 24]),
            v2(0x21, 0x31, &[b'a'; 220]),
        ];
        for round in 0..20_000 {
            let mut header = headers[round % headers.len()].clone();
            for _ in 0..=random() % 3 {
                let position = random() % header.len();
                header[position] = u8::try_from(random() % 256).unwrap();
            }
            header.truncate(random() % (header.len() + 1));
            if let Ok(Detection::Header(_, length)) = parse(&header) {
                assert!(length <= header.len(), "{header:?}");
            }
        }
    }
}
