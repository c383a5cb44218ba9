//! Certificates for clients, which the hub gives to Traefik from a directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use harness::certificates::{Certificates, P256, RSA, presented};
use harness::process::run;
use harness::{Fleet, FleetOptions, TIMEOUT, eventually};

#[test]
fn traefik_presents_renewed_certificates_by_name_without_a_restart() {
    let made = Certificates::new(P256);
    let directory = tempfile::tempdir().unwrap();
    let issue = |name: &str, kind| {
        made.issue_for(name, kind, &format!("/CN={name}.test"), &format!("DNS:{name}.test"));
        ["pem", "key"].map(|end| fs::read_to_string(made.path(&format!("{name}.{end}"))).unwrap())
    };
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let [first, key] = issue("one", P256);
    write("one.crt", &first);
    write("one.key", &key);
    let [other, key] = issue("two", RSA);
    write("two.crt", &other);
    write("two.key", &key);

    let flags = ["--certificates".to_owned(), directory.path().display().to_string()];
    let mut fleet =
        Fleet::spawn(FleetOptions { hub_arguments: flags.into(), ..FleetOptions::default() }).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let mut spec = fleet.spec("ping", "ping-1").unwrap();
    spec.labels.push(("traefik.http.routers.ping.tls".to_owned(), "true".to_owned()));
    let mut ping = fleet.launch(spec).unwrap();
    fleet.wait_routed([&mut ping]).unwrap();
    let entry = fleet.traefik.url().strip_prefix("http://").unwrap().parse().unwrap();
    let ca = made.path("ca.pem");
    assert_eq!(presented(entry, "one.test", &ca).unwrap(), first);
    assert_eq!(presented(entry, "two.test", &ca).unwrap(), other);
    // The default certificate is that of no name.
    assert!(presented(entry, "three.test", &ca).is_err());

    // Half of a renewal, and a broken one, change nothing.
    let [renewed, key] = issue("one", RSA);
    write("one.crt", "in progress");
    fleet.hub.process().log().wait_for("a certificate for routers is not used: ", TIMEOUT).unwrap();
    assert_eq!(presented(entry, "one.test", &ca).unwrap(), first);
    write("one.crt", &renewed);
    write("one.key", &key);
    eventually(TIMEOUT, || {
        let now = presented(entry, "one.test", &ca).expect("no request fails");
        ensure!(now == renewed, "still the old certificate");
        Ok(())
    })
    .unwrap();
    assert_eq!(presented(entry, "two.test", &ca).unwrap(), other);
    // No client of the hub's API reads a key, and no log has one.
    let secret = key.lines().nth(1).unwrap();
    for path in ["/traefik", "/v1/instances", "/v1/status"] {
        let url = format!("{}{path}", fleet.hub.url());
        let authorization = format!("Bearer {}", fleet.hub.token().unwrap());
        let response = harness::http::request("GET", &url, &[("authorization", &authorization)]).unwrap();
        assert!(response.status == 200 && !response.body.contains(secret), "{path}: {}", response.status);
    }
    assert_eq!(fleet.hub.process().log().count(secret), 0);
}

#[test]
fn hub_does_not_start_without_its_certificates() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("site.key"), "-----BEGIN CERTIFICATE-----").unwrap();
    fs::write(directory.path().join("site.crt"), "-----BEGIN PRIVATE KEY-----").unwrap();
    for (directory, expected) in [
        (Path::new("/missing"), "reading certificates for Traefik: /missing: No such file"),
        (directory.path(), "/site.key: no private key in PEM format"),
    ] {
        let mut hub = Command::new(harness::Binaries::find().unwrap().path("hub"));
        hub.args(["--insecure", "--port", "0", "--certificates"]).arg(directory);
        let output = run(&mut hub).unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}
