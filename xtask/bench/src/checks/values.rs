//! Label sets with one option of a middleware or a service, whose value is right, wrong, or nearly right.
//!
//! All values have the type of their option, because Traefik rejects a whole document for one that has not.

use super::Case;
use super::oracle::service;
use super::random::Random;

/// An option to vary: the other options that the definition needs, the option, and its values.
type Option = (&'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

const STATUSES: &[&str] =
    &["500", "500-599", "404", "5xx", "500-", "-", "500-599-600", " 500", "0x1f4", "99999999999999999999"];

const NETWORKS: &[&str] = &[
    "10.0.0.0/8",
    "10.0.0.1",
    "::1",
    "fd00::/8",
    "10.0.0.0/99",
    "10.0.0",
    "010.0.0.1",
    "fe80::1%eth0",
    "fd00::/129",
    "a",
    "10.0.0.0/08",
    "::ffff:10.0.0.1/104",
    "10.0.0.0/8/8",
    "1.2.3.4.5",
    "::",
    ":::",
    "10.0.0.0/",
    "/8",
    "0.0.0.0/0",
];

const REGEXES: &[&str] = &[
    "^/a/(.*)$",
    "(",
    "[a-",
    "a{2,1}",
    "(?i)a",
    "(?<=a)b",
    "\\d+",
    "a{1001}",
    "*",
    "(?P<n>a)",
    "\\p{Greek}",
    "a**",
    "[[:foo:]]",
];

/// Options of middlewares, below `http.middlewares.NAME`.
const MIDDLEWARES: &[Option] = &[
    (&[], "addprefix.prefix", &["/a", "a", ""]),
    (&[], "basicauth.users", &["a:b", "admin", "a:b:c", "a:$apr1$x$y", ":", "::", "a:b,c:d", "a:b,c", ""]),
    (&[], "digestauth.users", &["a:r:h", "a:h", "a", "a:r:h:x", "::", "a:r:h,b:r:h"]),
    (&[], "ipallowlist.sourcerange", NETWORKS),
    (&[], "ipwhitelist.sourcerange", NETWORKS),
    (&[("ipallowlist.sourcerange", "::1")], "ipallowlist.ipstrategy.excludedips", NETWORKS),
    (
        &[("ipallowlist.sourcerange", "::1")],
        "ipallowlist.ipstrategy.ipv6subnet",
        &["0", "1", "64", "128", "129", "-1"],
    ),
    (
        &[("ipallowlist.sourcerange", "::1")],
        "ipallowlist.rejectstatuscode",
        &["0", "403", "404", "418", "299", "600", "-1", "306", "509"],
    ),
    (&[("ratelimit.average", "1")], "ratelimit.period", &["1s", "10", "-1s", "0", "1h", "-5"]),
    (&[("ratelimit.average", "1")], "ratelimit.sourcecriterion.requestheadername", &["X-A", ""]),
    (
        &[("ratelimit.average", "1"), ("ratelimit.sourcecriterion.requesthost", "true")],
        "ratelimit.sourcecriterion.requestheadername",
        &["X-A", ""],
    ),
    (
        &[("inflightreq.amount", "1"), ("inflightreq.sourcecriterion.ipstrategy.depth", "1")],
        "inflightreq.sourcecriterion.requesthost",
        &["true", "false"],
    ),
    (
        &[],
        "circuitbreaker.expression",
        &[
            "NetworkErrorRatio() > 0.30",
            "NetworkErrorRatio() > 1",
            "LatencyAtQuantileMS(50.0) > 100",
            "LatencyAtQuantileMS(50) > 100",
            "ResponseCodeRatio(500, 600, 0, 600) > 0.25",
            "ResponseCodeRatio(500, 600) > 0.25",
            "Foo()",
            "",
            "1",
            "NetworkErrorRatio() > 0.3 || LatencyAtQuantileMS(9.5) <= 4 && NetworkErrorRatio() != 1.0",
            "(NetworkErrorRatio() < 0.1)",
            "!(NetworkErrorRatio() < 0.1)",
            "0.1 < NetworkErrorRatio()",
            "NetworkErrorRatio() > .5",
            "NetworkErrorRatio() > 1e-1",
            "NetworkErrorRatio()>0x1p-2",
            "RequestThreshold() > 3",
            "ResponseCodeRatio(500, 600, 0, 600,) > 0.25",
            "NetworkErrorRatio() > 5.",
            "LatencyAtQuantileMS(50.0) > 0x10",
            "LatencyAtQuantileMS(50.0) > 1_000",
            "LatencyAtQuantileMS(50.0) > 010",
        ],
    ),
    (
        &[],
        "buffering.retryexpression",
        &[
            "IsNetworkError()",
            "IsNetworkError() && Attempts() < 2",
            "ResponseCode() == 502",
            "RequestMethod() == \"GET\"",
            "RequestMethod() == `GET`",
            "RequestMethod() < \"GET\"",
            "Attempts()",
            "NetworkErrorRatio() > 0.3",
            "IsNetworkError() || x",
            "",
            "ResponseCode() == 'a'",
        ],
    ),
    (&[], "buffering.maxrequestbodybytes", &["0", "1000000", "-1"]),
    (&[], "buffering.memrequestbodybytes", &["0", "1000000", "-1"]),
    (&[], "buffering.maxresponsebodybytes", &["0", "1000000", "-1"]),
    (&[], "buffering.memresponsebodybytes", &["0", "1000000", "-1"]),
    (&[], "compress.encodings", &["gzip", "br,zstd", "deflate", "GZIP", "gzip,"]),
    (
        &[],
        "compress.excludedcontenttypes",
        &[
            "text/html",
            "text/html; charset=utf-8",
            "text/",
            "text",
            "a b",
            "text/html;",
            "text/html; x",
            "/",
            ";",
        ],
    ),
    (&[("compress.excludedcontenttypes", "a/b")], "compress.includedcontenttypes", &["text/html", "text/"]),
    (&[("compress.encodings", "br")], "compress.defaultencoding", &["br", "gzip", "x", ""]),
    (&[("errors.service", "SERVICE")], "errors.status", STATUSES),
    (&[("errors.status", "500")], "errors.service", &["SERVICE", ""]),
    (&[("errors.service", "SERVICE")], "errors.statusrewrites.400-404", &["200", "503"]),
    (&[("errors.service", "SERVICE")], "errors.statusrewrites.4xx", &["200"]),
    (&[("retry.attempts", "2")], "retry.status", STATUSES),
    (&[], "retry.attempts", &["1", "0", "-1", "5"]),
    (&[("retry.attempts", "2")], "retry.disableretryonnetworkerror", &["true", "false"]),
    (&[], "retry.timeout", &["1s"]),
    (&[("forwardauth.address", "http://a")], "forwardauth.authresponseheadersregex", REGEXES),
    (&[("forwardauth.address", "http://a")], "forwardauth.tls.insecureskipverify", &["true"]),
    (
        &[("forwardauth.address", "http://a")],
        "forwardauth.tls.key",
        &["-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"],
    ),
    (&[], "redirectregex.regex", REGEXES),
    (&[], "replacepathregex.regex", REGEXES),
    (&[], "stripprefixregex.regex", REGEXES),
    (&[], "headers.accesscontrolalloworiginlistregex", REGEXES),
    (&[], "headers.framedeny", &["true", "false", "T", "0"]),
    (&[], "headers.sslredirect", &["true", "false"]),
    (&[], "headers.referrerpolicy", &["", "no-referrer"]),
    (&[], "headers.stsseconds", &["0", "1"]),
    (&[], "redirectscheme.scheme", &["https", "", "h2c"]),
    (&[], "redirectscheme.port", &["443"]),
    (&[], "chain.middlewares", &["", "NAME"]),
    (&[], "stripprefix.prefixes", &["/a", "", "a,b"]),
    (&[], "passtlsclientcert.pem", &["true"]),
    (&[], "grpcweb.alloworigins", &["*", ""]),
    (&[], "contenttype.autodetect", &["true"]),
];

/// Options of services, below `http.services.NAME`.
const SERVICES: &[Option] = &[
    (&[], "loadbalancer.strategy", &["wrr", "p2c", "hrw", "leasttime", "", "WRR", "drr", "random"]),
    (&[], "loadbalancer.sticky.cookie.samesite", &["lax", "strict", ""]),
    (&[], "loadbalancer.healthcheck.path", &["/", "health"]),
    (&[], "loadbalancer.passivehealthcheck.maxfailedattempts", &["1", "3"]),
    (&[], "loadbalancer.responseforwarding.flushinterval", &["1ms", "-1"]),
    (&[("loadbalancer.passhostheader", "true")], "weighted.services[0].name", &["SERVICE"]),
    (&[], "weighted.services[0].name", &["NAME"]),
    (&[], "weighted.services[0].weight", &["1"]),
];

/// Returns a case with this number in its document.
pub(super) fn case(random: &mut Random, number: usize) -> Case {
    let name = service(number);
    let is_service = random.chance(15);
    let (kind, table) =
        if is_service { ("values of services", SERVICES) } else { ("values of middlewares", MIDDLEWARES) };
    let (base, option, values) = table[random.below(table.len())];
    let value = random.pick(values).replace("SERVICE", &name);
    // A number stays a number.
    let is_text = !values.iter().all(|value| value.parse::<i64>().is_ok() || is_word(value));
    // References are checked with all services.
    let is_reference = values.iter().any(|value| matches!(*value, "NAME" | "SERVICE"));
    let value = if is_text && !is_reference && random.chance(30) { mutated(random, value) } else { value };
    let section = if is_service { "services" } else { "middlewares" };
    let other = format!("{name}-{section}");
    let place = |option: &str| format!("http.{section}.{other}.{option}");
    let mut labels = vec![(format!("http.routers.{name}.rule"), "Path(`/`)".to_owned())];
    let reference = if is_service { "service" } else { "middlewares" };
    labels.push((format!("http.routers.{name}.{reference}"), other.clone()));
    // Sometimes the options are missing that the definition needs.
    if !random.chance(10) {
        labels.extend(base.iter().map(|(option, value)| (place(option), value.replace("SERVICE", &name))));
    }
    labels.push((place(option), value.replace("NAME", &other)));
    if !is_service && random.chance(5) {
        let (_, second, values) = MIDDLEWARES[random.below(MIDDLEWARES.len())];
        labels.push((place(second), values[0].replace("SERVICE", &name).replace("NAME", &other)));
    }
    // The hub adds a service only if the router names none.
    labels.push((format!("http.services.{name}.loadbalancer.passhostheader"), "true".to_owned()));
    if !is_service {
        labels.push((format!("http.routers.{name}.service"), name));
    }
    Case { kind, labels }
}

/// Whether a value is a boolean or a duration, whose mutations would have no valid type.
fn is_word(value: &str) -> bool {
    parse::go_bool(value).is_some() || parse::go_duration(value.trim_start_matches('-')).is_ok()
}

/// Removes, doubles or replaces a character.
fn mutated(random: &mut Random, value: String) -> String {
    let mut letters: Vec<char> = value.chars().collect();
    if letters.is_empty() {
        return value;
    }
    let place = random.below(letters.len());
    match random.below(3) {
        0 => drop(letters.remove(place)),
        1 => letters.insert(place, letters[place]),
        _ => {
            let other = random.pick(&["a", "0", "/", ":", "(", " ", ".", "-", ";"]);
            letters[place] = other.chars().next().unwrap_or('a');
        }
    }
    letters.into_iter().collect()
}
