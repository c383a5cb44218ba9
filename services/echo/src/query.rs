//! Query strings as Go's net/http, and therefore whoami, parses them: malformed parameters are ignored.

use parse::{go_bool, percent_decode_strict, query_pairs};

/// The query parameters of a request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Wraps the query of a URI, without its question mark.
    pub fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// Returns the first value of a parameter.
    pub fn get(self, name: &str) -> Option<String> {
        self.pairs().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// Parses a parameter; an error names the parameter and its value.
    pub fn read<T>(
        self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let value = self.get(name);
        value.map(|value| parse(&value).map_err(|error| format!("{name}={error}"))).transpose()
    }

    /// Whether a parameter is true as Go parses booleans.
    pub fn is_true(self, name: &str) -> bool {
        self.get(name).and_then(|value| go_bool(&value)) == Some(true)
    }

    /// Returns all parameters, decoded.
    pub fn pairs(self) -> impl Iterator<Item = (String, String)> + use<'a> {
        query_pairs(self.0).filter_map(|(name, value)| {
            let value = value.unwrap_or_default();
            let has_semicolon = name.contains(';') || value.contains(';');
            (!has_semicolon).then_some((decode(name, true)?, decode(value, true)?))
        })
    }
}

/// Decodes `%XX`; bytes that are not UTF-8 are replaced. `None` for a malformed escape.
pub fn decode(encoded: &str, plus_is_space: bool) -> Option<String> {
    let bytes = percent_decode_strict(encoded, plus_is_space)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn first_well_formed_value_is_used() {
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
    fn error_names_parameter_and_value() {
        let error = Query::new(Some("every=5")).read("every", crate::params::duration).unwrap_err();
        assert!(error.starts_with("every=\"5\": "), "{error}");
    }

    #[test]
    fn arbitrary_queries_never_panic() {
        let mut random = Random::new(3);
        for _ in 0..20_000 {
            let query = gibberish(&mut random, "ab=&%20;+f");
            for (name, value) in Query::new(Some(&query)).pairs() {
                assert!(name.len() + value.len() <= 3 * query.len(), "{query}");
            }
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(decode("%ff+", false).as_deref(), Some("\u{fffd}+"));
    }
}
