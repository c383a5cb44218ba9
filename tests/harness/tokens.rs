//! The hub's master token, and the tokens of roles that derive from it.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Master token of a hub. It has every role itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Master(String);

impl Master {
    /// Creates a random token.
    pub fn random() -> Result<Self> {
        // Each has 122 random bits.
        let uuid =
            || fs::read_to_string("/proc/sys/kernel/random/uuid").map(|uuid| uuid.trim().replace('-', ""));
        let read = || -> io::Result<_> { Ok(Self(format!("{}{}", uuid()?, uuid()?))) };
        read().context("reading /proc/sys/kernel/random/uuid")
    }

    /// Reads a token file.
    pub fn read(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("reading token file {}", file.display()))?;
        Ok(Self(text.lines().next().unwrap_or_default().trim().to_owned()))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Token of the sidecars of a service; `name` is its full name, such as `demo_ping`.
    pub fn service(&self, name: &str) -> String {
        format!("service.{name}.{}", self.secret("service", name))
    }

    /// Token of another role: router, agent, manager or reader.
    pub fn role(&self, role: &str) -> String {
        format!("{role}.{}", self.secret(role, ""))
    }

    fn secret(&self, role: &str, name: &str) -> String {
        let key = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        let mac: [u8; 32] =
            key.chain_update(format!("swarmlings/1/{role}/{name}")).finalize().into_bytes().into();
        mac.map(|byte| format!("{byte:02x}")).concat()
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master")
    }
}

/// Writes a token to a new file that only its owner can read.
pub fn write_token(path: &Path, token: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(token.as_bytes()));
    written.with_context(|| format!("writing token file {}", path.display()))
}
