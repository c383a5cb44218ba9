//! The PROXY protocol, versions 1 and 2: what a proxy says of its client before the client's own bytes.
//!
//! [`parse`] is pure and is told all bytes so far; it reads no further than the header.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

mod v1;
mod v2;

pub use v2::MOST_BYTES;

/// What a proxy has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1 or 2.
    pub version: u8,
    /// Who is at both ends of the client's connection.
    pub ends: Ends,
}

/// Who is at both ends of the client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The proxy speaks for itself, as in a health check.
    Local,
    /// The proxy does not say.
    Unknown,
    /// By IPv4 or IPv6.
    Inet {
        /// The client.
        source: SocketAddr,
        /// What the client has connected to.
        destination: SocketAddr,
    },
    /// By a unix socket. A path may be empty.
    Unix {
        /// The client's.
        source: PathBuf,
        /// The one that the client has connected to.
        destination: PathBuf,
    },
}

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It takes more of them to tell.
    Incomplete,
    /// They are no header's.
    Other,
    /// A header, which is so many bytes long.
    Header(Header, usize),
}

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    version: u8,
    fault: String,
}

impl HeaderError {
    fn new(version: u8, fault: impl fmt::Display) -> Self {
        Self { version, fault: fault.to_string() }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PROXY header, version {}: {}", self.version, self.fault)
    }
}

impl std::error::Error for HeaderError {}

/// Looks for a header at the beginning of `bytes`, which are all that a connection has brought so far.
pub fn parse(bytes: &[u8]) -> Result<Beginning, HeaderError> {
    for (signature, parse) in [(v1::SIGNATURE, v1::parse as Parse), (v2::SIGNATURE, v2::parse)] {
        if bytes.starts_with(signature) {
            return Ok(match parse(bytes)? {
                Some((header, length)) => Beginning::Header(header, length),
                None => Beginning::Incomplete,
            });
        }
        if signature.starts_with(bytes) {
            return Ok(Beginning::Incomplete);
        }
    }
    Ok(Beginning::Other)
}

/// Nothing where there is more to come.
type Parse = fn(&[u8]) -> Result<Option<(Header, usize)>, HeaderError>;

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn inet(source: &str, destination: &str) -> Ends {
        Ends::Inet { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    /// A header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    /// Parses a whole header with something behind it, after each shorter beginning was too short.
    fn whole(header: &[u8]) -> Header {
        for length in 0..header.len() {
            assert_eq!(parse(&header[..length]), Ok(Beginning::Incomplete), "{length} bytes of {header:?}");
        }
        match parse(&[header, b"GET / HTTP/1.1\r\n"].concat()) {
            Ok(Beginning::Header(parsed, length)) if length == header.len() => parsed,
            other => panic!("{header:?}: {other:?}"),
        }
    }

    fn fault(header: &[u8]) -> String {
        parse(header).unwrap_err().to_string()
    }

    #[test]
    fn version_1_names_both_ends() {
        let cases = [
            ("TCP4 192.0.2.1 198.51.100.7 56324 443", inet("192.0.2.1:56324", "198.51.100.7:443")),
            ("TCP4 0.0.0.0 255.255.255.255 0 65535", inet("0.0.0.0:0", "255.255.255.255:65535")),
            ("TCP6 2001:db8::1 ::ffff:192.0.2.1 1 2", inet("[2001:db8::1]:1", "[::ffff:192.0.2.1]:2")),
            ("UNKNOWN", Ends::Unknown),
            ("UNKNOWN ffff:f...f:ffff whatever 65535 it is", Ends::Unknown),
        ];
        for (text, ends) in cases {
            assert_eq!(whole(format!("PROXY {text}\r\n").as_bytes()), Header { version: 1, ends });
        }
    }

    #[test]
    fn version_1_is_as_long_as_it_can_be_and_no_longer() {
        let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {address} {address} 65535 65535\r\n");
        assert_eq!(longest.len(), 107);
        whole(longest.as_bytes());
        let longer = longest.replace("\r\n", "0\r\n");
        assert_eq!(parse(&longer.as_bytes()[..106]), Ok(Beginning::Incomplete));
        for length in 107..=longer.len() {
            let said = fault(&longer.as_bytes()[..length]);
            assert_eq!(said, "PROXY header, version 1: the line is longer than 107 bytes");
        }
    }

    #[test]
    fn what_is_wrong_with_version_1_is_named() {
        let cases = [
            ("TCP4 192.0.2.1 198.51.100.7 1", "the destination's port is missing"),
            ("TCP4 192.0.2.1 198.51.100.7 1 2 3", "more than two ports"),
            ("TCP4 192.0.2.1 198.51.100.7 1 2 ", "more than two ports"),
            ("TCP4 192.0.2.1  198.51.100.7 1 2", "the destination \"\" is no IPv4 address"),
            ("TCP4 192.0.2.01 198.51.100.7 1 2", "the source \"192.0.2.01\" is no IPv4 address"),
            ("TCP4 2001:db8::1 198.51.100.7 1 2", "the source \"2001:db8::1\" is no IPv4 address"),
            ("TCP6 2001:db8::1 198.51.100.7 1 2", "the destination \"198.51.100.7\" is no IPv6 address"),
            ("TCP4 192.0.2.1 198.51.100.7 65536 2", "the source's port \"65536\" is no port"),
            ("TCP4 192.0.2.1 198.51.100.7 1 +2", "the destination's port \"+2\" is no port"),
            ("TCP4 192.0.2.1 198.51.100.7 01 2", "the source's port \"01\" is no port"),
            ("UDP4 192.0.2.1 198.51.100.7 1 2", "the protocol \"UDP4\" is none of TCP4, TCP6 and UNKNOWN"),
            ("", "the protocol \"\" is none of TCP4, TCP6 and UNKNOWN"),
            ("TCP4 192.0.2.\u{e9}", "the source \"192.0.2.\\u{e9}\" is no IPv4 address"),
        ];
        for (text, said) in cases {
            let line = format!("PROXY {text}\r\n");
            assert_eq!(fault(line.as_bytes()), format!("PROXY header, version 1: {said}"), "{text:?}");
        }
        assert!(fault(b"PROXY UNKNOWN\n").ends_with(": the line does not end in CR LF"));
        assert!(fault(b"PROXY TCP4 \xff\r\n").ends_with("is no IPv4 address"));
    }

    #[test]
    fn version_2_names_both_ends() {
        let four = [&[192, 0, 2, 1, 198, 51, 100, 7][..], &[0xdc, 0x04, 0x01, 0xbb]].concat();
        let ends = inet("192.0.2.1:56324", "198.51.100.7:443");
        for family in [0x11, 0x12] {
            assert_eq!(whole(&v2(0x21, family, &four)), Header { version: 2, ends: ends.clone() });
        }
        let address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let six = [&address[..], &[1], &address, &[2], &[0, 1, 0, 2]].concat();
        assert_eq!(whole(&v2(0x21, 0x21, &six)).ends, inet("[2001:db8::1]:1", "[2001:db8::2]:2"));

        let mut unix = [0; 216];
        unix[..6].copy_from_slice(b"/run/a");
        unix[108..].fill(b'b');
        let ends = Ends::Unix { source: "/run/a".into(), destination: "b".repeat(108).into() };
        assert_eq!(whole(&v2(0x21, 0x31, &unix)).ends, ends);
    }

    #[test]
    fn version_2_of_the_proxy_itself_or_of_nobody_has_nothing_to_say() {
        assert_eq!(whole(&v2(0x20, 0x00, &[])).ends, Ends::Local);
        // What else there is does not matter then, not even a family that does not exist.
        assert_eq!(whole(&v2(0x20, 0xff, b"anything")).ends, Ends::Local);
        assert_eq!(whole(&v2(0x21, 0x00, b"")).ends, Ends::Unknown);
    }

    #[test]
    fn what_follows_the_addresses_is_passed_over_if_it_is_whole() {
        let four = [0; 12];
        let ends = inet("0.0.0.0:0", "0.0.0.0:0");
        let extras: [&[u8]; 3] = [&[4, 0, 0], &[1, 0, 2, b'h', b'2', 5, 0, 1, 7], &[4, 0, 0, 4, 0, 0]];
        for extra in extras {
            assert_eq!(whole(&v2(0x21, 0x11, &[&four[..], extra].concat())).ends, ends);
        }
        let broken: [&[u8]; 3] = [&[4], &[4, 0], &[1, 0, 2, b'h', b'2', 5, 0, 2, 7]];
        for extra in broken {
            let said = fault(&v2(0x21, 0x11, &[&four[..], extra].concat()));
            assert!(said.contains("ends within a TLV"), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_with_version_2_is_named() {
        let cases = [
            (0x11, 0x11, 12, "version 1 instead of 2"),
            (0x22, 0x11, 12, "the command 2 is neither LOCAL nor PROXY"),
            (0x21, 0x41, 12, "the address family 4 is none"),
            (0x21, 0x13, 12, "the transport protocol 3 is none"),
            (0x21, 0x11, 11, "11 bytes are too few for two IPv4 addresses, which take 12"),
            (0x21, 0x21, 35, "35 bytes are too few for two IPv6 addresses, which take 36"),
            (0x21, 0x31, 215, "215 bytes are too few for two unix addresses, which take 216"),
        ];
        for (command, family, length, said) in cases {
            let header = v2(command, family, &vec![0; length]);
            assert_eq!(fault(&header), format!("PROXY header, version 2: {said}"));
        }
        let long = v2(0x21, 0x11, &[0; MOST_BYTES]);
        let said = fault(&long[..16]);
        assert_eq!(said, "PROXY header, version 2: it announces 4112 bytes, more than 4096");
    }

    #[test]
    fn other_beginnings_are_told_apart_as_soon_as_they_differ() {
        for bytes in ["G", "PU", "PRI", "PROPFIND", "PROXX", "\x16", "\r\nG", "\n", "proxy "] {
            assert_eq!(parse(bytes.as_bytes()), Ok(Beginning::Other), "{bytes:?}");
        }
        for bytes in ["", "P", "PRO", "PROXY", "\r", "\r\n\r\n"] {
            assert_eq!(parse(bytes.as_bytes()), Ok(Beginning::Incomplete), "{bytes:?}");
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_panic_or_read_beyond_them() {
        // A cheap generator: what matters is that headers are broken in many ways, and always the same ones.
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
            if let Ok(Beginning::Header(_, length)) = parse(&header) {
                assert!(length <= header.len(), "{header:?}");
            }
        }
    }
}
