//! Each check with values that Traefik accepts, and values with which it disables a router or fails its requests.

use super::*;

fn assert_all(check: Check, good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(check.mismatch(value), None, "{check:?} {value:?}");
    }
    for value in bad {
        assert!(check.mismatch(value).is_some(), "{check:?} {value:?}");
    }
}

#[test]
fn numbers_and_durations_have_bounds() {
    assert_all(Check::Int(1, 100), &["1", "100", "+7"], &["0", "101", "2147483647", "-1", "", "x"]);
    let interval = Check::Duration(100_000_000);
    assert_all(interval, &["100ms", "1", "1m30s", "0.1s", "2000h"], &["1ns", "99ms", "0", "-1", "-5s", ""]);
    assert_all(Check::Duration(0), &["0", "0s", "10"], &["-1ns", "9223372037", "9223372036854775807"]);
    assert_eq!(interval.mismatch("1ns").unwrap(), "expected a duration of at least 100ms, got \"1ns\"");
}

#[test]
fn networks_follow_go() {
    assert_all(
        Check::Network,
        &["10.0.0.0/8", "10.0.0.1", "::1", "fd00::/8", "::ffff:10.0.0.1", "10.0.0.0/08"],
        &[
            "10.0.0.0/99",
            "10.0.0.0/",
            "10.0.0",
            "010.0.0.1",
            "fe80::1%eth0",
            "fd00::/129",
            "10.0.0.0/+8",
            "a",
            " 10.0.0.1",
        ],
    );
}

#[test]
fn words_follow_http() {
    assert_all(Check::Token, &["X-Real-Ip", "a", "GET", ""], &["X Y", "X:", "é", "a\n"]);
    assert_all(Check::HeaderValue, &["", "a b\té"], &["a\nb", "\0", "\u{7f}"]);
    assert_all(
        Check::MediaType,
        &["text/html", "application/json; charset=utf-8", "text/html;", "image/svg+xml", "a/b; c=\"d e\""],
        &["text/", "/html", "text html", "a/b; c", "a/b/c", "text/html;;", "a/b; c=d;;"],
    );
    assert_all(Check::NamedStatus, &["0", "403", "418", "511"], &["1", "100", "299", "600", "x", "-403"]);
    assert_all(
        Check::StatusRange,
        &["500", "500-599", "100-999"],
        &["5xx", "500-", "-599", "500 - 599", "99", "1000"],
    );
    assert_all(Check::OneOf(&["wrr"]), &["", "wrr"], &["WRR", "any"]);
    assert_all(Check::OneOfFolded(&["lax"]), &["", "Lax"], &["loose"]);
    assert_all(Check::MaxBytes(2), &["", "é"], &["abc"]);
}

#[test]
fn urls_follow_go() {
    assert_all(
        Check::Url(&["http", "h2c"]),
        &[
            "http://a",
            "http://a:80/b?c=d#e",
            "HTTP://a",
            "h2c://[::1]:80",
            "http://u:p@a",
            "http://é",
            "http://a/%20",
            "http://a:",
        ],
        &[
            "::",
            "a",
            "http://",
            "http:///a",
            "https://a",
            "http://a:b",
            "http://a b",
            "http://[::1",
            "http://[x]",
            "http://a:70000",
            "http://a/%zz",
            "http://a/\n",
            "http://a<b",
        ],
    );
    assert_all(
        Check::Path,
        &["/a", "a", "?a=b", "/a:b", "", "/%41"],
        &["http://a", "//a/b", "a:b", "/%4", "/\n"],
    );
    assert_all(Check::Scheme, &["https", "h2c", "a+b.c-d"], &["1a", "a b", "a:", "://"]);
    assert_all(Check::Port, &["", "1", "65535"], &["0", "65536", "+1", "a", "-1"]);
}

#[test]
fn regular_expressions_follow_go() {
    assert_all(Check::Regex, &["^http://(.*)$", "(?i)a", "", "a{2}"], &["(", "a{2000}", "(?<=a)b", "[b-a]"]);
}

#[test]
fn users_have_a_name_and_a_hash() {
    assert_all(
        Check::BasicUser,
        &["a:b", "a:$apr1$x$y", "a:{SHA}x=", "a:$2y$05$abc", "a:$2y$14$abc", ":b"],
        &["admin", "a:b:c", "a:$2y$15$abc", "a:$2b$31$abc"],
    );
    assert_all(Check::DigestUser, &["a:r:h"], &["a", "a:h", "a:r:h:x"]);
    for (value, is_known) in
        [("a:$apr1$x$y", true), ("a:{SHA}x", true), ("a:$5$x$y", false), ("a:$$apr1$$x$$y", false)]
    {
        assert_eq!(Check::BasicUser.warning(value).is_none(), is_known, "{value}");
    }
    // Hashes are secret.
    for value in ["$apr1$secret", "a:$2y$31$secret", "a:secret:secret"] {
        let message = Check::BasicUser.mismatch(value).unwrap();
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(!Check::DigestUser.mismatch("a:secret").unwrap().contains("secret"));
}

#[test]
fn pem_is_text_and_never_a_file() {
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let certificate = block("CERTIFICATE");
    assert_all(
        Check::Pem("CERTIFICATE"),
        &["", &certificate, &(certificate.clone() + &certificate)],
        &[
            "/dev/zero",
            "ca.pem",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----/../../dev/zero",
            "-----BEGIN CERTIFICATE-----/../dev/zero-----",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
            &block("PRIVATE KEY"),
        ],
    );
    assert_all(
        Check::Pem("PRIVATE KEY"),
        &[&block("PRIVATE KEY"), &block("RSA PRIVATE KEY"), &block("EC PRIVATE KEY")],
        &["/etc/key", &certificate],
    );
    let message = Check::Pem("PRIVATE KEY").mismatch("secret").unwrap();
    assert!(!message.contains("secret") && message.contains("cannot name files"), "{message}");
}

#[test]
fn circuit_breaker_conditions_follow_traefik() {
    assert_all(
        Check::BreakerCondition,
        &[
            "NetworkErrorRatio() > 0.30",
            "LatencyAtQuantileMS(50.0) > 100",
            "ResponseCodeRatio(500, 600, 0, 600) > 0.25",
            "ResponseCodeRatio(500,600,0,600)>.5||NetworkErrorRatio()>=0.5&&(LatencyAtQuantileMS(95.5)!=3)",
            "((NetworkErrorRatio() < 1.0))",
            "NetworkErrorRatio() > 1e-1 && NetworkErrorRatio() < 9.5E+2",
        ],
        &[
            "NetworkErrorRatio()",
            "NetworkErrorRatio() > 1",
            "NetworkErrorRatio > 0.3",
            "NetworkErrorRatio(1) > 0.3",
            "LatencyAtQuantileMS(50) > 100",
            "LatencyAtQuantileMS(50.0) > 100.0",
            "ResponseCodeRatio(500, 600, 0) > 0.25",
            "Foo() > 1",
            "RequestThreshold() > 3",
            "0.30 < NetworkErrorRatio()",
            "NetworkErrorRatio() > 0.30 &&",
            "NetworkErrorRatio() > 0.30 AND NetworkErrorRatio() > 0.30",
            "!(NetworkErrorRatio() > 0.30)",
            "(NetworkErrorRatio() > 0.30",
            "NetworkErrorRatio() > 0.30)",
            "NetworkErrorRatio() > 0.1 > 0.2",
            "NetworkErrorRatio() > -0.1",
            "NetworkErrorRatio() > 1e",
            "1",
            &format!("{}NetworkErrorRatio() > 0.3", "(".repeat(100_000)),
        ],
    );
    let unknown = Check::BreakerCondition.mismatch("NetworkErrorRate() > 0.3").unwrap();
    assert_eq!(
        unknown,
        "unknown function \"NetworkErrorRate\"; expected one of LatencyAtQuantileMS, NetworkErrorRatio, \
         ResponseCodeRatio"
    );
}

#[test]
fn retry_conditions_follow_traefik() {
    assert_all(
        Check::RetryCondition,
        &[
            "IsNetworkError()",
            "IsNetworkError() && Attempts() < 2",
            "ResponseCode() == 502 && RequestMethod() == \"GET\"",
        ],
        &[
            "Attempts()",
            "IsNetworkError() == 1",
            "RequestMethod() < \"GET\"",
            "NetworkErrorRatio() > 0.3",
            "RequestMethod() == \"a",
        ],
    );
}
