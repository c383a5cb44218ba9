//! What is known of a client by its TLS.

use std::fmt::Write;

use rustls::{ProtocolVersion, ServerConnection};
use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_cert::der::Decode;

/// What is known of a client by its TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The version of TLS, such as `1.3`.
    pub version: &'static str,
    /// The suite of ciphers, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher_suite: &'static str,
    /// What client and server have agreed to speak, if they have talked about it: `h2` or `http/1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// The name by which the client has asked for the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The subjects of the client's certificates, its own first, as Go writes them: `CN=client,O=Example`. None where it
    /// was not asked for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// SHA-256 of the client's own certificate, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl Session {
    pub(super) fn of(connection: &ServerConnection) -> Self {
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
        // Into a string it never fails.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
