//! Weighted URLs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// A host and port, and whether it speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// The IP address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Addresses of a host, in the form of the command line: `HOST:PORT:ADDRESS[,ADDRESS...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl Resolve {
    /// The addresses, if they are those of `origin`.
    pub(crate) fn addresses(&self, origin: &Origin) -> Option<impl Iterator<Item = SocketAddr>> {
        let is_same = self.host.eq_ignore_ascii_case(&origin.host) && self.port == origin.port;
        is_same.then(|| self.addresses.iter().map(|address| SocketAddr::new(*address, self.port)))
    }
}

impl FromStr for Resolve {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let parse = || {
            let mut parts = text.splitn(3, ':');
            let (host, port) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
            let addresses = parts.next()?.split(',');
            let plain = |address: &str| address.trim_start_matches('[').trim_end_matches(']').parse().ok();
            Some(Self { host, port, addresses: addresses.map(plain).collect::<Option<_>>()? })
        };
        parse().ok_or("expected HOST:PORT:ADDRESS, for example swarm:80:10.0.0.7")
    }
}

/// A URL with its weight, in the form of the command line: `http://swarm/ping` or `3:http://swarm/ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The URL as given.
    pub url: String,
    /// Weight of the URL: its share of the requests is this divided by the sum of all weights.
    pub weight: u32,
    /// Host, port and scheme.
    pub origin: Origin,
    /// Host and port as given in the URL.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// Maximum weight, which bounds the length of [`interleave`](crate::pace)d orders.
const MAX_WEIGHT: u32 = 1000;

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (weight, url) = match text.split_once(':') {
            Some((weight, url)) if !weight.is_empty() && weight.bytes().all(|byte| byte.is_ascii_digit()) => {
                let weight = weight.parse().ok().filter(|weight| (1..=MAX_WEIGHT).contains(weight));
                (weight.ok_or_else(|| format!("the weight must be from 1 to {MAX_WEIGHT}"))?, url)
            }
            _ => (1, text),
        };
        let has_scheme =
            |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if !has_scheme("http://") && !has_scheme("https://") {
            return Err("the URL must start with http:// or https://".to_owned());
        }
        let uri: Uri =
            url.parse().map_err(|error| format!("{error}; expected a URL such as http://swarm/ping"))?;
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority().ok_or("the URL has no host")?;
        if authority.as_str().contains('@') {
            return Err("user names in URLs are not supported; use --header 'authorization: ...'".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("the URL has no host".to_owned());
        }
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port != 0);
                port.ok_or("the port must be from 1 to 65535")?
            }
            _ if tls => 443,
            _ => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let authority = authority.as_str().to_owned();
        Ok(Self { url: url.to_owned(), weight, origin: Origin { tls, host, port }, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_its_parts() {
        for (text, weight, tls, host, port, authority, path) in [
            ("http://swarm/ping", 1, false, "swarm", 80, "swarm", "/ping"),
            ("http://swarm", 1, false, "swarm", 80, "swarm", "/"),
            ("http://swarm?a=b#c", 1, false, "swarm", 80, "swarm", "/?a=b"),
            ("3:https://swarm:8443/a?b=c:d", 3, true, "swarm", 8443, "swarm:8443", "/a?b=c:d"),
            ("10:http://[::1]:8080/", 10, false, "::1", 8080, "[::1]:8080", "/"),
            ("https://[::1]/", 1, true, "::1", 443, "[::1]", "/"),
        ] {
            let target: Target = text.parse().unwrap();
            let origin = Origin { tls, host: host.to_owned(), port };
            assert_eq!((target.weight, &target.origin), (weight, &origin), "{text}");
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path), "{text}");
        }
    }

    #[test]
    fn invalid_url_is_rejected_with_the_reason() {
        for (invalid, reason) in [
            ("swarm/ping", "the URL must start with http:// or https://"),
            ("/ping", "the URL must start with http:// or https://"),
            ("ftp://swarm/", "the URL must start with http:// or https://"),
            ("http:///ping", "invalid"),
            ("http://sw arm/", "invalid uri character"),
            ("http://swarm:0/", "the port must be from 1 to 65535"),
            ("http://swarm:99999/", "the port must be from 1 to 65535"),
            ("http://me@swarm/", "user names in URLs are not supported"),
            ("0:http://swarm/", "the weight must be from 1 to 1000"),
            ("", "the URL must start with http:// or https://"),
        ] {
            let error = invalid.parse::<Target>().unwrap_err();
            assert!(error.starts_with(reason), "{invalid:?}: {error}");
        }
    }

    #[test]
    fn addresses_are_those_of_the_host_and_port() {
        let resolve: Resolve = "Swarm:8080:10.0.0.7,[::1],::2".parse().unwrap();
        let addresses = |url: &str| {
            let origin = url.parse::<Target>().unwrap().origin;
            resolve.addresses(&origin).map(|found| found.map(|one| one.to_string()).collect::<Vec<_>>())
        };
        let all = ["10.0.0.7:8080", "[::1]:8080", "[::2]:8080"].map(str::to_owned);
        assert_eq!(addresses("http://swarm:8080/"), Some(all.to_vec()));
        assert_eq!((addresses("http://swarm/"), addresses("http://other:8080/")), (None, None));
        for invalid in ["", "swarm", "swarm:80", "swarm:80:", "swarm:80:leader", "swarm:x:::1"] {
            assert!(invalid.parse::<Resolve>().is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn origin_is_displayed_with_its_port() {
        let origin = |url: &str| url.parse::<Target>().unwrap().origin.to_string();
        assert_eq!(
            (origin("http://a"), origin("https://[::1]")),
            ("a:80".to_owned(), "[::1]:443".to_owned())
        );
    }
}
