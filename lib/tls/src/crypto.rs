//! The cryptography that rustls is given, of pure Rust: its usual providers build C and assembly, for which each target
//! would need another compiler.
//!
//! What is there is what TLS 1.3 demands and what clients of today speak: AES-128-GCM and ChaCha20-Poly1305 with SHA-256,
//! X25519 and P-256, and certificates with keys of P-256, RSA and Ed25519; with feature `p384` peers' keys may be of P-384
//! too. The algorithms are those of `RustCrypto` and dalek; here is only what hands them to rustls.

use std::sync::Arc;

use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom};
use rustls::{CipherSuite, CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite};

mod aead;
mod exchange;
mod hash;
mod sign;
mod verify;

/// All of it.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![AES_128_GCM, CHACHA20_POLY1305],
        kx_groups: vec![&exchange::X25519, &exchange::P256],
        signature_verification_algorithms: verify::ALGORITHMS,
        secure_random: &Random,
        key_provider: &sign::Keys,
    })
}

const AES_128_GCM: SupportedCipherSuite = SupportedCipherSuite::Tls13(&Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        hash_provider: &hash::Sha256,
        // As rustls recommends for AES-GCM.
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

/// The system's.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        getrandom::fill(bytes).map_err(|_| GetRandomFailed)
    }
}
