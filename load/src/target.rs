//! Where requests go.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;

/// A host, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether by TLS.
    pub tls: bool,
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Origin {
    /// The address, where it is one.
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

/// A URL with its part of the requests, as the command line has it: `http://swarm/ping` or `3:http://swarm/ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The URL as it was given.
    pub url: String,
    /// Its part by the sum of all parts.
    pub weight: u32,
    /// Its host.
    pub origin: Origin,
    /// Host and port as the URL has them.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// The greatest weight: the order of turns is a list.
const HEAVIEST: u32 = 1000;

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (weight, url) = match text.split_once(':') {
            Some((weight, url)) if !weight.is_empty() && weight.bytes().all(|byte| byte.is_ascii_digit()) => {
                let weight = weight.parse().ok().filter(|weight| (1..=HEAVIEST).contains(weight));
                (weight.ok_or_else(|| format!("a weight of 1 to {HEAVIEST} is expected before {url}"))?, url)
            }
            _ => (1, text),
        };
        if !["http://", "https://"].iter().any(|scheme| begins(url, scheme)) {
            return Err("it does not begin with http:// or https://".to_owned());
        }
        let uri: Uri =
            url.parse().map_err(|error| format!("{error}; a URL such as http://swarm/ping is expected"))?;
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err(
                "a user's name in it is not sent; give --header 'authorization: …' instead".to_owned()
            );
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port != 0);
                port.ok_or("its port is none from 1 to 65535")?
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

fn begins(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
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
    fn what_is_no_url_is_refused_with_its_fault() {
        for (bad, fault) in [
            ("swarm/ping", "it does not begin with http:// or https://"),
            ("/ping", "it does not begin with http:// or https://"),
            ("ftp://swarm/", "it does not begin with http:// or https://"),
            ("http:///ping", "invalid"),
            ("http://sw arm/", "invalid uri character"),
            ("http://swarm:0/", "its port is none"),
            ("http://swarm:99999/", "its port is none"),
            ("http://me@swarm/", "a user's name in it is not sent"),
            ("0:http://swarm/", "a weight of 1 to 1000"),
            ("", "it does not begin with http:// or https://"),
        ] {
            let error = bad.parse::<Target>().unwrap_err();
            assert!(error.starts_with(fault), "{bad:?}: {error}");
        }
    }

    #[test]
    fn an_origin_is_written_with_its_port() {
        let origin = |url: &str| url.parse::<Target>().unwrap().origin.to_string();
        assert_eq!(
            (origin("http://a"), origin("https://[::1]")),
            ("a:80".to_owned(), "[::1]:443".to_owned())
        );
    }
}
