//! URLs of hubs and probes: `http://HOST[:PORT][/PATH]`, `https://HOST[:PORT]` and `tcp://HOST:PORT`.

use std::fmt;
use std::net::Ipv6Addr;
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
    /// Path and query; `/` by default.
    pub path: String,
}

/// Protocol of a [`Url`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP/1.1 without TLS.
    Http,
    /// HTTP/1.1 over TLS, for hubs only.
    Https,
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
        if text.contains('#') || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("expected printable ASCII without spaces and '#'".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or("missing scheme; expected http://HOST:PORT")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "tcp" => Scheme::Tcp,
            other => return Err(format!("unknown scheme {other:?}; expected http, https or tcp")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("user names are not supported".to_owned());
        }
        if authority.starts_with('[') && !authority.contains(']') {
            return Err("missing ']'".to_owned());
        }
        // The colons of an IPv6 address are in brackets.
        let end = authority.find(']').unwrap_or(0);
        let (host, port) = match authority[end..].find(':') {
            Some(colon) => (&authority[..end + colon], Some(&authority[end + colon + 1..])),
            None => (authority, None),
        };
        let port = match port.map(str::parse) {
            Some(Ok(port)) if port != 0 => port,
            Some(_) => {
                return Err(format!("invalid port {:?}; expected 1 to 65535", port.unwrap_or_default()));
            }
            None => match scheme {
                Scheme::Http => 80,
                Scheme::Https => 443,
                Scheme::Tcp => return Err("missing port; expected tcp://HOST:PORT".to_owned()),
            },
        };
        if scheme == Scheme::Tcp && !path.is_empty() {
            return Err(format!("unexpected path {path:?} in a tcp URL"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, host: parse_host(host)?, port, path })
    }
}

fn parse_host(host: &str) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let parsed = address.parse::<Ipv6Addr>();
        return parsed.map(|_| address.to_owned()).map_err(|_| format!("invalid IPv6 address {address:?}"));
    }
    match host {
        "" => Err("missing host".to_owned()),
        _ if host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) => Ok(host.to_owned()),
        _ => Err(format!("invalid host {host:?}; expected a name or an IP address")),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Tcp => "tcp",
        };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

/// Parses the URL of a hub, which has no path.
pub fn parse_hub(text: &str) -> Result<Url, String> {
    let url: Url = text.parse()?;
    if url.scheme != Scheme::Tcp && url.path == "/" {
        Ok(url)
    } else {
        Err("expected http://HOST:PORT or https://HOST:PORT without a path".to_owned())
    }
}

/// Parses the URL of a probe.
pub fn parse_probe(text: &str) -> Result<Url, String> {
    let url: Url = text.parse()?;
    if url.scheme == Scheme::Https {
        return Err("probes do not support https; expected http or tcp".to_owned());
    }
    Ok(url)
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
        let url = parse_hub("https://hub").unwrap();
        assert_eq!((url.scheme, url.authority().as_str()), (Scheme::Https, "hub:443"));
    }

    #[test]
    fn displayed_url_parses_to_the_same_url() {
        for text in [
            "http://hub:80",
            "http://a:1/b/",
            "http://a:1/?b",
            "http://[::1]:80/b",
            "https://hub:8080",
            "tcp://[::1]:5432",
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn error_names_the_invalid_part() {
        for (text, expected) in [
            ("127.0.0.1:9090", "missing scheme"),
            ("ftp://a", "scheme \"ftp\""),
            ("http://", "missing host"),
            ("http://:80", "missing host"),
            ("http://a:b", "port \"b\""),
            ("http://a:0", "port \"0\""),
            ("http://a:", "port \"\""),
            ("http://a:70000", "port \"70000\""),
            ("http://me@a", "user name"),
            ("http://[::1", "missing ']'"),
            ("http://[::1]80", "invalid host"),
            ("http://[nope]", "invalid IPv6 address"),
            ("http://a b/", "printable ASCII"),
            ("http://a/b c", "printable ASCII"),
            ("http://a/b\r\nc", "printable ASCII"),
            ("http://a/#b", "without spaces and '#'"),
            ("tcp://a", "missing port"),
            ("tcp://a:1/x", "path \"/x\""),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        for text in ["tcp://a:1", "http://a/b", "https://a/b"] {
            let error = parse_hub(text).unwrap_err();
            assert_eq!(error, "expected http://HOST:PORT or https://HOST:PORT without a path");
        }
        assert!(parse_probe("https://a").unwrap_err().contains("do not support https"));
    }
}
