//! TLS client settings.

use std::path::Path;
use std::sync::Arc;

use cli::Failure;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tls::files;

/// The system's CA certificates on Debian, Alpine and others.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Creates settings that trust the CA certificates in `file`, by default those of the system. With `insecure`, any server
/// certificate is accepted.
pub fn config(file: Option<&Path>, insecure: bool) -> Result<ClientConfig, Failure> {
    let provider = tls::provider_with_tls12();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| Failure::new(format_args!("creating TLS settings: {error}")))?;
    if insecure {
        let verifier = Arc::new(AnyCertificate(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let roots = match file {
        Some(file) => files::roots("root certificates", file).map_err(Failure::usage)?,
        None => system()?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Reads the system's CA certificates. Those that are not supported are skipped.
fn system() -> Result<RootCertStore, Failure> {
    let certificates =
        files::certificates("the system's root certificates", Path::new(SYSTEM)).map_err(|failure| {
            Failure::usage(format_args!("{failure}; use --ca FILE, or --insecure to accept any certificate"))
        })?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

/// Accepts any certificate, but verifies that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
