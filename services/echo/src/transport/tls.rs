//! TLS, which requests a certificate from clients.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use cli::Failure;
use runtime::Stream;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, ServerConfig, ServerConnection,
    SignatureScheme,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tls::files;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode;

/// Response to a request without TLS.
const HTTP_WITHOUT_TLS: &str = "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n\
                      Client sent an HTTP request to an HTTPS server.\n";

/// TLS flags.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// PEM file with the server certificate and its chain; enables TLS and is reloaded when it changes
    #[arg(long, env = "SERVICE_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate (P-256, RSA or Ed25519)
    #[arg(long, env = "SERVICE_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// PEM file with trusted CA certificates for clients, which must then present a certificate; without it, a certificate is
    /// optional and not verified
    #[arg(long, env = "SERVICE_CACERT", value_name = "FILE", requires = "cert")]
    pub cacert: Option<PathBuf>,
}

/// The TLS server.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// Whether the certificates of clients are verified.
    verifies_clients: bool,
}

impl Tls {
    /// Reads the files. Returns `None` without `--cert`.
    pub fn load(args: &TlsArgs) -> Result<Option<Self>, Failure> {
        let (Some(cert), Some(key)) = (&args.cert, &args.key) else { return Ok(None) };
        let provider = tls::provider();
        let verifier = match &args.cacert {
            None => Arc::new(AnyCertificate(Arc::clone(&provider))),
            Some(path) => {
                let roots = Arc::new(files::roots("client CA certificates", path)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                verifier.map_err(|error| Failure::new(format_args!("configuring TLS: {error}")))?
            }
        };
        let mut config = tls::server::config(provider, cert, key, Some(verifier))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Self { config: Arc::new(config), verifies_clients: args.cacert.is_some() }))
    }

    /// Performs the handshake.
    pub(super) async fn accept(&self, mut stream: Stream) -> io::Result<(Stream, Session)> {
        if stream.prefix().is_empty() && stream.read_ahead().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Every HTTP method starts with a capital letter, and no TLS record does.
        if stream.prefix().first().is_some_and(u8::is_ascii_uppercase) {
            stream.write_all(HTTP_WITHOUT_TLS.as_bytes()).await?;
            stream.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP request without TLS"));
        }
        let stream = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await?;
        let session = Session::new(stream.get_ref().1, self.verifies_clients);
        Ok((Stream::layered(stream), session))
    }
}

/// Requests a certificate from clients and accepts any or none, but verifies that a client holds the key of its own.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not supported".to_owned()))
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

/// TLS session of a connection, for `/api`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// TLS version, such as `1.3`.
    pub version: &'static str,
    /// Cipher suite, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
    /// Protocol negotiated by ALPN: `h2` or `http/1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// Server name that the client requested (SNI).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Subjects of the client's certificate chain, its own first, in Go's format: `CN=client,O=Example`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// SHA-256 of the client's own certificate in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Whether a trusted CA has issued the client's certificate, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

impl Session {
    fn new(connection: &ServerConnection, verifies_clients: bool) -> Self {
        let certificates = connection.peer_certificates().unwrap_or_default();
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "1.3",
                _ => "unknown",
            },
            cipher_suite: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or_default(),
            alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            server_name: connection.server_name().map(str::to_owned),
            subjects: certificates.iter().map(|der| subject(der)).collect(),
            fingerprint: certificates.first().map(|der| fingerprint(der)),
            verified: (!certificates.is_empty()).then_some(verifies_clients),
        }
    }
}

fn subject(der: &[u8]) -> String {
    x509_cert::Certificate::from_der(der)
        .map(|certificate| certificate.tbs_certificate().subject().to_string())
        .unwrap_or_default()
}

fn fingerprint(der: &[u8]) -> String {
    let mut digits = String::new();
    for byte in Sha256::digest(der) {
        // Writing to a string never fails.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
