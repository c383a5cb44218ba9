//! Queries as Go reads them, and whoami with it: what is not well-formed is not there.

use std::borrow::Cow;

/// The parameters of a request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// That of a URI, without its question mark.
    pub fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// The first value of a parameter.
    pub fn get(self, name: &str) -> Option<String> {
        self.pairs().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// What `parse` makes of a parameter, or a fault that names it, its value and what is wrong.
    pub fn read<T>(
        self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let value = self.get(name);
        value.map(|value| parse(&value).map_err(|fault| format!("{name}={fault}"))).transpose()
    }

    /// Whether a parameter is true in one of the ways that Go knows.
    pub fn is_true(self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value.as_str(), "1" | "t" | "T" | "TRUE" | "true" | "True"))
    }

    /// All parameters, decoded.
    pub fn pairs(self) -> impl Iterator<Item = (String, String)> + use<'a> {
        self.0.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((text(name, true)?, text(value, true)?))
        })
    }
}

/// The text that `encoded` stands for; bytes that are not UTF-8 are replaced. Nothing, if a `%` has no two hexadecimal
/// digits behind it.
pub fn text(encoded: &str, plus_is_space: bool) -> Option<String> {
    Some(match String::from_utf8_lossy(&decoded(encoded, plus_is_space)?) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    })
}

/// The bytes that `encoded` stands for.
pub(crate) fn decoded(encoded: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    Some(decoded)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn the_first_well_formed_value_counts() {
        let query = Query::new(Some("a=%zz&a=1+2%2B&a=3&b=x;y&b=y&c&d=&=e&%66=g"));
        assert_eq!(query.get("a").as_deref(), Some("1 2+"));
        assert_eq!(query.get("b").as_deref(), Some("y"));
        assert_eq!(query.get("c").as_deref(), Some(""));
        assert_eq!(query.get("d").as_deref(), Some(""));
        assert_eq!(query.get("").as_deref(), Some("e"));
        assert_eq!(query.get("f").as_deref(), Some("g"));
        assert_eq!(Query::new(None).get("a"), None);
    }

    #[test]
    fn true_is_what_go_takes_for_it() {
        for (value, expected) in
            [("1", true), ("t", true), ("True", true), ("tRue", false), ("yes", false), ("", false)]
        {
            assert_eq!(Query::new(Some(&format!("env={value}"))).is_true("env"), expected, "{value:?}");
        }
    }

    #[test]
    fn a_fault_names_parameter_and_value() {
        let fault = Query::new(Some("every=5")).read("every", crate::duration::parse).unwrap_err();
        assert!(fault.starts_with("every=\"5\": "), "{fault}");
    }

    #[test]
    fn no_query_is_too_strange() {
        let mut random = Random::new(3);
        for _ in 0..20_000 {
            let query = gibberish(&mut random, "ab=&%20;+f");
            for (name, value) in Query::new(Some(&query)).pairs() {
                assert!(name.len() + value.len() <= 3 * query.len(), "{query}");
            }
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for byte in 0..=u8::MAX {
            assert_eq!(decoded(&format!("%{byte:02x}a%{byte:02X}"), true), Some(vec![byte, b'a', byte]));
        }
        assert_eq!(decoded("%+1", true), None);
        assert_eq!(text("%ff+", false).as_deref(), Some("\u{fffd}+"));
    }
}
