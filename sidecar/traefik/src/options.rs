//! Rules of the hub for single options, beyond their type: valid values, options that labels must not set, and
//! options without effect. A path is the end of a path in `fields.txt`.

use crate::document::API_PRIORITY;
use crate::values::Check;

const MS: i128 = 1_000_000;

/// Maximum number of bytes of a body that an option may keep in Traefik's memory.
const MAX_BUFFER: i64 = 128 << 20;

/// Maximum of counts, such as a limit of requests.
const MAX_COUNT: i64 = 1_000_000_000;

/// Maximum weight. Traefik's TCP and UDP balancers search one weight after another for a server.
const MAX_WEIGHT: i64 = 65_535;

const SERVER_SCHEMES: &[&str] = &["http", "https", "h2c"];

const TLS_VERSIONS: Check = Check::OneOf(&["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"]);

const CERTIFICATE: Check = Check::Pem("CERTIFICATE");

const KEY: Check = Check::Pem("PRIVATE KEY");

/// Valid values. The first line that matches applies.
const CHECKS: &[(&str, Check)] = &[
    // Authentication.
    ("basicauth.users", Check::BasicUser),
    ("digestauth.users", Check::DigestUser),
    ("headerfield", Check::Token),
    ("forwardauth.address", Check::Url(&["http", "https"])),
    ("forwardauth.authrequestheaders", Check::Token),
    ("forwardauth.authresponseheaders", Check::Token),
    ("forwardauth.maxbodysize", Check::Int(-1, MAX_BUFFER)),
    ("forwardauth.maxresponsebodysize", Check::Int(-1, MAX_BUFFER)),
    // Bodies in memory.
    ("buffering.maxrequestbodybytes", Check::Int(0, i64::MAX)),
    ("buffering.maxresponsebodybytes", Check::Int(0, i64::MAX)),
    ("buffering.memrequestbodybytes", Check::Int(0, MAX_BUFFER)),
    ("buffering.memresponsebodybytes", Check::Int(0, MAX_BUFFER)),
    ("buffering.retryexpression", Check::RetryCondition),
    ("compress.minresponsebodybytes", Check::Int(0, MAX_BUFFER)),
    ("retry.maxrequestbodybytes", Check::Int(0, MAX_BUFFER)),
    // Other middlewares.
    ("circuitbreaker.expression", Check::BreakerCondition),
    ("circuitbreaker.responsecode", Check::Int(200, 599)),
    ("compress.defaultencoding", Check::OneOf(&["gzip", "br", "zstd"])),
    ("compress.encodings", Check::OneOf(&["gzip", "br", "zstd"])),
    ("compress.excludedcontenttypes", Check::MediaType),
    ("compress.includedcontenttypes", Check::MediaType),
    ("errors.errorrequestheaders", Check::Token),
    ("errors.status", Check::StatusRange),
    ("errors.statusrewrites.*", Check::Int(200, 599)),
    ("headers.accesscontrolallowheaders", Check::HeaderValue),
    ("headers.accesscontrolallowmethods", Check::HeaderValue),
    ("headers.accesscontrolexposeheaders", Check::HeaderValue),
    ("customrequestheaders.*", Check::HeaderValue),
    ("customresponseheaders.*", Check::HeaderValue),
    ("headers.hostsproxyheaders", Check::Token),
    ("headers.stsseconds", Check::Int(0, MAX_COUNT)),
    ("inflightreq.amount", Check::Int(1, MAX_COUNT)),
    ("inflightconn.amount", Check::Int(1, MAX_COUNT)),
    ("ipallowlist.rejectstatuscode", Check::NamedStatus),
    ("sourcerange", Check::Network),
    ("ipstrategy.excludedips", Check::Network),
    ("ipstrategy.ipv6subnet", Check::Int(1, 128)),
    ("sourcecriterion.requestheadername", Check::Token),
    ("ratelimit.average", Check::Int(0, MAX_COUNT)),
    ("ratelimit.burst", Check::Int(0, MAX_COUNT)),
    ("ratelimit.period", Check::Duration(0)),
    ("redirectscheme.scheme", Check::Scheme),
    ("redirectscheme.port", Check::Port),
    ("retry.attempts", Check::Int(1, 100)),
    ("retry.initialinterval", Check::Duration(0)),
    ("retry.timeout", Check::Duration(0)),
    ("retry.status", Check::StatusRange),
    ("redirectregex.regex", Check::Regex),
    ("replacepathregex.regex", Check::Regex),
    ("stripprefixregex.regex", Check::Regex),
    ("authresponseheadersregex", Check::Regex),
    ("accesscontrolalloworiginlistregex", Check::Regex),
    // Routers.
    // Below the hub's own router. Traefik's type has 32 bits on some platforms.
    ("http.routers.*.priority", Check::Int(i32::MIN as i64, API_PRIORITY - 1)),
    ("tcp.routers.*.priority", Check::Int(i32::MIN as i64, API_PRIORITY - 1)),
    ("observability.traceverbosity", Check::OneOf(&["minimal", "detailed"])),
    // Services.
    ("loadbalancer.strategy", Check::OneOf(&["wrr", "p2c", "hrw", "leasttime"])),
    ("server.scheme", Check::OneOfFolded(SERVER_SCHEMES)),
    ("server.url", Check::Url(SERVER_SCHEMES)),
    ("weight", Check::Int(0, MAX_WEIGHT)),
    ("healthcheck.headers.*", Check::HeaderValue),
    ("healthcheck.hostname", Check::HeaderValue),
    ("healthcheck.interval", Check::Duration(100 * MS)),
    ("healthcheck.unhealthyinterval", Check::Duration(100 * MS)),
    ("healthcheck.timeout", Check::Duration(MS)),
    ("healthcheck.method", Check::Token),
    ("healthcheck.mode", Check::OneOf(&["http", "grpc"])),
    ("healthcheck.path", Check::Path),
    ("healthcheck.port", Check::Int(0, 65_535)),
    ("healthcheck.scheme", Check::OneOfFolded(SERVER_SCHEMES)),
    ("healthcheck.status", Check::Int(0, 599)),
    ("healthcheck.send", Check::MaxBytes(65_535)),
    ("healthcheck.expect", Check::MaxBytes(65_535)),
    ("passivehealthcheck.failurewindow", Check::Duration(MS)),
    ("passivehealthcheck.maxfailedattempts", Check::Int(1, 10_000)),
    ("cookie.samesite", Check::OneOfFolded(&["none", "lax", "strict"])),
    ("proxyprotocol.version", Check::Int(1, 2)),
    // Transports and TLS.
    ("forwardingtimeouts.dialtimeout", Check::Duration(0)),
    ("forwardingtimeouts.idleconntimeout", Check::Duration(0)),
    ("forwardingtimeouts.pingtimeout", Check::Duration(0)),
    ("forwardingtimeouts.readidletimeout", Check::Duration(0)),
    ("forwardingtimeouts.responseheadertimeout", Check::Duration(0)),
    ("tcp.serverstransports.*.dialtimeout", Check::Duration(0)),
    ("minversion", TLS_VERSIONS),
    ("maxversion", TLS_VERSIONS),
    ("ciphersuites", Check::OneOf(CIPHER_SUITES)),
    ("curvepreferences", Check::OneOf(CURVES)),
    (
        "clientauth.clientauthtype",
        Check::OneOf(&[
            "NoClientCert",
            "RequestClientCert",
            "RequireAnyClientCert",
            "VerifyClientCertIfGiven",
            "RequireAndVerifyClientCert",
        ]),
    ),
    ("alpnprotocols", Check::MaxBytes(255)),
    ("clientauth.cafiles", CERTIFICATE),
    ("rootcas", CERTIFICATE),
    ("certificates.[n].certfile", CERTIFICATE),
    ("certificates.[n].keyfile", KEY),
    ("tls.ca", CERTIFICATE),
    ("tls.cert", CERTIFICATE),
    ("tls.key", KEY),
    // Redis. A negative pool size ends Traefik's provider for ever.
    ("redis.poolsize", Check::Int(0, 1_000)),
    ("redis.minidleconns", Check::Int(0, 100)),
    ("redis.maxactiveconns", Check::Int(0, 10_000)),
    ("redis.db", Check::Int(0, 65_535)),
];

/// Options whose wrong values Traefik ignores: a warning, not an error. TLS options of routers are not among them, since a
/// typo there would allow weaker TLS.
const IGNORED: &[&str] = &[
    "forwardauth.authrequestheaders",
    "forwardauth.authresponseheaders",
    "headers.hostsproxyheaders",
    "sourcecriterion.requestheadername",
    "observability.traceverbosity",
    "healthcheck.mode",
    "cookie.samesite",
    "http.serverstransports.*.minversion",
    "http.serverstransports.*.maxversion",
];

/// Valid names, where the user chooses the last part of the key.
const NAMES: &[(&str, Check)] = &[
    ("errors.statusrewrites.*", Check::StatusRange),
    ("customrequestheaders.*", Check::Token),
    ("customresponseheaders.*", Check::Token),
    ("headers.sslproxyheaders.*", Check::Token),
    ("healthcheck.headers.*", Check::Token),
];

const IN_FILES_ONLY: &str = "Traefik does not allow this option in labels, because it affects other services; set it in \
                             Traefik's file provider";

const HOST_FILE: &str = "labels cannot name files on Traefik's host; set users instead";

/// Options that labels must not set, with everything below them.
const REFUSED: &[(&str, &str)] = &[
    ("http.routers.*.parentrefs", IN_FILES_ONLY),
    ("http.services.*.mirroring", IN_FILES_ONLY),
    ("http.services.*.failover", IN_FILES_ONLY),
    ("http.services.*.highestrandomweight", IN_FILES_ONLY),
    ("http.middlewares.*.basicauth.usersfile", HOST_FILE),
    ("http.middlewares.*.digestauth.usersfile", HOST_FILE),
    ("tls.certificates", IN_FILES_ONLY),
    ("tls.stores.*.defaultcertificate", IN_FILES_ONLY),
];

/// Options whose values only routers receive: keys, users, passwords and credentials. Everything below plugins is one,
/// since only a plugin knows what its options mean.
const SECRETS: &[&str] = &[
    "basicauth.users",
    "digestauth.users",
    "customrequestheaders.*",
    "healthcheck.headers.*",
    "redis.password",
    "redis.username",
    "tls.key",
    "certificates.[n].keyfile",
    "defaultcertificate.keyfile",
    "plugin.*.**",
];

const NO_VIRTUAL_IP: &str = "has no effect with the hub, which gives Traefik the address of each task instead of the service's virtual \
                             IP; only Traefik's own Swarm provider uses it";

const NO_REDIRECT: &str = "has no effect in Traefik 3; use a redirectscheme middleware";

const IN_TRANSPORT: &str = "deprecated in Traefik 3; set it in a serverstransport";

/// Options without effect, or deprecated ones, with everything below them.
const WARNINGS: &[(&str, &str)] = &[
    ("docker.lbswarm", NO_VIRTUAL_IP),
    ("swarm.lbswarm", NO_VIRTUAL_IP),
    ("docker.allownonrunning", "has no effect: only tasks that are registered receive requests"),
    ("http.middlewares.*.headers.sslredirect", NO_REDIRECT),
    ("http.middlewares.*.headers.ssltemporaryredirect", NO_REDIRECT),
    ("http.middlewares.*.headers.sslhost", NO_REDIRECT),
    ("http.middlewares.*.headers.sslforcehost", NO_REDIRECT),
    ("http.middlewares.*.headers.featurepolicy", "has no effect in Traefik 3; use permissionspolicy"),
    ("http.middlewares.*.ipwhitelist", "deprecated in Traefik 3; use ipallowlist"),
    ("tcp.middlewares.*.ipwhitelist", "deprecated in Traefik 3; use ipallowlist"),
    ("http.middlewares.*.stripprefix.forceslash", "deprecated in Traefik 3; remove it"),
    ("http.middlewares.*.forwardauth.tls.caoptional", "has no effect in Traefik 3; remove it"),
    ("tcp.services.*.loadbalancer.proxyprotocol", IN_TRANSPORT),
    ("tcp.services.*.loadbalancer.terminationdelay", IN_TRANSPORT),
    ("tls.options.*.preferserverciphersuites", "has no effect in Traefik 3; remove it"),
];

/// Returns the check of the values of an option.
pub(crate) fn check(path: &str) -> Option<Check> {
    find(CHECKS, |end| ends_with(path, end))
}

/// Whether Traefik ignores wrong values of an option.
pub(crate) fn is_ignored(path: &str) -> bool {
    IGNORED.iter().any(|end| ends_with(path, end))
}

/// Returns the check of the names below an option.
pub(crate) fn name_check(path: &str) -> Option<Check> {
    find(NAMES, |end| ends_with(path, end))
}

/// Whether only routers may receive the values of an option.
pub(crate) fn is_secret(path: &str) -> bool {
    SECRETS.iter().any(|end| ends_with(path, end))
}

/// Returns the reason why labels must not set an option.
pub(crate) fn refusal(path: &str) -> Option<&'static str> {
    find(REFUSED, |above| is_below(path, above))
}

/// Returns the warning about an option.
pub(crate) fn warning(path: &str) -> Option<&'static str> {
    find(WARNINGS, |above| is_below(path, above))
}

fn find<T: Copy>(table: &[(&str, T)], matches: impl Fn(&str) -> bool) -> Option<T> {
    table.iter().find(|(path, _)| matches(path)).map(|(_, value)| *value)
}

fn ends_with(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

const CURVES: &[&str] = &[
    "secp256r1",
    "CurveP256",
    "secp384r1",
    "CurveP384",
    "secp521r1",
    "CurveP521",
    "x25519",
    "X25519",
    "x25519mlkem768",
    "X25519MLKEM768",
    "secp256r1mlkem768",
    "SecP256r1MLKEM768",
    "secp384r1mlkem1024",
    "SecP384r1MLKEM1024",
];

const CIPHER_SUITES: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_FALLBACK_SCSV",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_applies_to_an_option() {
        let fields = include_str!("fields.txt");
        let paths: Vec<&str> = fields.lines().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
        let ends =
            CHECKS.iter().chain(NAMES).map(|(end, _)| *end).chain(IGNORED.iter().chain(SECRETS).copied());
        for end in ends {
            assert!(paths.iter().any(|path| ends_with(path, end)), "{end}");
        }
        for (above, _) in REFUSED.iter().chain(WARNINGS) {
            assert!(paths.iter().any(|path| is_below(path, above)), "{above}");
        }
    }
}
