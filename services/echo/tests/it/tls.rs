use std::fs;
use std::io::Write;
use std::process::Command;

use clap::Args;
use echo::{Echo, EchoArgs};
use harness::certificates::{Certificates, ED25519, P256, RSA, openssl, openssl_output};
use harness::process::Streams;
use harness::{Process, SpawnOptions, TIMEOUT};

use crate::client::{Client, curl, curl_output};
use crate::server::{Server, args, context};

/// Starts a server with these flags.
fn start(flags: &[String]) -> Server {
    Server::start(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Returns the startup error for these files.
fn error(cert: &str, key: &str, more: &[&str]) -> String {
    let flags = [&["--cert", cert, "--key", key], more].concat();
    Echo::new(args(&flags), &context()).unwrap_err().to_string()
}

#[test]
fn every_key_type_works_with_http1_and_http2() {
    for kind in [P256, RSA, ED25519] {
        let made = Certificates::new(kind);
        made.issue("server", kind, "/CN=echo");
        let server = start(&made.flags("server"));
        for (flag, protocol, alpn) in
            [("--http2", "HTTP/2.0", "\"alpn\":\"h2\""), ("--http1.1", "HTTP/1.1", "\"alpn\":\"http/1.1\"")]
        {
            let answer = curl(&[flag, "--cacert", &made.path("ca.pem"), &server.url("https", "/api")]);
            assert!(answer.contains(&format!("\"protocol\":\"{protocol}\"")), "{kind:?}: {answer}");
            assert!(answer.contains(alpn) && answer.contains("\"scheme\":\"https\""), "{kind:?}: {answer}");
        }
    }
}

#[test]
fn traditional_key_formats_are_accepted() {
    for (kind, traditional) in [(P256, "BEGIN EC PRIVATE KEY"), (RSA, "BEGIN RSA PRIVATE KEY")] {
        let made = Certificates::new(P256);
        made.issue("server", kind, "/CN=echo");
        let (new, old) = (made.path("server.key"), made.path("old.key"));
        openssl(&["pkey", "-traditional", "-in", &new, "-out", &old]);
        assert!(fs::read_to_string(&old).unwrap().contains(traditional));
        let server = start(&["--cert".into(), made.path("server.pem"), "--key".into(), old]);
        curl(&["--cacert", &made.path("ca.pem"), &server.url("https", "/bench")]);
    }
}

#[test]
fn every_cipher_suite_and_group_transfers_data_intact() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let server = start(&made.flags("server"));
    let ca = made.path("ca.pem");
    let body = made.write("body", &"0123456789abcdef".repeat(40_000));
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"] {
        for group in ["X25519", "P-256"] {
            let flags = ["--tls13-ciphers", suite, "--curves", group, "--cacert", &ca];
            let answer = curl(&[&flags[..], &[&server.url("https", "/api")]].concat());
            assert!(answer.contains(&suite.replacen("TLS", "TLS13", 1)), "{group}: {answer}");
            let url = server.url("https", "/data?size=3&unit=mb");
            let size = curl(
                &[&flags[..], &["--output", "/dev/null", "--write-out", "%{size_download}", &url]].concat(),
            );
            assert!(size.parse::<u64>().unwrap() >= 3_000_000, "{suite}, {group}: {size}");
            let data = format!("@{body}");
            let answer = curl(&[&flags[..], &["--data-binary", &data, &server.url("https", "/")]].concat());
            assert!(answer.contains(&"0123456789abcdef".repeat(40_000)), "{suite}, {group}");
        }
    }
}

#[test]
fn tls_1_2_and_unsupported_groups_are_rejected() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let server = start(&made.flags("server"));
    let (ca, url) = (made.path("ca.pem"), server.url("https", "/bench"));
    for flags in [["--tls-max", "1.2"], ["--curves", "P-384"], ["--tls13-ciphers", "TLS_AES_256_GCM_SHA384"]]
    {
        let output = curl_output(&[&flags[..], &["--cacert", &ca, &url]].concat());
        assert!(!output.status.success(), "{flags:?}: {output:?}");
    }
    curl(&["--cacert", &ca, &url]);
}

#[test]
fn server_name_is_shown() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let server = start(&made.flags("server"));
    let port = server.address.port();
    let resolve = format!("echo.test:{port}:127.0.0.1");
    let url = format!("https://echo.test:{port}/api");
    let answer = curl(&["--cacert", &made.path("ca.pem"), "--resolve", &resolve, &url]);
    assert!(answer.contains("\"serverName\":\"echo.test\""), "{answer}");
}

#[test]
fn client_certificate_is_shown() {
    for kind in [P256, RSA, ED25519] {
        let made = Certificates::new(kind);
        made.issue("server", P256, "/CN=echo");
        made.issue("client", kind, "/O=Swarmlings/CN=viktor");
        let mut flags = made.flags("server").to_vec();
        flags.extend(["--cacert".into(), made.path("ca.pem")]);
        let server = start(&flags);
        let (ca, cert, key) = (made.path("ca.pem"), made.path("client.pem"), made.path("client.key"));
        let answer = curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &server.url("https", "/api")]);
        let printed = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in", &cert]);
        let fingerprint = printed.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        assert!(answer.contains("\"subjects\":[\"CN=viktor,O=Swarmlings\""), "{kind:?}: {answer}");
        assert!(answer.contains(&format!("\"fingerprint\":\"{fingerprint}\"")), "{kind:?}: {answer}");
        assert!(answer.contains("\"verified\":true"), "{kind:?}: {answer}");
    }
}

#[test]
fn without_cacert_any_client_certificate_is_shown_and_none_is_needed() {
    let (made, others) = (Certificates::new(P256), Certificates::new(P256));
    made.issue("server", P256, "/CN=echo");
    let server = start(&made.flags("server"));
    let (ca, url) = (made.path("ca.pem"), server.url("https", "/api"));
    for kind in [P256, RSA, ED25519] {
        others.issue("client", kind, "/CN=viktor");
        let (cert, key) = (others.path("client.pem"), others.path("client.key"));
        let answer = curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url]);
        assert!(answer.contains("\"subjects\":[\"CN=viktor\""), "{kind:?}: {answer}");
        assert!(answer.contains("\"verified\":false"), "{kind:?}: {answer}");
        let answer = curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &server.url("https", "/")]);
        assert!(answer.contains("Certificate[0] Subject: CN=viktor\n"), "{kind:?}: {answer}");
    }
    let answer = curl(&["--cacert", &ca, &url]);
    assert!(answer.contains("\"tls\":{") && !answer.contains("\"verified\""), "{answer}");
}

#[test]
fn missing_or_untrusted_client_certificate_is_rejected() {
    let (made, others) = (Certificates::new(P256), Certificates::new(P256));
    made.issue("server", P256, "/CN=echo");
    others.issue("client", P256, "/CN=viktor");
    let mut flags = made.flags("server").to_vec();
    flags.extend(["--cacert".into(), made.path("ca.pem")]);
    let server = start(&flags);
    let (ca, url) = (made.path("ca.pem"), server.url("https", "/bench"));
    let none = curl_output(&["--cacert", &ca, &url]);
    let (cert, key) = (others.path("client.pem"), others.path("client.key"));
    let other = curl_output(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url]);
    for output in [none, other] {
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn plain_http_gets_an_error_response() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let server = start(&made.flags("server"));
    let output = curl(&["--include", &server.url("http", "/")]);
    assert!(output.starts_with("HTTP/1.0 400 "), "{output}");
    assert!(output.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{output}");
    // Other bytes close the connection, perhaps with an alert.
    let mut client = Client::connect(server.address);
    client.send([0; 100]);
    assert!(client.rest().len() < 20);
}

#[test]
fn certificate_is_reloaded_once_both_files_have_changed() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=old");
    made.issue("new", RSA, "/CN=new");
    let server = start(&made.flags("server"));
    let connect = server.address.to_string();
    let shown = || {
        let output = openssl_output(&["s_client", "-connect", &connect, "-CAfile", &made.path("ca.pem")]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let subject = text.lines().find(|line| line.starts_with("subject="));
        subject.expect(&text).replace(' ', "")
    };
    assert_eq!(shown(), "subject=CN=old");
    fs::rename(made.path("new.pem"), made.path("server.pem")).unwrap();
    assert_eq!(shown(), "subject=CN=old");
    fs::rename(made.path("new.key"), made.path("server.key")).unwrap();
    assert_eq!(shown(), "subject=CN=new");
    fs::remove_file(made.path("server.key")).unwrap();
    assert_eq!(shown(), "subject=CN=new");
}

#[test]
fn shutdown_closes_tls_cleanly() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    let server = start(&made.flags("server"));
    let (input, mut writer) = std::io::pipe().unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-ign_eof", "-verify_quiet", "-CAfile", &made.path("ca.pem")]);
    command.args(["-connect", &server.address.to_string()]);
    let streams = Streams { stdin: Some(input.into()), ..Streams::default() };
    let mut client = Process::spawn_with("openssl", &mut command, SpawnOptions::default(), streams).unwrap();
    writer.write_all(b"GET /bench HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    client.log().wait_for("HTTP/1.1 200", TIMEOUT).unwrap();
    server.shut_down().recv_timeout(TIMEOUT).unwrap();
    assert!(client.wait(TIMEOUT).unwrap().success(), "{}", client.tail());
    client.log().wait_for_end(TIMEOUT).unwrap();
    assert_eq!(client.log().count("unexpected eof"), 0, "{}", client.tail());
}

#[test]
fn invalid_files_are_reported_at_startup() {
    let made = Certificates::new(P256);
    made.issue("server", P256, "/CN=echo");
    made.issue("other", P256, "/CN=other");
    let [cert, key, other] = ["server.pem", "server.key", "other.key"].map(|name| made.path(name));
    let nothing = made.path("nothing");
    let text = made.write("text", "hello\n");
    let half = made.write("half", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let odd = made.write("odd", "-----BEGIN CERTIFICATE-----\nA?AA\n-----END CERTIFICATE-----\n");
    let broken = made.write("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let encrypted = made.path("encrypted.key");
    openssl(&["pkey", "-aes256", "-passout", "pass:x", "-in", &key, "-out", &encrypted]);
    let p384 = made.path("p384.key");
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", &p384]);

    let certificates = [
        (&nothing, "no such file or directory"),
        (&text, "not valid PEM"),
        (&key, "no certificate found"),
        (&half, "PEM section without END line"),
        (&odd, "invalid Base64"),
        (&broken, "malformed certificate"),
    ];
    for (path, why) in certificates {
        let said = error(path, &key, &[]);
        assert!(said.starts_with(&format!("reading certificate {path}: {why}")), "{said}");
    }
    let kinds = "malformed or unsupported key; use P-256, RSA or Ed25519";
    let mismatch = format!("does not match the certificate in {cert}");
    let keys = [
        (&nothing, "no such file or directory"),
        (&text, "not valid PEM"),
        (&cert, "no private key found"),
        (&encrypted, "encrypted with a passphrase; decrypt it with `openssl pkey`"),
        (&p384, kinds),
        (&other, &mismatch),
    ];
    for (path, why) in keys {
        assert_eq!(error(&cert, path, &[]), format!("reading private key {path}: {why}"));
    }
    let roots = [
        (&nothing, "no such file or directory"),
        (&key, "no certificate found"),
        (&broken, "certificate 1: "),
    ];
    for (path, why) in roots {
        let said = error(&cert, &key, &["--cacert", path]);
        assert!(said.starts_with(&format!("reading client CA certificates {path}: {why}")), "{said}");
    }
}

#[test]
fn certificate_and_key_require_each_other() {
    let command = EchoArgs::augment_args(clap::Command::new("echo")).mut_args(|arg| arg.env(None));
    for flags in [["--cert", "x"], ["--key", "x"], ["--cacert", "x"]] {
        let error = command.clone().try_get_matches_from([&["echo"], &flags[..]].concat()).unwrap_err();
        assert!(error.to_string().contains("required"), "{error}");
    }
}
