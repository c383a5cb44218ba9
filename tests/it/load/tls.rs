//! `load` over TLS.

use harness::certificates::{Certificates, P256, P384};
use harness::process::command;
use harness::{Binaries, Loopback, Process, SpawnOptions, http};
use serde_json::Value;

use super::{Nginx, PATIENCE, load, names};

/// Runs `load` with invalid usage, and returns its error message.
fn refusal(url: &str, args: &[&str]) -> String {
    let mut load = command(Binaries::find().unwrap().path("load"));
    let output = load.arg(url).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn http_2_works_with_and_without_tls() {
    let (address, admin) = (Loopback::new().free().unwrap(), Loopback::new().free().unwrap());
    let authority = Certificates::new(P256);
    let [cert, key] = authority.issue_for_address(address.ip(), P256);
    let ca = authority.path("ca.pem");

    let start = |flags: &[&str]| {
        let mut echo = command(Binaries::find().unwrap().path("echo"));
        echo.args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()]);
        echo.args(["--admin-port", &admin.port().to_string(), "--host", "echo-1"]).args(flags);
        let mut echo = Process::spawn("echo", &mut echo, SpawnOptions::default()).unwrap();
        let ready = format!("http://{}:{}/readyz", address.ip(), admin.port());
        echo.wait_until(PATIENCE, || http::get_ok(&ready)).unwrap();
        echo
    };
    let streams = ["--http", "2", "--connections", "2", "--streams", "4", "--requests", "100"];
    let assert_ok = |(code, report): (i32, Value), http: &str, connections: u64| {
        assert_eq!((code, &report["ok"]), (0, &100.into()), "{}", report["failures"]);
        assert_eq!((&report["asked"]["http"], names(&report)), (&http.into(), vec!["echo-1"]));
        assert_eq!(report["connections"]["opened"], connections);
    };
    {
        let _echo = start(&[]);
        assert_ok(load(&format!("http://{address}/"), &streams), "2", 2);
    }
    let _echo = start(&["--cert", &cert, "--key", &key]);
    let url = format!("https://{address}/");
    assert_ok(load(&url, &[&streams[..], &["--ca", &ca]].concat()), "2", 2);
    assert_ok(load(&url, &["--insecure", "--requests", "100", "--connections", "3"]), "2", 3);
    let one = ["--http", "1.1", "--ca", &ca, "--requests", "100", "--connections", "3"];
    assert_ok(load(&url, &one), "1.1", 3);
    // The system's CA certificates do not include this one.
    assert!(refusal(&url, &[]).contains("UnknownIssuer"));
}

#[test]
fn tls_1_2_works() {
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    for (key, cipher) in [
        (P256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (P256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (&rsa[..], "ECDHE-RSA-AES128-GCM-SHA256"),
        (&rsa[..], "ECDHE-RSA-CHACHA20-POLY1305"),
    ] {
        let made = Certificates::new(P256);
        let nginx = Nginx::start("https", |conf, ip| {
            let [cert, key] = made.issue_for_address(ip, key);
            let tls = format!(
                "ssl http2; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2; \
                 ssl_ciphers {cipher};"
            );
            conf.replace("backlog=1024;", &tls)
        });
        for trust in [&["--ca", &made.path("ca.pem")][..], &["--insecure"]] {
            let (code, report) = load(&nginx.url, &[trust, &["--requests", "20"]].concat());
            assert_eq!((code, &report["ok"]), (0, &20.into()), "{cipher}: {}", report["failures"]);
            assert_eq!(report["asked"]["http"], "2");
        }
    }
}

#[test]
fn p384_keys_are_accepted() {
    // The second is openssl's default.
    for (authority, hash, server) in
        [(P384, "-sha384", P256), (P384, "-sha256", P256), (P384, "-sha384", P384), (P256, "-sha256", P384)]
    {
        let made = Certificates::with_hash(authority, hash);
        let nginx = Nginx::start("https", |conf, ip| {
            let [cert, key] = made.issue_for_address(ip, server);
            let tls =
                format!("ssl; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;");
            conf.replace("backlog=1024;", &tls)
        });
        let ca = made.path("ca.pem");
        let args = ["--requests", "20", "--instance", r"body:from ([\w-]+)", "--ca", &ca];
        let (code, report) = load(&nginx.url, &args);
        assert_eq!(
            (code, &report["ok"]),
            (0, &20.into()),
            "{authority:?} {server:?}: {}",
            report["failures"]
        );
        assert_eq!(names(&report), ["nginx-1"]);
        // Another authority with a key of the same kind is not trusted.
        let other = Certificates::with_hash(authority, hash);
        let message = refusal(&nginx.url, &["--ca", &other.path("ca.pem")]);
        assert!(
            message.contains("BadSignature") || message.contains("UnknownIssuer"),
            "{authority:?} {server:?}: {message}"
        );
    }
}
