//! A certificate that nobody trusts, for Traefik to show where it has no better one.
//!
//! Without one Traefik makes its own, an RSA key of 2048 bits, each time that it takes a configuration into use. That
//! is most of the time which a change takes: 200 ms and more on a small machine.

use std::str::FromStr;
use std::time::Duration;

use cli::Failure;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::rand_core::{OsRng, RngCore};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::der::EncodePem;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

/// Ten years.
const VALID_FOR: Duration = Duration::from_hours(24 * 3650);

/// A certificate and its key, both as PEM. As secret as the one that it stands for: a router shows it to anybody, and
/// nobody takes its word.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Certificate {
    /// Makes a new one, signed by itself.
    pub(crate) fn self_signed() -> Result<Self, Failure> {
        make().map_err(|error| Failure::new(format_args!("making a certificate for Traefik: {error}")))
    }
}

fn make() -> Result<Certificate, Box<dyn std::error::Error>> {
    let key = SigningKey::random(&mut OsRng);
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    // Neither negative nor zero.
    serial[0] = serial[0] & 0x7f | 1;
    let public = key.verifying_key().to_public_key_der()?;
    let builder = CertificateBuilder::new(
        Profile::Leaf {
            issuer: Name::from_str("CN=swarmlings hub")?,
            enable_key_agreement: false,
            enable_key_encipherment: false,
        },
        SerialNumber::new(&serial)?,
        Validity::from_now(VALID_FOR)?,
        Name::from_str("CN=swarmlings hub")?,
        SubjectPublicKeyInfoOwned::try_from(public.as_bytes())?,
        &key,
    )?;
    let chain = builder.build::<DerSignature>()?.to_pem(LineEnding::LF)?;
    Ok(Certificate { chain, key: key.to_pkcs8_pem(LineEnding::LF)?.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_new_one() {
        let [one, other] = [(); 2].map(|()| Certificate::self_signed().unwrap());
        assert!(one.chain.starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert!(one.key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_ne!(one.chain, other.chain);
        assert_ne!(one.key, other.key);
    }
}
