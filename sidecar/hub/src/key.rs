//! Secrets that derive from a key, such as the hub's master token. Pure.

use cli::constant_time_eq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Key of the hub. Hubs with the same master token have the same key. `Debug` does not print it.
#[derive(Clone)]
pub(crate) struct Key {
    current: Hmac<Sha256>,
    /// Key that is still accepted, while the master token is replaced.
    previous: Option<Hmac<Sha256>>,
}

impl Key {
    /// Creates the key of a master token, which is empty with `--insecure`.
    pub(crate) fn new(master: &[u8]) -> Self {
        Self { current: hmac(master), previous: None }
    }

    /// Accepts what derives from another master token, too.
    #[must_use]
    pub(crate) fn with_previous(self, master: Option<&[u8]>) -> Self {
        Self { previous: master.map(hmac), ..self }
    }

    /// Returns HMAC-SHA-256(master, `swarmlings/1/ROLE/NAME`) in hexadecimal.
    pub(crate) fn derive(&self, role: &str, name: &str) -> String {
        derive(&self.current, role, name)
    }

    /// Returns [`Key::derive`] for each master token that is accepted, the current one first.
    pub(crate) fn derive_all(&self, role: &str, name: &str) -> impl Iterator<Item = String> {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .map(move |key| derive(key, role, name))
    }

    /// Compares `text` with [`Key::derive_all`] in constant time.
    pub(crate) fn verify(&self, role: &str, name: &str, text: &str) -> bool {
        let equals = |expected: String| constant_time_eq(expected.as_bytes(), text.as_bytes());
        self.derive_all(role, name).fold(false, |any, expected| any | equals(expected))
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn derive(key: &Hmac<Sha256>, role: &str, name: &str) -> String {
    let mac = key.clone().chain_update(format!("swarmlings/1/{role}/{name}")).finalize();
    let digits = mac.into_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

impl Default for Key {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_depends_on_master_token_role_and_name() {
        let key = Key::new(b"secret");
        let secret = key.derive("ticket", "ping/1");
        // From: printf swarmlings/1/ticket/ping/1 | openssl dgst -sha256 -hmac secret
        assert_eq!(secret, "53ee5a9d53edb0aebcd0cc37e495f30cbcb6961b17fedb153384889a60e5a292");
        assert!(key.verify("ticket", "ping/1", &secret));
        assert!(!key.verify("ticket", "ping/2", &secret));
        assert!(!key.verify("service", "ping/1", &secret));
        assert!(!key.verify("ticket", "ping/1", &secret[1..]));
        assert!(!key.verify("ticket", "ping/1", ""));
        assert!(!Key::default().verify("ticket", "ping/1", &secret));
    }

    #[test]
    fn previous_key_is_accepted_but_not_used() {
        let [old, new] = [&b"old"[..], b"new"].map(Key::new);
        let both = Key::new(b"new").with_previous(Some(b"old"));
        assert_eq!(both.derive("ticket", "ping"), new.derive("ticket", "ping"));
        for key in [&old, &new] {
            assert!(both.verify("ticket", "ping", &key.derive("ticket", "ping")));
        }
        assert!(!new.verify("ticket", "ping", &old.derive("ticket", "ping")));
    }
}
