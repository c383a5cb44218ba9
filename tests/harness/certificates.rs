//! Certificates for one test, made with openssl. Functions panic with the output of openssl if it fails.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

/// Arguments of `openssl genpkey` for an EC key on the curve P-256.
pub const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
/// Arguments of `openssl genpkey` for an EC key on the curve P-384.
pub const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
/// Arguments of `openssl genpkey` for an RSA key of 2048 bits.
pub const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
/// Arguments of `openssl genpkey` for an Ed25519 key.
pub const ED25519: &[&str] = &["-algorithm", "ED25519"];

/// A certificate authority in a temporary directory, with the certificates that it has issued. The authority's own
/// certificate is `ca.pem`, its key `ca.key`.
pub struct Certificates {
    directory: TempDir,
    hash: &'static str,
}

impl Certificates {
    /// Creates an authority whose key is of this kind, for example [`P256`]. It signs with openssl's default hash.
    pub fn new(kind: &[&str]) -> Self {
        Self::with_hash(kind, "")
    }

    /// Creates an authority that signs with this hash, for example `-sha384`.
    pub fn with_hash(kind: &[&str], hash: &'static str) -> Self {
        let made = Self { directory: tempfile::tempdir().unwrap(), hash };
        made.make_key("ca", kind);
        let (key, cert) = (made.path("ca.key"), made.path("ca.pem"));
        let subject = ["-subj", "/CN=test authority"];
        made.signing(&[&["req", "-x509", "-days", "2", "-key", &key, "-out", &cert][..], &subject].concat());
        made
    }

    /// Returns the path of a file in the directory.
    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Issues `NAME.pem` and its key `NAME.key` (PKCS#8), for `echo.test` and the loopback address 127.0.0.1.
    pub fn issue(&self, name: &str, kind: &[&str], subject: &str) {
        self.issue_for(name, kind, subject, "DNS:echo.test,IP:127.0.0.1");
    }

    /// Issues the certificate of a server at `address`, and returns the paths of certificate and key.
    pub fn issue_for_address(&self, address: IpAddr, kind: &[&str]) -> [String; 2] {
        self.issue_for("server", kind, "/CN=server", &format!("IP:{address}"));
        ["server.pem", "server.key"].map(|name| self.path(name))
    }

    /// Issues a certificate as [`Self::issue_for_address`] does, which expired in 2020.
    pub fn issue_expired(&self, address: IpAddr, kind: &[&str]) -> [String; 2] {
        let [cert, key] = self.issue_for_address(address, kind);
        let database = self.write("index.txt", "");
        let config = format!(
            "[ca]\ndefault_ca=ca\ndatabase={database}\nnew_certs_dir={}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\nCN=supplied\n",
            self.directory.path().display()
        );
        let [config, csr, extensions] =
            [self.write("ca.conf", &config), self.path("server.csr"), self.path("server.ext")];
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let issue = ["ca", "-batch", "-notext", "-config", &config, "-in", &csr, "-out", &cert];
        let dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"];
        openssl(
            &[&issue[..], &dates, &["-cert", &ca, "-keyfile", &ca_key, "-extfile", &extensions]].concat(),
        );
        [cert, key]
    }

    /// Returns the flags of a server with this certificate: `--cert FILE --key FILE`.
    pub fn flags(&self, name: &str) -> [String; 4] {
        let [cert, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        ["--cert".to_owned(), cert, "--key".to_owned(), key]
    }

    /// Issues `NAME.pem` and its key `NAME.key` for these names, such as `DNS:hub`.
    pub fn issue_for(&self, name: &str, kind: &[&str], subject: &str, names: &str) {
        self.make_key(name, kind);
        let [key, csr, cert] = ["key", "csr", "pem"].map(|end| self.path(&format!("{name}.{end}")));
        openssl(&["req", "-new", "-subj", subject, "-key", &key, "-out", &csr]);
        let extensions = self.write(
            &format!("{name}.ext"),
            &format!("subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n"),
        );
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let issue = ["x509", "-req", "-days", "2", "-CAcreateserial", "-in", &csr, "-out", &cert];
        self.signing(&[&issue[..], &["-CA", &ca, "-CAkey", &ca_key, "-extfile", &extensions]].concat());
    }

    fn make_key(&self, name: &str, kind: &[&str]) {
        let path = self.path(&format!("{name}.key"));
        openssl(&[&["genpkey", "-out", &path], kind].concat());
    }

    fn signing(&self, arguments: &[&str]) {
        let hash = Some(self.hash).filter(|hash| !hash.is_empty());
        openssl(&arguments.iter().copied().chain(hash).collect::<Vec<_>>());
    }
}

/// Returns the certificate in PEM format that a server presents for `name`, after a request with it.
pub fn presented(server: SocketAddr, name: &str, ca: &str) -> Result<String> {
    let (address, url) = (
        format!("{name}:{}:{}", server.port(), server.ip()),
        format!("https://{name}:{}/ping", server.port()),
    );
    let output = Command::new("curl")
        .args(["--silent", "--fail", "--cacert", ca, "--resolve", &address, &url])
        .output()?;
    ensure!(output.status.success() && output.stdout.starts_with(b"Pong from "), "{output:?}");
    let server = server.to_string();
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &server, "-servername", name]).stdin(Stdio::null());
    let text = String::from_utf8_lossy(&client.output()?.stdout).into_owned();
    let start =
        text.find("-----BEGIN CERTIFICATE-----").with_context(|| format!("no certificate: {text}"))?;
    let length = text[start..].find("-----END CERTIFICATE-----").context("no end")? + 26;
    Ok(text[start..start + length].to_owned())
}

/// Runs openssl, and returns its standard output.
pub fn openssl(arguments: &[impl AsRef<OsStr>]) -> String {
    let output = openssl_output(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs openssl, and returns its output and exit status, whether it succeeds or not.
pub fn openssl_output(arguments: &[impl AsRef<OsStr>]) -> Output {
    Command::new("openssl").args(arguments).stdin(Stdio::null()).output().expect("running openssl")
}
