//! The request head as Go's net/http, and therefore whoami, shows it.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue, Uri, Version, header, request};

use parse::percent_decode_strict;

/// Returns a header name in canonical form: a capital at the start and after each dash.
pub fn canonical(name: &str) -> String {
    let mut is_first = true;
    let capital = |letter: char| {
        let written = if is_first { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        is_first = letter == '-';
        written
    };
    name.chars().map(capital).collect()
}

/// Returns all headers by canonical name, sorted, without those that Go does not list among the headers.
pub(crate) fn sorted(parts: &request::Parts) -> Vec<(String, Vec<String>)> {
    let headers = &parts.headers;
    let is_chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let is_left_out =
        |name: &str| name == "Host" || name == "Transfer-Encoding" || (name == "Trailer" && is_chunked);
    let mut sorted: Vec<_> = all(headers).filter(|(name, _)| !is_left_out(name)).collect();
    if parts.version == Version::HTTP_2 {
        if let Some((_, cookies)) = sorted.iter_mut().find(|(name, _)| name == "Cookie") {
            *cookies = vec![cookies.join("; ")];
        }
    } else if headers.get(header::PRAGMA).is_some_and(|value| value == "no-cache")
        && !headers.contains_key(header::CACHE_CONTROL)
    {
        sorted.push(("Cache-Control".to_owned(), vec!["no-cache".to_owned()]));
    }
    sorted.sort();
    sorted
}

/// Returns all headers with their canonical names.
pub(crate) fn all(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<String>)> {
    headers.keys().map(|name| (canonical(name.as_str()), headers.get_all(name).iter().map(text).collect()))
}

/// Returns the text of a header value; bytes that are not UTF-8 are replaced.
pub(crate) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_owned()
}

/// Returns all values of a header joined by commas.
pub(crate) fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Returns the requested host.
pub(crate) fn host(parts: &request::Parts) -> String {
    match parts.uri.authority() {
        Some(authority) => authority.as_str().rsplit('@').next().unwrap_or_default().to_owned(),
        None => parts.headers.get(header::HOST).map(text).unwrap_or_default(),
    }
}

/// Returns path and query as Go writes them: unchanged, unless the path has a byte that must be encoded.
pub(crate) fn request_uri(uri: &Uri) -> String {
    let path = uri.path();
    let is_valid = |byte: u8| is_plain(byte) || b"!'()*[]%".contains(&byte);
    let mut written = match percent_decode_strict(path, false) {
        Some(bytes) if !path.bytes().all(is_valid) => encoded(&bytes),
        _ => path.to_owned(),
    };
    if let Some(query) = uri.query() {
        written.push('?');
        written += query;
    }
    written
}

fn encoded(path: &[u8]) -> String {
    let mut written = String::with_capacity(path.len());
    for &byte in path {
        if is_plain(byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::random::{Random, gibberish};

    fn parts(request: request::Builder) -> request::Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn header_names_are_canonical() {
        for (name, expected) in [
            ("x-forwarded-for", "X-Forwarded-For"),
            ("www-authenticate", "Www-Authenticate"),
            ("x_c", "X_c"),
            ("ETAG", "Etag"),
            ("-a--b", "-A--B"),
            ("", ""),
        ] {
            assert_eq!(canonical(name), expected);
            assert_eq!(canonical(&canonical(name)), expected);
        }
    }

    #[test]
    fn headers_are_sorted_and_values_keep_their_order() {
        let request =
            Request::get("/").header("x-b", "1").header("host", "h").header("x-a", "3").header("x-a", "2");
        let request = request.header("pragma", "no-cache").header("cookie", "a").header("cookie", "b");
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(
            sorted(&parts(request)),
            [
                ("Cache-Control".to_owned(), one("no-cache")),
                ("Cookie".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
                ("Pragma".to_owned(), one("no-cache")),
                ("X-A".to_owned(), vec!["3".to_owned(), "2".to_owned()]),
                ("X-B".to_owned(), one("1")),
            ]
        );
        let request = Request::get("/").version(Version::HTTP_2).header("pragma", "no-cache");
        let request = request.header("cookie", "a=1").header("cookie", "b=2");
        assert_eq!(
            sorted(&parts(request)),
            [("Cookie".to_owned(), one("a=1; b=2")), ("Pragma".to_owned(), one("no-cache"))]
        );
    }

    #[test]
    fn path_is_encoded_only_if_needed() {
        for (uri, expected) in [
            ("/a%20b%2Fc?q=%20", "/a%20b%2Fc?q=%20"),
            ("/a\"b{c}?x=1&y=%%zz", "/a%22b%7Bc%7D?x=1&y=%%zz"),
            ("/[a]'(b)!*", "/[a]'(b)!*"),
            ("/[a]{", "/%5Ba%5D%7B"),
            ("http://bar:80/x?y", "/x?y"),
            ("/?", "/?"),
            ("*", "*"),
        ] {
            assert_eq!(request_uri(&uri.parse().unwrap()), expected);
        }
    }

    #[test]
    fn encoded_path_is_not_changed() {
        let mut random = Random::new(12);
        for _ in 0..20_000 {
            let path = format!("/{}", gibberish(&mut random, "a/%2\"{}[]'é"));
            if let Ok(uri) = path.parse() {
                let written = request_uri(&uri);
                assert_eq!(request_uri(&written.parse().unwrap()), written, "{path}");
            }
        }
    }

    #[test]
    fn host_of_the_uri_takes_precedence() {
        assert_eq!(host(&parts(Request::get("/").header("host", "a:1"))), "a:1");
        assert_eq!(host(&parts(Request::get("http://u@b:2/").header("host", "a:1"))), "b:2");
        assert_eq!(host(&parts(Request::get("/"))), "");
    }
}
