//! `load` by TLS, with certificates that openssl has made.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use harness::process::command;
use harness::{Binaries, Loopback, Process, SpawnOptions, http};
use serde_json::Value;
use tempfile::TempDir;

use super::{Nginx, PATIENCE, load, names};

/// An authority with a key on one of openssl's curves, that signs with one of its hashes.
struct Authority {
    directory: TempDir,
    hash: &'static str,
}

impl Authority {
    fn new(curve: &str, hash: &'static str) -> Self {
        let authority = Self { directory: tempfile::tempdir().unwrap(), hash };
        authority.request("ca", curve, &["-subj", "/CN=authority"]);
        authority
    }

    /// The certificate and key of a server, whose own key is on `curve`.
    fn issue(&self, address: IpAddr, curve: &str) -> [String; 2] {
        let name = format!("subjectAltName=IP:{address}");
        let [ca, ca_key] = ["ca.pem", "ca.key"].map(|name| self.path(name));
        let by = ["-CA", &ca, "-CAkey", &ca_key, "-subj", "/CN=server", "-addext", &name];
        self.request(
            "server",
            curve,
            &[&by[..], &["-addext", "basicConstraints=critical,CA:FALSE"]].concat(),
        );
        ["server.pem", "server.key"].map(|name| self.path(name))
    }

    fn request(&self, name: &str, curve: &str, flags: &[&str]) {
        let parameter = format!("ec_paramgen_curve:{curve}");
        let [cert, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", &parameter, self.hash, "-nodes", "-days", "2",
        ]);
        let made = openssl.args(["-keyout", &key, "-out", &cert]).args(flags).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.directory.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}

/// What it says when it does not even begin.
fn refusal(url: &str, args: &[&str]) -> String {
    let mut stranger = command(Binaries::find().unwrap().path("load"));
    let stranger = stranger.arg(url).args(args).output().unwrap();
    assert_eq!(stranger.status.code(), Some(64), "{stranger:?}");
    String::from_utf8(stranger.stderr).unwrap()
}

#[test]
fn http_2_is_spoken_with_and_without_tls() {
    let (address, admin) = (Loopback::new().free().unwrap(), Loopback::new().free().unwrap());
    let authority = Authority::new("P-256", "-sha256");
    let [cert, key] = authority.issue(address.ip(), "P-256");
    let ca = authority.path("ca.pem");

    let start = |flags: &[&str]| {
        let mut echo = command(Binaries::find().unwrap().path("echo"));
        echo.args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()]);
        echo.args(["--admin-port", &admin.port().to_string(), "--host", "echo-1"]).args(flags);
        let mut echo = Process::spawn("echo", &mut echo, SpawnOptions::default()).unwrap();
        let ready = format!("http://{}:{}/readyz", address.ip(), admin.port());
        echo.wait_until(PATIENCE, || http::well(&ready)).unwrap();
        echo
    };
    let streams = ["--http", "2", "--connections", "2", "--streams", "4", "--requests", "100"];
    let is_well = |(code, report): (i32, Value), http: &str, connections: u64| {
        assert_eq!((code, &report["ok"]), (0, &100.into()), "{}", report["failures"]);
        assert_eq!((&report["asked"]["http"], names(&report)), (&http.into(), vec!["echo-1"]));
        assert_eq!(report["connections"]["opened"], connections);
    };
    {
        let _echo = start(&[]);
        is_well(load(&format!("http://{address}/"), &streams), "2", 2);
    }
    let _echo = start(&["--cert", &cert, "--key", &key]);
    let url = format!("https://{address}/");
    is_well(load(&url, &[&streams[..], &["--ca", &ca]].concat()), "2", 2);
    is_well(load(&url, &["--insecure", "--requests", "100", "--connections", "3"]), "2", 3);
    let one = ["--http", "1.1", "--ca", &ca, "--requests", "100", "--connections", "3"];
    is_well(load(&url, &one), "1.1", 3);
    // Without a word on whom to believe, nobody does.
    assert!(refusal(&url, &[]).contains("UnknownIssuer"));
}

#[test]
fn keys_of_authorities_and_of_servers_may_be_of_p384() {
    // The second is what openssl does when it is not told otherwise.
    for (authority, hash, server) in [
        ("P-384", "-sha384", "P-256"),
        ("P-384", "-sha256", "P-256"),
        ("P-384", "-sha384", "P-384"),
        ("P-256", "-sha256", "P-384"),
    ] {
        let made = Authority::new(authority, hash);
        let nginx = Nginx::start("https", |conf, ip| {
            let [cert, key] = made.issue(ip, server);
            let tls =
                format!("ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;");
            conf.replace("backlog=1024;", &tls)
        });
        let ca = made.path("ca.pem");
        let args = ["--requests", "20", "--instance", r"body:from ([\w-]+)", "--ca", &ca];
        let (code, report) = load(&nginx.url, &args);
        assert_eq!((code, &report["ok"]), (0, &20.into()), "{authority} {server}: {}", report["failures"]);
        assert_eq!(names(&report), ["nginx-1"]);
        // Not whoever has a key of that kind is believed.
        let other = Authority::new(authority, hash);
        let said = refusal(&nginx.url, &["--ca", &other.path("ca.pem")]);
        assert!(
            said.contains("BadSignature") || said.contains("UnknownIssuer"),
            "{authority} {server}: {said}"
        );
    }
}
