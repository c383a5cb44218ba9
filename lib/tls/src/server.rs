//! Settings of a server. Its certificate is reloaded when its files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cli::Failure;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{Error, InconsistentKeys, ServerConfig};
use x509_cert::der::Decode;

use crate::files::{self, failure};

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

/// Returns the settings of a server with the certificate chain and the key in these PEM files. `clients` verifies the certificates of
/// clients, if the server requests any.
pub fn config(
    provider: Arc<CryptoProvider>,
    cert: &Path,
    key: &Path,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, Failure> {
    let certificate = Certificate::load(cert, key, Arc::clone(&provider))?;
    let versions = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Failure::new(format_args!("configuring TLS: {error}")))?;
    let clients = clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth);
    Ok(versions.with_client_cert_verifier(clients).with_cert_resolver(Arc::new(certificate)))
}

/// A certificate and its key, with the files that they come from.
#[derive(Debug)]
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<(Stamps, Arc<CertifiedKey>)>,
}

/// Inode, size and modification time of both files, to detect changes.
type Stamps = [Option<(u64, u64, i64, i64)>; 2];

impl Certificate {
    fn load(cert: &Path, key: &Path, provider: Arc<CryptoProvider>) -> Result<Self, Failure> {
        // Taken before reading, so that a change during the read is detected later.
        let stamps = [cert, key].map(stamp);
        let certified = Arc::new(read(cert, key, &provider)?);
        let current = Mutex::new((stamps, certified));
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), provider, current })
    }

    /// Returns the current certificate and reloads changed files first. If reloading fails, as it does while only one of
    /// the two files is new, the old certificate stays in use.
    fn current(&self) -> Arc<CertifiedKey> {
        let stamps = [&self.cert, &self.key].map(stamp);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != stamps {
            current.0 = stamps;
            match read(&self.cert, &self.key, &self.provider) {
                Ok(certified) => {
                    current.1 = Arc::new(certified);
                    tracing::info!(path = %self.cert.display(), "certificate reloaded");
                }
                Err(failure) => tracing::warn!("keeping the old certificate: {failure}"),
            }
        }
        Arc::clone(&current.1)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn stamp(path: impl AsRef<Path>) -> Option<(u64, u64, i64, i64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Failure> {
    let chain = files::certificates(CERTIFICATE, cert)?;
    check_validity(cert, &chain[0])?;
    let der = files::key(KEY, key)?;
    let signs = provider.key_provider.load_private_key(der).map_err(|error| match error {
        Error::General(why) => failure(KEY, key, why),
        error => failure(KEY, key, error),
    })?;
    let certified = CertifiedKey::new(chain, signs);
    certified.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            failure(KEY, key, format_args!("does not match the certificate in {}", cert.display()))
        }
        error => failure(CERTIFICATE, cert, error),
    })?;
    Ok(certified)
}

/// Warns about a certificate that is not valid now. It is used all the same, to test how clients react.
fn check_validity(path: &Path, certificate: &[u8]) -> Result<(), Failure> {
    let certificate = x509_cert::Certificate::from_der(certificate)
        .map_err(|error| failure(CERTIFICATE, path, format_args!("malformed certificate: {error}")))?;
    let validity = certificate.tbs_certificate().validity();
    let (begin, end) = (validity.not_before, validity.not_after);
    let now = SystemTime::now();
    if begin.to_system_time() > now {
        tracing::warn!(path = %path.display(), "certificate is not valid before {begin}");
    }
    if end.to_system_time() < now {
        tracing::warn!(path = %path.display(), "certificate expired at {end}");
    }
    Ok(())
}
