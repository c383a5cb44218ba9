//! Where an engine is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use client::url::{Scheme, Url};

/// Where an engine's API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A host and a port, without TLS.
    Tcp(Url),
}

impl Default for Address {
    fn default() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", path)) => Err(format!("path {path:?}: an absolute path is expected")),
            Some(("tcp", _)) => text.trim_end_matches('/').parse().map(Self::Tcp),
            // A proxy's address is also written so.
            Some(("http", _)) => {
                let url: Url = text.parse()?;
                match url.path.as_str() {
                    "/" => Ok(Self::Tcp(Url { scheme: Scheme::Tcp, ..url })),
                    path => Err(format!("path {path:?}: none is expected")),
                }
            }
            Some((scheme, _)) => Err(format!("scheme {scheme:?}: unix or tcp is expected")),
            None => {
                Err("the scheme is missing, as in unix:///var/run/docker.sock or tcp://HOST:PORT".to_owned())
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_would_be_read() {
        for text in ["unix:///run/docker.sock", "tcp://proxy:2375", "tcp://[::1]:2375"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("http://proxy:2375/".parse::<Address>().unwrap().to_string(), "tcp://proxy:2375");
    }

    #[test]
    fn a_faulty_address_names_the_fault() {
        for (text, fault) in [
            ("/run/docker.sock", "the scheme is missing"),
            ("unix://run/docker.sock", "an absolute path"),
            ("ssh://host", "scheme \"ssh\""),
            ("npipe:////./pipe/docker", "scheme \"npipe\""),
            ("tcp://proxy", "missing port"),
            ("http://proxy:1/docker", "path \"/docker\""),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
