//! Certificates in a directory, which routers get with the configuration, and again when they change.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};
use x509_cert::der::DecodePem;

use crate::certificate::Certificate;
use crate::hub::Hub;

/// Time between two looks at the directory. Changed files are used once they stay the same for that time, since the two files of
/// a certificate are not replaced at once.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum size of a file in bytes.
const MAX_SIZE: u64 = 64 << 10;
/// Maximum number of certificates.
const MAX_COUNT: usize = 256;

/// Certificates by name.
pub(crate) type Certificates = BTreeMap<String, Certificate>;

/// Reads `NAME.crt`, a certificate with its chain, for each `NAME.key` in the directory. Other files are ignored, such as lego's
/// `NAME.issuer.crt`. The error names the file.
pub(crate) fn read(directory: &Path) -> Result<Certificates, String> {
    let failed = |path: &Path, cause: &dyn Display| format!("{}: {cause}", path.display());
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
    let mut certificates = Certificates::new();
    for entry in entries {
        let key = entry.map_err(|error| failed(directory, &error))?.path();
        let Some(name) = key.file_name().and_then(|name| name.to_str()?.strip_suffix(".key")) else {
            continue;
        };
        if certificates.len() == MAX_COUNT {
            return Err(failed(directory, &format_args!("more than {MAX_COUNT} certificates")));
        }
        let chain = key.with_file_name(format!("{name}.crt"));
        let certificate = Certificate { chain: read_pem(&chain)?, key: read_pem(&key)? };
        if !certificate.key.contains("PRIVATE KEY-----") {
            return Err(failed(&key, &"no private key in PEM format"));
        }
        expiry(&certificate).map_err(|error| failed(&chain, &error))?;
        certificates.insert(name.to_owned(), certificate);
    }
    Ok(certificates)
}

fn read_pem(path: &Path) -> Result<String, String> {
    let read = || {
        let size = fs::metadata(path)?.len();
        if size > MAX_SIZE {
            let message = format!("{size} bytes, the maximum is {MAX_SIZE}");
            return Err(std::io::Error::other(message));
        }
        fs::read_to_string(path)
    };
    read().map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the end of the validity of the first certificate in the chain.
fn expiry(certificate: &Certificate) -> Result<String, String> {
    const END: &str = "-----END CERTIFICATE-----";
    let first = certificate.chain.find("-----BEGIN CERTIFICATE-----").zip(certificate.chain.find(END));
    let (start, end) = first.filter(|(start, end)| start < end).ok_or("no certificate in PEM format")?;
    let pem = &certificate.chain[start..end + END.len()];
    let parsed = x509_cert::Certificate::from_pem(pem).map_err(|error| error.to_string())?;
    Ok(parsed.tbs_certificate().validity().not_after.to_string())
}

/// Gives the certificates in `directory` to the hub whenever they have changed. An error keeps those that it has. Never returns.
pub(crate) async fn watch(hub: Arc<Hub>, directory: PathBuf, mut used: Certificates) -> Infallible {
    log(&used);
    let mut last = Ok(used.clone());
    loop {
        sleep(INTERVAL).await;
        let current = read(&directory);
        match &current {
            _ if current != last => {}
            Ok(certificates) if *certificates != used => {
                log(certificates);
                used.clone_from(certificates);
                hub.set_certificates(used.clone());
            }
            _ => {}
        }
        if let Err(error) = &current
            && current != last
        {
            warn!("keeping the certificates for routers: {error}");
        }
        last = current;
    }
}

fn log(certificates: &Certificates) {
    for (name, certificate) in certificates {
        info!(name, expires = expiry(certificate).unwrap_or_default(), "certificate for routers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_certificate_and_other_files_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        assert_eq!(read(directory.path()), Ok(Certificates::new()));
        let made = Certificate::self_signed().unwrap();
        write("a.crt", &made.chain);
        write("a.key", &made.key);
        write("a.issuer.crt", "anything");
        write("a.json", "{}");
        assert_eq!(read(directory.path()), Ok([("a".to_owned(), made.clone())].into()));
        assert!(expiry(&made).unwrap().starts_with("20"), "{:?}", expiry(&made));

        let failure = || read(directory.path()).unwrap_err();
        write("b.key", &made.key);
        assert!(failure().contains("b.crt: No such file"), "{}", failure());
        write("b.crt", "-----END CERTIFICATE----- -----BEGIN CERTIFICATE-----");
        assert!(failure().ends_with("b.crt: no certificate in PEM format"), "{}", failure());
        write("b.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(failure().contains("b.crt: "), "{}", failure());
        write("b.crt", &made.chain);
        write("b.key", "secret");
        assert!(failure().ends_with("b.key: no private key in PEM format"), "{}", failure());
        write("b.key", &"x".repeat(65 << 10));
        assert!(failure().ends_with("b.key: 66560 bytes, the maximum is 65536"), "{}", failure());
        assert!(read(&directory.path().join("missing")).unwrap_err().contains("missing: No such file"));
    }
}
