//! Certificates, made by openssl for one test.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::openssl;

/// A directory with a certificate authority in it, and what that has issued.
pub(crate) struct Certificates(TempDir);

/// What openssl makes a key by.
pub(crate) const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(crate) const ED25519: &[&str] = &["-algorithm", "ED25519"];

impl Certificates {
    /// An authority with a key of this kind.
    pub(crate) fn new(kind: &[&str]) -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        made.key("ca", kind);
        let (key, cert) = (made.path("ca.key"), made.path("ca.pem"));
        let flags =
            ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-key", &key, "-out", &cert];
        openssl(&flags);
        made
    }

    /// The path of a file.
    pub(crate) fn path(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn at(&self, name: &str) -> PathBuf {
        Path::join(self.0.path(), name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.at(name), text).unwrap();
        self.path(name)
    }

    /// Makes `NAME.key`, as PKCS#8.
    fn key(&self, name: &str, kind: &[&str]) {
        openssl(&[&["genpkey", "-out", &self.path(&format!("{name}.key"))], kind].concat());
    }

    /// Makes `NAME.key` and `NAME.pem`, issued by the authority.
    pub(crate) fn issue(&self, name: &str, kind: &[&str], subject: &str) {
        self.key(name, kind);
        let [key, csr, cert, extensions] =
            ["key", "csr", "pem", "ext"].map(|end| self.path(&format!("{name}.{end}")));
        openssl(&["req", "-new", "-subj", subject, "-key", &key, "-out", &csr]);
        fs::write(&extensions, "subjectAltName=DNS:echo.test,IP:127.0.0.1\n").unwrap();
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let issue = ["x509", "-req", "-days", "2", "-CAcreateserial", "-in", &csr, "-out", &cert];
        openssl(&[&issue[..], &["-CA", &ca, "-CAkey", &ca_key, "-extfile", &extensions]].concat());
    }

    /// The flags of a server with this certificate.
    pub(crate) fn flags(&self, name: &str) -> [String; 4] {
        let [cert, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        ["--cert".to_owned(), cert, "--key".to_owned(), key]
    }
}
