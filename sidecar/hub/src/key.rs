//! Secrets that derive from a key, such as the hub's master token. Pure.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Key of the hub. Hubs with the same master token have the same key. `Debug` does not print it.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    /// Creates the key of a master token, which is empty with `--insecure`.
    pub(crate) fn new(master: &[u8]) -> Self {
        Self(Hmac::new_from_slice(master).expect("HMAC takes keys of any length"))
    }

    /// Returns HMAC-SHA-256(master, `swarmlings/1/ROLE/NAME`) in hexadecimal.
    pub(crate) fn derive(&self, role: &str, name: &str) -> String {
        let mac = self.0.clone().chain_update(format!("swarmlings/1/{role}/{name}")).finalize();
        let digits = mac.into_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }

    /// Compares `text` with [`Key::derive`] in constant time.
    pub(crate) fn verify(&self, role: &str, name: &str, text: &str) -> bool {
        let expected = self.derive(role, name);
        let differences = expected.bytes().zip(text.bytes()).map(|(a, b)| a ^ b);
        expected.len() == text.len() && differences.fold(0, |all, difference| all | difference) == 0
    }
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
}
