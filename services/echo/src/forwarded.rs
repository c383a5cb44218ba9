//! The header `Forwarded` (RFC 7239), and addresses in it and in `X-Forwarded-For`.

use std::fmt;
use std::net::IpAddr;

/// One element of `Forwarded`: the report of one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The parameter `for`: the node that made the request to the proxy.
    pub client: Option<Node>,
    /// The parameter `by`: the interface of the proxy.
    pub by: Option<Node>,
    /// The parameter `host`: the original `Host` header.
    pub host: Option<String>,
    /// The parameter `proto`: the original scheme.
    pub proto: Option<String>,
    /// Other parameters, with names in lower case.
    pub others: Vec<(String, String)>,
}

/// A node: address or name, and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Address or name.
    pub name: Name,
    /// Port, possibly obfuscated, such as `_a`.
    pub port: Option<String>,
}

/// Name of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// An IP address.
    Address(IpAddr),
    /// An obfuscated name, such as `_a`.
    Hidden(String),
    /// `unknown`.
    Unknown,
}

/// Parses a `Forwarded` header; the first proxy comes first. Join repeated headers with commas.
pub fn parse(header: &str) -> Result<Vec<Element>, String> {
    let mut reader = Reader { text: header, place: 0 };
    let mut elements = Vec::new();
    loop {
        reader.spaces();
        match reader.peek() {
            // Elements may be empty.
            Some(b',') => reader.place += 1,
            None => return Ok(elements),
            Some(_) => {
                elements.push(element(&mut reader)?);
                match reader.peek() {
                    None => return Ok(elements),
                    Some(b',') => reader.place += 1,
                    Some(_) => return Err(reader.error("a comma or a semicolon")),
                }
            }
        }
    }
}

fn element(reader: &mut Reader<'_>) -> Result<Element, String> {
    let mut element = Element::default();
    loop {
        reader.spaces();
        if !matches!(reader.peek(), None | Some(b';' | b',')) {
            pair(reader, &mut element)?;
        }
        reader.spaces();
        if reader.peek() != Some(b';') {
            return Ok(element);
        }
        reader.place += 1;
    }
}

fn pair(reader: &mut Reader<'_>, element: &mut Element) -> Result<(), String> {
    let start = reader.place;
    let name = reader.token().ok_or_else(|| reader.error("a parameter"))?.to_ascii_lowercase();
    if reader.peek() != Some(b'=') {
        return Err(reader.error("="));
    }
    reader.place += 1;
    let value = match reader.peek() {
        Some(b'"') => reader.quoted()?,
        _ => reader.value().ok_or_else(|| reader.error("a value"))?.to_owned(),
    };
    let is_second = match name.as_str() {
        "for" => element.client.replace(node(&value)?).is_some(),
        "by" => element.by.replace(node(&value)?).is_some(),
        "host" => element.host.replace(value).is_some(),
        "proto" => element.proto.replace(value).is_some(),
        _ => {
            let is_second = element.others.iter().any(|(other, _)| *other == name);
            element.others.push((name, value));
            is_second
        }
    };
    if is_second {
        reader.place = start;
        return Err(reader.error("another parameter (this one is a duplicate)"));
    }
    Ok(())
}

fn node(text: &str) -> Result<Node, String> {
    text.parse()
        .map_err(|()| format!("{text:?}: expected an address, `unknown` or a name that starts with `_`"))
}

impl std::str::FromStr for Node {
    type Err = ();

    /// Parses a node of `Forwarded` or of `X-Forwarded-For`, where IPv6 addresses have no brackets.
    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(address) = text.parse() {
            return Ok(Self { name: Name::Address(address), port: None });
        }
        let (name, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(())?;
            (Name::Address(IpAddr::V6(address.parse().map_err(|_| ())?)), port)
        } else {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (self::name(name).ok_or(())?, port)
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(port) if is_port(port) => Some(port.to_owned()),
            _ => return Err(()),
        };
        Ok(Self { name, port })
    }
}

fn name(text: &str) -> Option<Name> {
    if text.eq_ignore_ascii_case("unknown") {
        Some(Name::Unknown)
    } else if is_hidden(text) {
        Some(Name::Hidden(text.to_owned()))
    } else {
        text.parse().ok().map(|address| Name::Address(IpAddr::V4(address)))
    }
}

fn is_port(text: &str) -> bool {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    is_hidden(text) || (is_number && text.parse::<u16>().is_ok())
}

fn is_hidden(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
}

struct Reader<'a> {
    text: &'a str,
    /// Byte position, always at a character boundary.
    place: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.place += 1;
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        self.letters(is_token)
    }

    /// Reads a value without quotes. Addresses need quotes, but not all proxies write them.
    fn value(&mut self) -> Option<&'a str> {
        self.letters(|byte| is_token(byte) || b":[]/".contains(&byte))
    }

    fn letters(&mut self, are_allowed: impl Fn(u8) -> bool) -> Option<&'a str> {
        let rest = &self.text[self.place..];
        let length = rest.bytes().position(|byte| !are_allowed(byte)).unwrap_or(rest.len());
        self.place += length;
        (length > 0).then(|| &rest[..length])
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut value = String::new();
        let mut rest = self.text[self.place..].char_indices().skip(1);
        while let Some((place, letter)) = rest.next() {
            match letter {
                '"' => {
                    self.place += place + 1;
                    return Ok(value);
                }
                '\\' => value.extend(rest.next().map(|(_, letter)| letter)),
                letter => value.push(letter),
            }
        }
        self.place = self.text.len();
        Err(self.error("\""))
    }

    fn error(&self, expected: &str) -> String {
        match self.text[self.place..].chars().next() {
            Some(found) => format!("{found:?} at byte {}: expected {expected}", self.place + 1),
            None => format!("the end: expected {expected}"),
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = [
            ("for", self.client.as_ref().map(Node::to_string)),
            ("by", self.by.as_ref().map(Node::to_string)),
            ("host", self.host.clone()),
            ("proto", self.proto.clone()),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let others = self.others.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (place, (name, value)) in own.chain(others).enumerate() {
            let semicolon = if place > 0 { ";" } else { "" };
            if !value.is_empty() && value.bytes().all(is_token) {
                write!(f, "{semicolon}{name}={value}")?;
            } else {
                write!(f, "{semicolon}{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Name::Address(address) => write!(f, "{address}")?,
            Name::Hidden(name) => f.write_str(name)?,
            Name::Unknown => f.write_str("unknown")?,
        }
        self.port.as_ref().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    fn written(elements: &[Element]) -> String {
        elements.iter().map(Element::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn examples_of_rfc_7239_are_parsed() {
        for (header, expected) in [
            ("for=\"_gazonk\"", "for=_gazonk"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "for=\"[2001:db8:cafe::17]:4711\""),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "for=192.0.2.60;by=203.0.113.43;proto=http"),
            ("for=192.0.2.43, for=198.51.100.17", "for=192.0.2.43, for=198.51.100.17"),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
                "for=192.0.2.43, for=\"[2001:db8:cafe::17]\", for=unknown",
            ),
            ("for=_hidden, for=_SEVKISEK", "for=_hidden, for=_SEVKISEK"),
            ("for=\"192.0.2.43:47011\";host=\"a\\\"b\"", "for=\"192.0.2.43:47011\";host=\"a\\\"b\""),
        ] {
            assert_eq!(written(&parse(header).unwrap()), expected, "{header}");
        }
    }

    #[test]
    fn empty_elements_and_spaces_are_skipped() {
        assert_eq!(
            written(&parse(" , for=_a ; proto=http;; , ,by=_b,").unwrap()),
            "for=_a;proto=http, by=_b"
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn errors_name_the_position() {
        for (header, error) in [
            ("for", "the end: expected ="),
            ("for=", "the end: expected a value"),
            ("for=_a for=_b", "'f' at byte 8: expected a comma or a semicolon"),
            ("=_a", "'=' at byte 1: expected a parameter"),
            ("for=\"_a", "the end: expected \""),
            ("for=_a;FOR=_b", "'F' at byte 8: expected another parameter (this one is a duplicate)"),
            ("for=é", "'é' at byte 5: expected a value"),
            ("for=a", "\"a\": expected an address, `unknown` or a name that starts with `_`"),
            ("for=\"1.2.3.4:99999\"", "\"1.2.3.4:99999\": expected an address"),
        ] {
            let found = parse(header).unwrap_err();
            assert!(found.starts_with(error), "{header}: {found}");
        }
    }

    #[test]
    fn addresses_have_optional_ports_and_brackets() {
        for (text, written) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:80", "1.2.3.4:80"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("[::1]:_a", "[::1]:_a"),
            ("Unknown", "unknown"),
            ("_a:1", "_a:1"),
        ] {
            assert_eq!(text.parse::<Node>().unwrap().to_string(), written);
        }
        for text in
            ["", "_", "1.2.3", "[::1", "[1.2.3.4]", "[::1]x", "1.2.3.4:", "1.2.3.4:+1", "host", "_a b"]
        {
            assert!(text.parse::<Node>().is_err(), "{text}");
        }
    }

    #[test]
    fn arbitrary_headers_never_panic_and_formatted_ones_are_read_back() {
        let mut random = Random::new(9);
        let mut read = 0;
        for _ in 0..50_000 {
            let pieces = [
                "for=", "by=", "host=", "proto=", "x=", "_a", "\"", "\\", "1.2.3.4", "[::1]", ",", ";", " ",
                ":1",
            ];
            let mut header = gibberish(&mut random, "\"\\=;, :").chars().take(2).collect::<String>();
            for _ in 0..random.below(8) {
                header += pieces[usize::try_from(random.below(pieces.len() as u64)).unwrap()];
            }
            if let Ok(elements) = parse(&header) {
                read += 1;
                let elements: Vec<_> =
                    elements.into_iter().filter(|element| *element != Element::default()).collect();
                assert_eq!(parse(&written(&elements)), Ok(elements), "{header}");
            }
        }
        assert!(read > 1_000, "{read}");
    }
}
