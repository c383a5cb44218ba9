//! The few URLs that are taken here: `http://HOST[:PORT][/PATH]` and `tcp://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// A URL whose every part is fit for use as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// What is spoken there.
    pub scheme: Scheme,
    /// A name or an IP address, without brackets.
    pub host: String,
    /// From 1 to 65535.
    pub port: u16,
    /// Path and query, from the first `/` on; `/` if there was none.
    pub path: String,
}

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 without TLS.
    Http,
    /// Anything: that a connection is accepted is all that counts.
    Tcp,
}

impl Url {
    /// Host and port as they stand in a URL and in the `host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("the scheme is missing, as in http://HOST:PORT")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "tcp" => Scheme::Tcp,
            other => return Err(format!("scheme {other:?}: http or tcp is expected")),
        };
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = split_authority(authority)?;
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => 80,
            (None, Scheme::Tcp) => return Err("the port is missing".to_owned()),
        };
        Ok(Self { scheme, host: host.to_owned(), port, path: read_path(path, scheme)? })
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), String> {
    if authority.contains('@') {
        return Err("a user name is not supported".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("']' is missing")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("host {host:?}: not an IPv6 address"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(format!("{after:?} after ']': a port is expected")),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if !authority.starts_with('[') && !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        return Err(format!("host {host:?}: letters, digits, '.', '_' or '-' are expected"));
    }
    match port {
        None => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => Err(format!("port {port:?}: 1 to 65535 is expected")),
            Ok(number) => Ok((host, Some(number))),
        },
    }
}

fn read_path(path: &str, scheme: Scheme) -> Result<String, String> {
    if scheme == Scheme::Tcp && !path.is_empty() {
        return Err(format!("path {path:?}: a tcp URL has none"));
    }
    if path.contains('#') || !path.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("path {path:?}: printable ASCII without spaces and '#' is expected"));
    }
    Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Http if self.path == "/" => write!(f, "http://{}", self.authority()),
            Scheme::Http => write!(f, "http://{}{}", self.authority(), self.path),
            Scheme::Tcp => write!(f, "tcp://{}", self.authority()),
        }
    }
}

/// The hub's URL: plain HTTP, without a path.
pub fn hub(text: &str) -> Result<Url, String> {
    let url: Url = text.parse()?;
    match url.scheme {
        Scheme::Tcp => Err("scheme \"tcp\": http is expected".to_owned()),
        Scheme::Http if url.path != "/" => Err(format!("path {:?}: none is expected", url.path)),
        Scheme::Http => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_its_parts() {
        let url: Url = "http://127.0.0.1:9090/readyz?full=1".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("127.0.0.1", 9090, "/readyz?full=1"));
        let url: Url = "http://hub".parse().unwrap();
        assert_eq!((url.authority().as_str(), url.path.as_str()), ("hub:80", "/"));
        let url: Url = "tcp://[::1]:5432".parse().unwrap();
        assert_eq!(
            (url.scheme, url.host.as_str(), url.authority().as_str()),
            (Scheme::Tcp, "::1", "[::1]:5432")
        );
        assert_eq!(hub("http://hub:8080/").unwrap().to_string(), "http://hub:8080");
    }

    #[test]
    fn a_url_is_shown_as_it_would_be_read() {
        for text in
            ["http://hub:80", "http://a:1/b/", "http://a:1/?b", "http://[::1]:80/b", "tcp://[::1]:5432"]
        {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_faulty_url_names_the_fault() {
        for (text, fault) in [
            ("127.0.0.1:9090", "the scheme is missing"),
            ("https://a", "scheme \"https\""),
            ("http://", "the host is missing"),
            ("http://:80", "the host is missing"),
            ("http://a:b", "port \"b\""),
            ("http://a:0", "port \"0\""),
            ("http://a:", "port \"\""),
            ("http://a:70000", "port \"70000\""),
            ("http://me@a", "user name"),
            ("http://[::1", "']' is missing"),
            ("http://[::1]80", "\"80\" after ']'"),
            ("http://[nope]", "not an IPv6 address"),
            ("http://a b/", "host \"a b\""),
            ("http://a/b c", "path \"/b c\""),
            ("http://a/b\r\nc", "path"),
            ("http://a/#b", "path \"/#b\""),
            ("tcp://a", "the port is missing"),
            ("tcp://a:1/x", "path \"/x\""),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(fault), "{text:?}: {error}");
        }
        assert!(hub("tcp://a:1").unwrap_err().contains("http is expected"));
        assert!(hub("http://a/b").unwrap_err().contains("none is expected"));
    }
}
