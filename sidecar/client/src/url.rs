//! URLs of hubs and probes: `http://HOST[:PORT][/PATH]` and `tcp://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// A URL. Its parts need no further escaping or validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Protocol.
    pub scheme: Scheme,
    /// Name or IP address, without brackets.
    pub host: String,
    /// Port, from 1 to 65535.
    pub port: u16,
    /// Path and query; `/` if the URL has none.
    pub path: String,
}

/// Protocol of a [`Url`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 without TLS.
    Http,
    /// Any protocol over TCP: a probe only checks that the connection is accepted.
    Tcp,
}

impl Url {
    /// Returns `HOST:PORT`, as in a URL and in the `host` header.
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
        let (scheme, rest) = text.split_once("://").ok_or("missing scheme; expected http://HOST:PORT")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "tcp" => Scheme::Tcp,
            other => return Err(format!("unknown scheme {other:?}; expected http or tcp")),
        };
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = split_authority(authority)?;
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => 80,
            (None, Scheme::Tcp) => return Err("missing port".to_owned()),
        };
        Ok(Self { scheme, host: host.to_owned(), port, path: parse_path(path, scheme)? })
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), String> {
    if authority.contains('@') {
        return Err("user names are not supported".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("missing ']'")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("invalid IPv6 address {host:?}"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(format!("unexpected {after:?} after ']'; expected :PORT")),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("missing host".to_owned());
    }
    if !authority.starts_with('[') && !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
        return Err(format!("invalid host {host:?}; expected letters, digits, '.', '_' or '-'"));
    }
    match port {
        None => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => Err(format!("invalid port {port:?}; expected 1 to 65535")),
            Ok(number) => Ok((host, Some(number))),
        },
    }
}

fn parse_path(path: &str, scheme: Scheme) -> Result<String, String> {
    if scheme == Scheme::Tcp && !path.is_empty() {
        return Err(format!("unexpected path {path:?} in a tcp URL"));
    }
    if path.contains('#') || !path.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("invalid path {path:?}; expected printable ASCII without spaces and '#'"));
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

/// Parses the URL of a hub: plain HTTP, without a path.
pub fn parse_hub(text: &str) -> Result<Url, String> {
    let url: Url = text.parse()?;
    match url.scheme {
        Scheme::Tcp => Err("unsupported scheme \"tcp\"; expected http".to_owned()),
        Scheme::Http if url.path != "/" => Err(format!("unexpected path {:?}", url.path)),
        Scheme::Http => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_its_parts() {
        let url: Url = "http://127.0.0.1:9090/readyz?full=1".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("127.0.0.1", 9090, "/readyz?full=1"));
        let url: Url = "http://hub".parse().unwrap();
        assert_eq!((url.authority().as_str(), url.path.as_str()), ("hub:80", "/"));
        let url: Url = "tcp://[::1]:5432".parse().unwrap();
        assert_eq!(
            (url.scheme, url.host.as_str(), url.authority().as_str()),
            (Scheme::Tcp, "::1", "[::1]:5432")
        );
        assert_eq!(parse_hub("http://hub:8080/").unwrap().to_string(), "http://hub:8080");
    }

    #[test]
    fn displayed_url_parses_to_the_same_url() {
        for text in
            ["http://hub:80", "http://a:1/b/", "http://a:1/?b", "http://[::1]:80/b", "tcp://[::1]:5432"]
        {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn error_names_the_invalid_part() {
        for (text, expected) in [
            ("127.0.0.1:9090", "missing scheme"),
            ("https://a", "scheme \"https\""),
            ("http://", "missing host"),
            ("http://:80", "missing host"),
            ("http://a:b", "port \"b\""),
            ("http://a:0", "port \"0\""),
            ("http://a:", "port \"\""),
            ("http://a:70000", "port \"70000\""),
            ("http://me@a", "user name"),
            ("http://[::1", "missing ']'"),
            ("http://[::1]80", "\"80\" after ']'"),
            ("http://[nope]", "invalid IPv6 address"),
            ("http://a b/", "host \"a b\""),
            ("http://a/b c", "path \"/b c\""),
            ("http://a/b\r\nc", "path"),
            ("http://a/#b", "path \"/#b\""),
            ("tcp://a", "missing port"),
            ("tcp://a:1/x", "path \"/x\""),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert!(parse_hub("tcp://a:1").unwrap_err().contains("expected http"));
        assert!(parse_hub("http://a/b").unwrap_err().contains("unexpected path"));
    }
}
