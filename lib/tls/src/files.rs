//! What is in files of certificates and keys, and what is wrong with it. `what` names the file's purpose in errors.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use cli::{Failure, reason};
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a file, of which there is one at least.
pub fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = read(what, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| broken(what, path, &error))?;
    if certificates.is_empty() {
        return Err(failed(what, path, lack(&pem, "certificate")));
    }
    Ok(certificates)
}

/// The one private key in a file.
pub fn key(what: &str, path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let pem = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        Error::NoItemsFound if contains(&pem, "ENCRYPTED PRIVATE KEY-----") => {
            failed(what, path, "it is encrypted by a passphrase")
        }
        Error::NoItemsFound => failed(what, path, lack(&pem, "private key")),
        error => broken(what, path, &error),
    })
}

/// Who is believed on whose certificate is whose.
pub fn roots(what: &str, path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in certificates(what, path)?.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|error| failed(what, path, format_args!("certificate {}: {error}", number + 1)))?;
    }
    Ok(roots)
}

/// Says what is wrong with a file.
pub fn failed(what: &str, path: &Path, why: impl Display) -> Failure {
    Failure::new(format_args!("reading {what} {}: {why}", path.display()))
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| failed(what, path, reason(&error)))
}

fn lack(pem: &[u8], wanted: &str) -> String {
    if contains(pem, "-----BEGIN ") {
        format!("there is no {wanted} in it")
    } else {
        "it is no PEM".to_owned()
    }
}

fn broken(what: &str, path: &Path, error: &Error) -> Failure {
    match error {
        Error::MissingSectionEnd { .. } => failed(what, path, "its PEM has a beginning without an end"),
        Error::IllegalSectionStart { .. } => failed(what, path, "a line that begins a PEM is broken"),
        Error::Base64Decode(why) => failed(what, path, format_args!("its PEM is no Base64: {why}")),
        error => failed(what, path, error),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
