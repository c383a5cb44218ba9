//! Settings of a small client that trusts the CAs in a file, and explanations of its errors.

use std::path::Path;
use std::sync::Arc;

use cli::Failure;
use rustls::crypto::KeyProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error};

use crate::files;

/// Returns the settings of a client that trusts the CA certificates in a PEM file.
pub fn config(roots: &Path) -> Result<ClientConfig, Failure> {
    let roots = files::roots("CA certificates", roots)?;
    // The program has no key of its own, and so does not contain the code for signatures.
    let provider = crate::small(&NoKeys);
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Failure::new(format_args!("configuring TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("private keys are not supported".to_owned()))
    }
}

const UNSUPPORTED: &str =
    "the server's certificate or its CA has an unsupported key or signature; use P-256 keys and SHA-256";

/// Returns why a handshake failed, and the remedy. `roots` names the setting with the trusted CA certificates.
pub fn explain(error: &Error, roots: &str) -> String {
    let Error::InvalidCertificate(error) = error else {
        return match error {
            Error::AlertReceived(AlertDescription::HandshakeFailure) => UNSUPPORTED.to_owned(),
            Error::InvalidMessage(_) => "the server does not speak TLS; use http:// in the URL".to_owned(),
            error => error.to_string(),
        };
    };
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = age(time.as_secs().saturating_sub(not_after.as_secs()));
            format!("the server's certificate expired {ago} ago; renew it")
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let left = age(not_before.as_secs().saturating_sub(time.as_secs()));
            format!(
                "the server's certificate is not valid before {left} from now; check the clocks of both hosts"
            )
        }
        // The former if the CA has the same name as one that is trusted.
        CertificateError::BadSignature | CertificateError::UnknownIssuer => format!(
            "the server's certificate is not issued by a CA in {roots}, which must contain the certificate of its CA"
        ),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let (name, others) = (expected.to_str(), presented.join(", "));
            let others = if others.is_empty() { "no name" } else { &others };
            format!(
                "the server's certificate is not for {name}, but for {others}; its subjectAltName must contain {name}"
            )
        }
        // A variant of an error of webpki, whose type rustls does not export.
        CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "the server's certificate is that of a CA; issue one with CA:FALSE".to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => UNSUPPORTED.to_owned(),
        error => format!("invalid certificate of the server: {error}"),
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{seconds} s"),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
