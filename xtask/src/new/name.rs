//! What a service may be called.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

/// The longest label that DNS takes, in bytes: a service's name is a host's name on its network.
const LONGEST: usize = 63;

/// Not for packages: cargo refuses them, as what is generated could not name its own crate.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield";

/// Crates that come with Rust, and directories in which cargo puts something else than programs.
const CARGOS_OWN: &str = "alloc build core deps examples incremental proc-macro std test";

/// A name that a package, a program, an image, a host and a router can all have. Whether something has it already is
/// [`super::taken`]'s to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// What the names of the service's environment variables begin with.
    pub(crate) fn variable(&self) -> String {
        self.0.replace('-', "_").to_uppercase()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(!text.is_empty(), "a service needs a name: the one given is empty");
        if let Some(letter) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            bail!("a service is called by a-z, 0-9 and hyphens: {text:?} has {letter:?}");
        }
        ensure!(text.starts_with(|c: char| c.is_ascii_lowercase()), "{text:?} does not begin with a letter");
        ensure!(!text.ends_with('-'), "{text:?} ends with a hyphen, which no host's name may");
        ensure!(
            text.len() <= LONGEST,
            "{text:?} has {} characters: a host's name has at most {LONGEST}",
            text.len()
        );
        ensure!(!has(KEYWORDS, text), "{text:?} is a keyword of Rust");
        ensure!(!has(CARGOS_OWN, text), "{text:?} is a name that Rust or cargo has for something of its own");
        Ok(Self(text.to_owned()))
    }
}

fn has(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_everywhere() {
        for name in ["weather", "w", "weather-2", "my--weather", &"w".repeat(63)] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
        assert_eq!("my-weather-2".parse::<Name>().unwrap().variable(), "MY_WEATHER_2");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        for (name, reason) in [
            ("", "is empty"),
            ("Weather", "has 'W'"),
            ("my_weather", "has '_'"),
            ("../weather", "has '.'"),
            ("wetter€", "has '€'"),
            ("2weather", "begin with a letter"),
            ("-weather", "begin with a letter"),
            ("weather-", "ends with a hyphen"),
            (&"w".repeat(64), "has 64 characters"),
            ("async", "keyword"),
            ("gen", "keyword"),
            ("std", "of its own"),
            ("core", "of its own"),
            ("test", "of its own"),
            ("proc-macro", "of its own"),
        ] {
            let error = name.parse::<Name>().unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }
}
