//! Verification of signatures in handshakes and certificates.

use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::signature::Verifier as _;
use rsa::signature::hazmat::PrehashVerifier;
use rsa::traits::PublicKeyParts;
use rsa::{PublicKey, pkcs1v15, pss};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::digest::FixedOutputReset;
use sha2::digest::const_oid::AssociatedOid;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Minimum size of RSA keys; smaller ones can be broken.
const MIN_RSA_BITS: u32 = 2048;

/// Supported algorithms, and their names in TLS.
pub(crate) const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        ECDSA_SHA256,
        ECDSA_SHA384,
        #[cfg(feature = "p384")]
        P384_SHA256,
        #[cfg(feature = "p384")]
        P384_SHA384,
        ED25519,
        PSS_SHA256,
        PSS_SHA384,
        PSS_SHA512,
        PKCS1_SHA256,
        PKCS1_SHA384,
        PKCS1_SHA512,
    ],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[ECDSA_SHA256]),
        #[cfg(feature = "p384")]
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[P384_SHA384]),
        (SignatureScheme::ED25519, &[ED25519]),
        (SignatureScheme::RSA_PSS_SHA256, &[PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[PKCS1_SHA512]),
    ],
};

/// Those of [`small_provider`](crate::small_provider).
pub(crate) const SMALL: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[ECDSA_SHA256],
    mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[ECDSA_SHA256])],
};

const ECDSA_SHA256: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::ECDSA_P256, alg_id::ECDSA_SHA256, ecdsa::<Sha256>);
const ECDSA_SHA384: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::ECDSA_P256, alg_id::ECDSA_SHA384, ecdsa::<Sha384>);
#[cfg(feature = "p384")]
const P384_SHA256: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::ECDSA_P384, alg_id::ECDSA_SHA256, p384::<Sha256>);
#[cfg(feature = "p384")]
const P384_SHA384: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::ECDSA_P384, alg_id::ECDSA_SHA384, p384::<Sha384>);
const ED25519: &dyn SignatureVerificationAlgorithm = &Algorithm(alg_id::ED25519, alg_id::ED25519, ed25519);
const PSS_SHA256: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256, rsa_pss::<Sha256>);
const PSS_SHA384: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384, rsa_pss::<Sha384>);
const PSS_SHA512: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512, rsa_pss::<Sha512>);
const PKCS1_SHA256: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256, rsa_pkcs1::<Sha256>);
const PKCS1_SHA384: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384, rsa_pkcs1::<Sha384>);
const PKCS1_SHA512: &dyn SignatureVerificationAlgorithm =
    &Algorithm(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512, rsa_pkcs1::<Sha512>);

/// A key algorithm, a signature algorithm, and the function that verifies.
#[derive(Debug)]
struct Algorithm(AlgorithmIdentifier, AlgorithmIdentifier, Verify);

/// Returns `Some` if the signature is valid.
type Verify = fn(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()>;

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        (self.2)(key, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.1
    }
}

fn ecdsa<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p256::ecdsa::DerSignature::try_from(signature).ok()?;
    key.verify_prehash(&D::digest(message), &signature).ok()
}

#[cfg(feature = "p384")]
fn p384<D: Digest>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p384::ecdsa::DerSignature::try_from(signature).ok()?;
    key.verify_prehash(&D::digest(message), &signature).ok()
}

fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    key.verify(message, &ed25519_dalek::Signature::from_slice(signature).ok()?).ok()
}

fn rsa_pss<D: Digest + FixedOutputReset>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = pss::VerifyingKey::<D>::new(rsa_key(key)?);
    key.verify_prehash(&D::digest(message), &pss::Signature::try_from(signature).ok()?).ok()
}

fn rsa_pkcs1<D: Digest + AssociatedOid>(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = pkcs1v15::VerifyingKey::<D>::new(rsa_key(key)?);
    key.verify_prehash(&D::digest(message), &pkcs1v15::Signature::try_from(signature).ok()?).ok()
}

fn rsa_key(der: &[u8]) -> Option<PublicKey> {
    PublicKey::from_pkcs1_der(der).ok().filter(|key| key.n().bit_width() >= MIN_RSA_BITS)
}
