//! Private keys and their signatures.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePublicKey};
use p256::ecdsa::DerSignature;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::signature::{SignatureEncoding, Signer as _};
use rustls::crypto::KeyProvider;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

#[derive(Debug)]
pub(crate) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let other = || match &key {
            PrivateKeyDer::Pkcs1(der) => {
                rsa::PrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).ok().and_then(rsa_pss)
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let ed25519 = || ed25519_dalek::SigningKey::from_pkcs8_der(der).ok().and_then(ed25519);
                rsa::PrivateKey::from_pkcs8_der(der).ok().and_then(rsa_pss).or_else(ed25519)
            }
            _ => None,
        };
        loaded(p256(&key).or_else(other), "P-256, RSA or Ed25519")
    }
}

/// Loads keys on the curve P-256 only.
#[derive(Debug)]
pub(crate) struct P256Keys;

impl KeyProvider for P256Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        loaded(p256(&key), "P-256")
    }
}

fn loaded(key: Option<Key>, supported: &str) -> Result<Arc<dyn SigningKey>, Error> {
    let error = || Error::General(format!("malformed or unsupported key; use {supported}"));
    key.map(|key| Arc::new(key) as _).ok_or_else(error)
}

fn p256(key: &PrivateKeyDer<'_>) -> Option<Key> {
    let secret = match key {
        PrivateKeyDer::Sec1(der) => p256::SecretKey::from_sec1_der(der.secret_sec1_der()).ok(),
        PrivateKeyDer::Pkcs8(der) => p256::SecretKey::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
        _ => None,
    };
    secret.and_then(ecdsa)
}

/// A private key of any supported algorithm.
#[derive(Clone)]
struct Key {
    sign: Arc<Sign>,
    scheme: SignatureScheme,
    algorithm: SignatureAlgorithm,
    public: Arc<[u8]>,
}

type Sign = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

fn ecdsa(secret: p256::SecretKey) -> Option<Key> {
    let public = secret.public_key().to_public_key_der().ok()?.into_vec().into();
    let key = p256::ecdsa::SigningKey::from(secret);
    let sign = move |message: &[u8]| {
        Some(rsa::signature::Signer::<DerSignature>::try_sign(&key, message).ok()?.to_vec())
    };
    let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    Some(Key { sign: Arc::new(sign), scheme, algorithm: SignatureAlgorithm::ECDSA, public })
}

/// The key blinds each signature with fresh randomness, so that timing reveals nothing about it.
fn rsa_pss(secret: rsa::PrivateKey) -> Option<Key> {
    let public = secret.to_public_key().to_public_key_der().ok()?.into_vec().into();
    let key = rsa::pss::SigningKey::<sha2::Sha256>::new(secret);
    let sign = move |message: &[u8]| Some(key.try_sign(message).ok()?.to_vec());
    let scheme = SignatureScheme::RSA_PSS_SHA256;
    Some(Key { sign: Arc::new(sign), scheme, algorithm: SignatureAlgorithm::RSA, public })
}

fn ed25519(key: ed25519_dalek::SigningKey) -> Option<Key> {
    let public = key.verifying_key().to_public_key_der().ok()?.into_vec().into();
    let sign = move |message: &[u8]| Some(key.try_sign(message).ok()?.to_bytes().to_vec());
    let scheme = SignatureScheme::ED25519;
    Some(Key { sign: Arc::new(sign), scheme, algorithm: SignatureAlgorithm::ED25519, public })
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme).then(|| Box::new(self.clone()) as _)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(&*self.public))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        (self.sign)(message).ok_or_else(|| Error::General("signing failed".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    use rustls::pki_types::PrivatePkcs8KeyDer;

    use super::*;
    use crate::hex;

    fn sign(pkcs8: &[u8], scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
        let key = Keys.load_private_key(PrivatePkcs8KeyDer::from(pkcs8.to_vec()).into()).unwrap();
        assert!(key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA1]).is_none());
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA1, scheme]).unwrap();
        assert_eq!(signer.scheme(), scheme);
        signer.sign(message).unwrap()
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn ed25519_matches_rfc_8032() {
        let secret = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = ed25519_dalek::SigningKey::from_bytes(&secret.try_into().unwrap());
        let signature = sign(key.to_pkcs8_der().unwrap().as_bytes(), SignatureScheme::ED25519, &[0x72]);
        let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(signature, hex(expected));
    }

    /// RFC 6979, section A.2.5, SHA-256 of "sample".
    #[test]
    fn ecdsa_matches_rfc_6979() {
        let secret = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let key = p256::SecretKey::from_slice(&secret).unwrap().to_pkcs8_der().unwrap();
        let signature = sign(key.as_bytes(), SignatureScheme::ECDSA_NISTP256_SHA256, b"sample");
        let expected = "3046
             022100 efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716
             022100 f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        assert_eq!(signature, hex(expected));
    }

    #[test]
    fn malformed_keys_are_rejected() {
        let error = Keys.load_private_key(PrivatePkcs8KeyDer::from(vec![0x30, 0]).into()).unwrap_err();
        assert!(error.to_string().contains("malformed or unsupported key"), "{error}");
    }
}
