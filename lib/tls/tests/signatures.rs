//! Signatures of every supported algorithm, exchanged with OpenSSL.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustls::SignatureScheme;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, SignatureVerificationAlgorithm};
use tempfile::TempDir;

const MESSAGE: &[u8] = b"message";

/// A key and what `openssl pkeyutl` needs to sign with it.
struct Key {
    directory: TempDir,
    public: Vec<u8>,
}

impl Key {
    /// Generates a key; `public_len` is the length of the public key without its header.
    fn generate(options: &[&str], public_len: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name).to_str().unwrap().to_owned();
        let (key, public) = (path("key.pem"), path("public.der"));
        openssl(&[&["genpkey", "-out", &key], options].concat());
        openssl(&["pkey", "-in", &key, "-outform", "DER", "-out", &path("key.der")]);
        openssl(&["pkey", "-in", &key, "-pubout", "-outform", "DER", "-out", &public]);
        fs::write(path("message"), MESSAGE).unwrap();
        let public = fs::read(public).unwrap();
        let public = public[public.len() - public_len..].to_vec();
        Self { directory, public }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Signs with OpenSSL.
    fn openssl_sign(&self, options: &[&str]) -> Vec<u8> {
        let [key, message, signature] = ["key.pem", "message", "signature"].map(|name| self.path(name));
        let base = ["pkeyutl", "-sign", "-inkey", &key, "-rawin", "-in", &message, "-out", &signature];
        openssl(&[&base, options].concat());
        fs::read(signature).unwrap()
    }

    /// Signs with the provider.
    fn sign(&self, scheme: SignatureScheme) -> Vec<u8> {
        let der = PrivatePkcs8KeyDer::from(pkcs8(&self.path("key.pem"), self.directory.path()));
        let key = tls::provider().key_provider.load_private_key(PrivateKeyDer::from(der)).unwrap();
        key.choose_scheme(&[scheme]).unwrap().sign(MESSAGE).unwrap()
    }
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn pkcs8(key: &str, directory: &Path) -> Vec<u8> {
    let path = directory.join("key.p8");
    let path = path.to_str().unwrap();
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER", "-out", path]);
    fs::read(path).unwrap()
}

/// The algorithms of a TLS scheme.
fn algorithms(scheme: SignatureScheme) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    let mapping = tls::provider().signature_verification_algorithms.mapping;
    mapping.iter().find(|(known, _)| *known == scheme).expect("supported scheme").1
}

/// Checks that the signature is valid, and that it is not after any change.
fn assert_only_valid(key: &Key, scheme: SignatureScheme, signature: &[u8]) {
    let algorithm = algorithms(scheme)[0];
    let verify = |message: &[u8], signature: &[u8]| {
        algorithm.verify_signature(&key.public, message, signature).is_ok()
    };
    assert!(verify(MESSAGE, signature), "{scheme:?}");
    assert!(!verify(b"massage", signature), "{scheme:?}: other message");
    assert!(!verify(MESSAGE, &signature[..signature.len() - 1]), "{scheme:?}: short signature");
    assert!(!verify(MESSAGE, &[]), "{scheme:?}: empty signature");
    for index in [0, 8, signature.len() / 2, signature.len() - 1] {
        let mut changed = signature.to_vec();
        changed[index] ^= 1;
        assert!(!verify(MESSAGE, &changed), "{scheme:?}: byte {index}");
    }
    for public in [&key.public[1..], &[]] {
        assert!(algorithm.verify_signature(public, MESSAGE, signature).is_err(), "{scheme:?}: malformed key");
    }
}

const RSA_LEN: usize = 270;

fn rsa(bits: &str, public_len: usize) -> Key {
    Key::generate(&["-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")], public_len)
}

#[test]
fn ecdsa_signatures_are_valid_in_both_directions() {
    let key = Key::generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], 65);
    let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    assert_only_valid(&key, scheme, &key.sign(scheme));
    assert_only_valid(&key, scheme, &key.openssl_sign(&["-digest", "sha256"]));
}

#[test]
fn ed25519_signatures_are_valid_in_both_directions() {
    let key = Key::generate(&["-algorithm", "ED25519"], 32);
    assert_only_valid(&key, SignatureScheme::ED25519, &key.sign(SignatureScheme::ED25519));
    assert_only_valid(&key, SignatureScheme::ED25519, &key.openssl_sign(&[]));
}

#[test]
fn rsa_signatures_are_valid_in_both_directions() {
    let key = rsa("2048", RSA_LEN);
    assert_only_valid(&key, SignatureScheme::RSA_PSS_SHA256, &key.sign(SignatureScheme::RSA_PSS_SHA256));
    for (digest, pss, pkcs1) in [
        ("sha256", SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256),
        ("sha384", SignatureScheme::RSA_PSS_SHA384, SignatureScheme::RSA_PKCS1_SHA384),
        ("sha512", SignatureScheme::RSA_PSS_SHA512, SignatureScheme::RSA_PKCS1_SHA512),
    ] {
        let salt = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"];
        assert_only_valid(&key, pss, &key.openssl_sign(&[&["-digest", digest], &salt[..]].concat()));
        assert_only_valid(&key, pkcs1, &key.openssl_sign(&["-digest", digest]));
    }
}

#[test]
fn small_rsa_keys_are_rejected() {
    let key = rsa("1024", 140);
    let signature = key.openssl_sign(&["-digest", "sha256"]);
    let algorithm = algorithms(SignatureScheme::RSA_PKCS1_SHA256)[0];
    assert!(algorithm.verify_signature(&key.public, MESSAGE, &signature).is_err());
}

#[cfg(feature = "p384")]
#[test]
fn p384_signatures_of_openssl_are_valid() {
    let key = Key::generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], 97);
    let scheme = SignatureScheme::ECDSA_NISTP384_SHA384;
    assert_only_valid(&key, scheme, &key.openssl_sign(&["-digest", "sha384"]));
}
