//! PEM files of certificates and keys. `what` names the purpose of the file in errors, such as `private key`.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use cli::{Failure, reason};
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads a file with at least one certificate.
pub fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = read(what, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| malformed(what, path, &error))?;
    if certificates.is_empty() {
        return Err(failure(what, path, missing(&pem, "certificate")));
    }
    Ok(certificates)
}

/// Reads the private key in a file.
pub fn key(what: &str, path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let pem = read(what, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        Error::NoItemsFound if contains(&pem, "ENCRYPTED PRIVATE KEY-----") => {
            failure(what, path, "encrypted with a passphrase; decrypt it with `openssl pkey`")
        }
        Error::NoItemsFound => failure(what, path, missing(&pem, "private key")),
        error => malformed(what, path, &error),
    })
}

/// Reads a file with trusted CA certificates.
pub fn roots(what: &str, path: &Path) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in certificates(what, path)?.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|error| failure(what, path, format_args!("certificate {}: {error}", number + 1)))?;
    }
    Ok(roots)
}

/// Returns the failure of reading a file.
pub fn failure(what: &str, path: &Path, why: impl Display) -> Failure {
    Failure::new(format_args!("reading {what} {}: {why}", path.display()))
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| failure(what, path, reason(&error)))
}

fn missing(pem: &[u8], wanted: &str) -> String {
    if contains(pem, "-----BEGIN ") { format!("no {wanted} found") } else { "not valid PEM".to_owned() }
}

fn malformed(what: &str, path: &Path, error: &Error) -> Failure {
    match error {
        Error::MissingSectionEnd { .. } => failure(what, path, "PEM section without END line"),
        Error::IllegalSectionStart { .. } => failure(what, path, "malformed BEGIN line"),
        Error::Base64Decode(why) => failure(what, path, format_args!("invalid Base64: {why}")),
        error => failure(what, path, error),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
