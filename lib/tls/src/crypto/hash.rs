//! SHA-256, and HMAC with it.

use hmac::{KeyInit, Mac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac, Key, Tag};
use sha2::Digest;

const LENGTH: usize = 32;

pub(super) struct Sha256;

struct Running(sha2::Sha256);

impl Hash for Sha256 {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Running(sha2::Sha256::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&sha2::Sha256::digest(data))
    }

    fn output_len(&self) -> usize {
        LENGTH
    }

    fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }
}

impl Context for Running {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

pub(super) struct HmacSha256;

struct Keyed(hmac::Hmac<sha2::Sha256>);

impl Hmac for HmacSha256 {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(Keyed(keyed(key)))
    }

    fn hash_output_len(&self) -> usize {
        LENGTH
    }
}

/// HMAC takes keys of any length: a longer one than a block is hashed first.
fn keyed(key: &[u8]) -> hmac::Hmac<sha2::Sha256> {
    hmac::Hmac::new_from_slice(key)
        .unwrap_or_else(|_| hmac::Hmac::new(&hmac::digest::Key::<hmac::Hmac<sha2::Sha256>>::default()))
}

impl Key for Keyed {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut running = self.0.clone();
        running.update(first);
        for part in middle {
            running.update(part);
        }
        running.update(last);
        Tag::new(&running.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        LENGTH
    }
}
