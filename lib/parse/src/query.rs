//! Query strings and percent-encoding.

use std::borrow::Cow;
use std::str::Utf8Error;

use percent_encoding::percent_decode_str;

/// Splits a query string at `&` into names and values, neither decoded. Empty pairs are skipped; the value is `None`
/// without `=`.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (pair, None),
    })
}

/// Decodes `%XX`; a `%` without two hexadecimal digits stands for itself.
pub fn percent_decode(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

/// Decodes `%XX` as Go does: `None` if a `%` lacks its two hexadecimal digits. With `plus_is_space`, as in query
/// strings, `+` becomes a space.
pub fn percent_decode_strict(text: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let is_escape =
        |tail: &str| tail.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let text = if plus_is_space { plus_to_space(text) } else { text.into() };
    Some(percent_decode(&text).into_owned())
}

/// Decodes a name or a value of a query string: `+` is a space, and a `%` without two hexadecimal digits stands for
/// itself.
pub fn form_decode(text: &str) -> Result<String, Utf8Error> {
    percent_decode_str(&plus_to_space(text)).decode_utf8().map(Cow::into_owned)
}

fn plus_to_space(text: &str) -> Cow<'_, str> {
    if text.contains('+') { text.replace('+', " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_split_into_pairs() {
        let pairs: Vec<_> = query_pairs("a=1&&b&c=&=d&e=f=g&").collect();
        let expected = [("a", Some("1")), ("b", None), ("c", Some("")), ("", Some("d")), ("e", Some("f=g"))];
        assert_eq!(pairs, expected);
        assert_eq!(query_pairs("").count(), 0);
    }

    #[test]
    fn every_byte_is_decoded() {
        for byte in 0..=u8::MAX {
            let text = format!("%{byte:02x}a%{byte:02X}");
            assert_eq!(percent_decode_strict(&text, true), Some(vec![byte, b'a', byte]));
            assert_eq!(*percent_decode(&text), [byte, b'a', byte]);
        }
    }

    #[test]
    fn incomplete_escapes_are_rejected_only_by_the_strict_decoder() {
        for text in ["%", "100%", "%1", "%+1", "%zz", "%%41", "%4é"] {
            assert_eq!(percent_decode_strict(text, true), None, "{text}");
        }
        assert_eq!(*percent_decode("100%zz"), *b"100%zz");
        assert_eq!(form_decode("100%").as_deref(), Ok("100%"));
    }

    #[test]
    fn plus_is_a_space_in_queries_only() {
        assert_eq!(form_decode("a+b%2Bc").as_deref(), Ok("a b+c"));
        assert_eq!(percent_decode_strict("a+b%2Bc", true).as_deref(), Some(&b"a b+c"[..]));
        assert_eq!(percent_decode_strict("a+b", false).as_deref(), Some(&b"a+b"[..]));
        assert_eq!(*percent_decode("a+b"), *b"a+b");
        assert!(form_decode("%ff").is_err());
    }
}
