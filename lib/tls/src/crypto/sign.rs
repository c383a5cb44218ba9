//! The server's own key, and what it signs.

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
pub(super) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = match &key {
            PrivateKeyDer::Sec1(der) => p256::SecretKey::from_sec1_der(der.secret_sec1_der()).ok().map(ecdsa),
            PrivateKeyDer::Pkcs1(der) => {
                rsa::PrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).ok().map(rsa_pss)
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                p256::SecretKey::from_pkcs8_der(der).ok().map(ecdsa).or_else(|| {
                    rsa::PrivateKey::from_pkcs8_der(der)
                        .ok()
                        .map(rsa_pss)
                        .or_else(|| ed25519_dalek::SigningKey::from_pkcs8_der(der).ok().map(ed25519))
                })
            }
            _ => None,
        };
        let unknown =
            || Error::General("it is of none of the kinds P-256, RSA and Ed25519, or broken".into());
        key.flatten().map(|key| Arc::new(key) as _).ok_or_else(unknown)
    }
}

/// A key of one of the kinds.
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

/// Each signature is blinded with fresh randomness, so that its time says nothing of the key.
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
