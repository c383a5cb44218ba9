//! TLS 1.3 in pure Rust for rustls: [`provider`], settings of a [`client`] and a [`server`], and PEM [`files`]. With the
//! feature `tls12`, TLS 1.2 for clients.
//!
//! The providers that come with rustls build C and assembly, which needs a C compiler for each target. The algorithms
//! here are those of `RustCrypto` and dalek; this crate adapts them to rustls.
//!
//! | | [`provider`] | [`small_provider`] |
//! |---|---|---|
//! | cipher suites | AES-128-GCM and ChaCha20-Poly1305, both with SHA-256 | AES-128-GCM |
//! | key exchange | X25519, P-256 | P-256 |
//! | own keys | P-256, RSA, Ed25519 | P-256 |
//! | peers' signatures | P-256, RSA, Ed25519; P-384 with the feature `p384` | P-256 with SHA-256 |

use std::sync::Arc;

use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom};
use rustls::{CipherSuite, CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite};

mod aead;
pub mod client;
pub mod files;
mod hash;
mod key_exchange;
pub mod server;
mod sign;
#[cfg(feature = "tls12")]
mod tls12;
mod verify;

/// Returns the cryptography for rustls' clients and servers.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![AES_128_GCM, CHACHA20_POLY1305],
        kx_groups: vec![&key_exchange::X25519, &key_exchange::P256],
        signature_verification_algorithms: verify::ALGORITHMS,
        secure_random: &SystemRandom,
        key_provider: &sign::Keys,
    })
}

/// Returns cryptography for the hub and its clients. It takes about 200 kB less than [`provider`], and the sidecar is in each image.
pub fn small_provider() -> Arc<CryptoProvider> {
    Arc::new(small(&sign::P256Keys))
}

fn small(key_provider: &'static dyn KeyProvider) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![AES_128_GCM],
        kx_groups: vec![&key_exchange::P256],
        signature_verification_algorithms: verify::SMALL,
        secure_random: &SystemRandom,
        key_provider,
    }
}

/// Returns the cryptography for clients that also speak TLS 1.2.
#[cfg(feature = "tls12")]
pub fn provider_with_tls12() -> Arc<CryptoProvider> {
    let mut provider = Arc::unwrap_or_clone(provider());
    provider.cipher_suites.extend(tls12::SUITES);
    Arc::new(provider)
}

const AES_128_GCM: SupportedCipherSuite = SupportedCipherSuite::Tls13(&Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        hash_provider: &hash::Sha256,
        // The limit that rustls recommends for AES-GCM.
        confidentiality_limit: 1 << 24,
    },
    hkdf_provider: &HkdfUsingHmac(&hash::HmacSha256),
    aead_alg: &aead::AES_128_GCM,
    quic: None,
});

const CHACHA20_POLY1305: SupportedCipherSuite = SupportedCipherSuite::Tls13(&Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        hash_provider: &hash::Sha256,
        confidentiality_limit: u64::MAX,
    },
    hkdf_provider: &HkdfUsingHmac(&hash::HmacSha256),
    aead_alg: &aead::CHACHA20_POLY1305,
    quic: None,
});

/// The operating system's random number generator.
#[derive(Debug)]
struct SystemRandom;

impl SecureRandom for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        getrandom::fill(bytes).map_err(|_| GetRandomFailed)
    }
}

/// Decodes hexadecimal digits with white space between them.
#[cfg(test)]
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}
