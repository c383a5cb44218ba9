//! What a server has to refuse by RFC 9112, and hyper lets pass. To hyper none of it is ambiguous, but whoever stands in
//! front of it may have read it in another way.

use http::{HeaderValue, Method, Request, StatusCode, Version, header};

/// The rule that `request` breaks: the answer's status, and its text.
pub(crate) fn broken<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let (mut hosts, mut codings) = (0, 0);
    // One pass over the few that there are is cheaper than to look each up.
    for (name, value) in request.headers() {
        if name == header::HOST {
            hosts += 1;
            if !is_host(value) {
                return Some((BAD, "the host header holds what no host is called\n"));
            }
        } else if name == header::TRANSFER_ENCODING {
            codings += 1;
            if codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Some((
                    StatusCode::NOT_IMPLEMENTED,
                    "of all transfer encodings only chunked is understood\n",
                ));
            }
        }
    }
    if hosts > 1 {
        return Some((BAD, "there is more than one host header\n"));
    }
    if hosts == 0 && request.version() == Version::HTTP_11 {
        return Some((BAD, "there is no host header\n"));
    }
    let path = request.uri().path();
    // What else could be there is a host to connect to, and `*`, by which OPTIONS means the server as a whole.
    let is_known = path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS);
    (!is_known).then_some((BAD, "the request asks neither for a path nor for a URL\n"))
}

/// Which bytes a host, with or without a port, is written with. A table, as this is asked of each request.
const HOST: [bool; 256] = {
    let bytes = b"!$%&'()*+,-.0123456789:;=ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~";
    let (mut table, mut at) = ([false; 256], 0);
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether it can be a host. Empty is that of URLs that have none.
fn is_host(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|&byte| HOST[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        let is_host = |text: &[u8]| is_host(&HeaderValue::from_bytes(text).unwrap());
        for good in ["", "ping", "ping.lan:8080", "127.0.0.1", "[::1]:80", "a_b-c.d~", "a%20b", "a,b"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in ["a b", "a/b", "user@a", "a?b", "a#b", "a\\b", "<a>", "é"] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
