//! The self-signed certificate that Traefik presents where it has no other.
//!
//! Without it Traefik generates its own, a 2048-bit RSA key, each time it applies a configuration. That is most of the
//! time of a change: 200 ms and more on a small machine.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder, CertificateBuilder};
use x509_cert::der::EncodePem;
use x509_cert::der::flagset::FlagSet;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::Validity;

/// Ten years.
const VALIDITY: Duration = Duration::from_hours(24 * 3650);

/// A certificate with its chain, and its key, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Certificate {
    /// Generates a key and signs a certificate with it. The key needs no more protection than the certificate: no client trusts it.
    pub(crate) fn self_signed() -> Result<Self, Box<dyn Error>> {
        let key = SigningKey::try_generate()?;
        let mut serial = [0; 16];
        getrandom::fill(&mut serial)?;
        // Neither negative nor zero.
        serial[0] = serial[0] & 0x7f | 1;
        let builder = CertificateBuilder::new(
            Server(Name::from_str("CN=swarmlings hub")?),
            SerialNumber::new(&serial)?,
            Validity::from_now(VALIDITY)?,
            SubjectPublicKeyInfo::from_key(key.verifying_key())?,
        )?;
        let chain = builder.build::<_, DerSignature>(&key)?.to_pem(LineEnding::LF)?;
        Ok(Self { chain, key: key.to_pkcs8_pem(LineEnding::LF)?.to_string() })
    }
}

/// Profile of a self-signed server certificate with this name.
struct Server(Name);

impl BuilderProfile for Server {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let usage: FlagSet<KeyUsages> = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
        Ok(vec![
            SubjectKeyIdentifier::try_from(key)?.to_extension(&self.0, &[])?,
            AuthorityKeyIdentifier::try_from(issuer_key)?.to_extension(&self.0, &[])?,
            BasicConstraints { ca: false, path_len_constraint: None }.to_extension(&self.0, &[])?,
            KeyUsage(usage).to_extension(&self.0, &[])?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_has_a_key_of_its_own() {
        let [one, other] = [(); 2].map(|()| Certificate::self_signed().unwrap());
        assert!(one.chain.starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert!(one.key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_ne!(one.chain, other.chain);
        assert_ne!(one.key, other.key);
    }
}
