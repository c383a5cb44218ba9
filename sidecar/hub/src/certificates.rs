//! Certificates in a directory, which routers get with the configuration, and again when they change.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
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

/// Content of a directory: `NAME.crt`, a certificate with its chain, for each `NAME.key`. Other files are ignored, such as lego's
/// `NAME.issuer.crt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    certificates: Certificates,
    /// Why a certificate cannot be used, by name. The text names the file.
    errors: BTreeMap<String, String>,
}

impl Content {
    /// Reads a directory. The error names it.
    pub(crate) fn read(directory: &Path) -> Result<Self, String> {
        let failed = |cause: &dyn Display| format!("{}: {cause}", directory.display());
        let mut content = Self::default();
        for entry in fs::read_dir(directory).map_err(|error| failed(&error))? {
            let key = entry.map_err(|error| failed(&error))?.path();
            let name = key.file_name().and_then(|name| name.to_str()?.strip_suffix(".key"));
            let Some(name) = name.map(ToOwned::to_owned) else { continue };
            if content.certificates.len() + content.errors.len() == MAX_COUNT {
                return Err(failed(&format_args!("more than {MAX_COUNT} certificates")));
            }
            match read_pair(&key.with_file_name(format!("{name}.crt")), &key) {
                Ok(certificate) => drop(content.certificates.insert(name, certificate)),
                Err(error) => drop(content.errors.insert(name, error)),
            }
        }
        Ok(content)
    }

    /// Reads a directory as [`Self::read`] does. Fails if it has certificates and none of them can be used: clients would get the
    /// default certificate, and an update of the hub with a wrong secret would succeed.
    pub(crate) fn read_first(directory: &Path) -> Result<Self, String> {
        let content = Self::read(directory)?;
        match content.errors.values().next() {
            Some(error) if content.certificates.is_empty() => Err(error.clone()),
            _ => Ok(content),
        }
    }

    /// Returns the certificates to use after those in `used`. One that cannot be used keeps its place.
    fn after(&self, used: &Certificates) -> Certificates {
        let kept = used.iter().filter(|(name, _)| self.errors.contains_key(*name));
        let kept = kept.map(|(name, certificate)| (name.clone(), certificate.clone()));
        kept.chain(self.certificates.clone()).collect()
    }

    /// Logs the certificates that differ from those in `used`, and errors. Returns those to use.
    pub(crate) fn apply(&self, used: &Certificates) -> Certificates {
        for error in self.errors.values() {
            warn!("a certificate for routers is not used: {error}");
        }
        let changed = self.certificates.iter().filter(|(name, new)| used.get(*name) != Some(new));
        for (name, certificate) in changed {
            info!(name, expires = expiry(&certificate.chain).unwrap_or_default(), "certificate for routers");
        }
        self.after(used)
    }
}

fn read_pair(chain: &Path, key: &Path) -> Result<Certificate, String> {
    let failed = |path: &Path, cause: String| format!("{}: {cause}", path.display());
    let read = |path: &Path| read_file(path).map_err(|error| failed(path, error.to_string()));
    let certificate = Certificate { chain: read(chain)?, key: read(key)? };
    if !certificate.key.contains("PRIVATE KEY-----") {
        return Err(failed(key, "no private key in PEM format".to_owned()));
    }
    expiry(&certificate.chain).map_err(|error| failed(chain, error))?;
    Ok(certificate)
}

fn read_file(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        // Reading a pipe might never end.
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > MAX_SIZE {
        return Err(io::Error::other(format!("{} bytes, the maximum is {MAX_SIZE}", metadata.len())));
    }
    fs::read_to_string(path)
}

/// Returns the end of the validity of the first certificate in the chain.
fn expiry(chain: &str) -> Result<String, String> {
    const END: &str = "-----END CERTIFICATE-----";
    let first = chain.find("-----BEGIN CERTIFICATE-----").zip(chain.find(END));
    let (start, end) = first.filter(|(start, end)| start < end).ok_or("no certificate in PEM format")?;
    let parsed = x509_cert::Certificate::from_pem(&chain[start..end + END.len()]);
    let parsed = parsed.map_err(|error| format!("malformed certificate: {error}"))?;
    Ok(parsed.tbs_certificate().validity().not_after.to_string())
}

/// Gives the certificates in `directory` to the hub whenever they have changed. Those that cannot be read keep their place. Never
/// returns.
pub(crate) async fn watch(hub: Arc<Hub>, directory: PathBuf, first: Content, mut used: Certificates) {
    let (mut last, mut applied) = (Ok(first.clone()), Ok(first));
    loop {
        sleep(INTERVAL).await;
        // A directory on a network may not answer.
        let read = spawn_blocking({
            let directory = directory.clone();
            move || Content::read(&directory)
        });
        let current = read.await.unwrap_or_else(|error| Err(error.to_string()));
        if current == last && current != applied {
            match &current {
                Ok(content) => {
                    let new = content.apply(&used);
                    if new != used {
                        used.clone_from(&new);
                        hub.set_certificates(new);
                    }
                }
                Err(error) => warn!("keeping the certificates for routers: {error}"),
            }
            applied.clone_from(&current);
        }
        last = current;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_certificate_and_other_files_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let read = || Content::read(directory.path()).unwrap();
        assert_eq!(Content::read_first(directory.path()).unwrap(), Content::default());
        write("a.key", "-----BEGIN CERTIFICATE-----");
        write("a.crt", "-----BEGIN PRIVATE KEY-----");
        let swapped = Content::read_first(directory.path()).unwrap_err();
        assert!(swapped.ends_with("a.key: no private key in PEM format"), "{swapped}");
        let made = Certificate::self_signed().unwrap();
        write("a.crt", &made.chain);
        write("a.key", &made.key);
        write("a.issuer.crt", "anything");
        write("a.json", "{}");
        let a = Certificates::from([("a".to_owned(), made.clone())]);
        assert_eq!(read(), Content { certificates: a.clone(), errors: BTreeMap::new() });
        assert!(expiry(&made.chain).unwrap().starts_with("20"), "{:?}", expiry(&made.chain));

        let error = || {
            let content = read();
            assert_eq!((&content.certificates, content.errors.len()), (&a, 1), "only b is wrong");
            assert_eq!(Content::read_first(directory.path()).as_ref(), Ok(&content));
            content.errors["b"].clone()
        };
        write("b.key", &made.key);
        assert!(error().contains("b.crt: No such file"), "{}", error());
        write("b.crt", "-----END CERTIFICATE----- -----BEGIN CERTIFICATE-----");
        assert!(error().ends_with("b.crt: no certificate in PEM format"), "{}", error());
        write("b.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(error().contains("b.crt: malformed certificate: "), "{}", error());
        write("b.crt", &made.chain);
        write("b.key", "secret");
        assert!(error().ends_with("b.key: no private key in PEM format"), "{}", error());
        write("b.key", &"x".repeat(65 << 10));
        assert!(error().ends_with("b.key: 66560 bytes, the maximum is 65536"), "{}", error());
        fs::remove_file(directory.path().join("b.key")).unwrap();
        fs::create_dir(directory.path().join("b.key")).unwrap();
        assert!(error().ends_with("b.key: not a regular file"), "{}", error());
        let missing = Content::read(&directory.path().join("missing")).unwrap_err();
        assert!(missing.contains("missing: No such file"), "{missing}");
    }

    #[test]
    fn certificate_that_cannot_be_read_keeps_its_place_and_a_removed_one_does_not() {
        let certificate = |text: &str| Certificate { chain: text.to_owned(), key: text.to_owned() };
        let all = |pairs: &[(&str, &str)]| -> Certificates {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), certificate(text))).collect()
        };
        let used = all(&[("a", "old"), ("b", "old"), ("c", "old")]);
        let errors = [("b".to_owned(), "e".to_owned()), ("d".to_owned(), "e".to_owned())].into();
        let content = Content { certificates: all(&[("a", "new")]), errors };
        assert_eq!(content.after(&used), all(&[("a", "new"), ("b", "old")]));
    }
}
