//! Valid values of the options whose values the hub checks, and the labels that a definition needs beside an option.

/// Valid values: end of the path in `fields.txt`, value. A list has two items.
const VALUES: &[(&str, &str)] = &[
    ("basicauth.users", "a:{SHA}x, b:$apr1$x$y"),
    ("digestauth.users", "a:r:x, b:r:y"),
    ("forwardauth.address", "http://auth.lan:9000/check?a=b"),
    ("forwardauth.authresponseheaders", "X-User, X-Group"),
    ("forwardauth.authrequestheaders", "X-User, X-Group"),
    ("buffering.retryexpression", "IsNetworkError() && Attempts() < 2"),
    ("circuitbreaker.expression", "LatencyAtQuantileMS(50.0) > 100 || NetworkErrorRatio() > 0.30"),
    ("circuitbreaker.responsecode", "503"),
    ("compress.defaultencoding", "br"),
    ("compress.encodings", "zstd, br"),
    ("excludedcontenttypes", "text/html, application/json; charset=utf-8"),
    ("includedcontenttypes", "text/html, application/json; charset=utf-8"),
    ("errors.status", "404, 500-599"),
    ("errors.statusrewrites.*", "503"),
    ("ipallowlist.rejectstatuscode", "404"),
    ("sourcerange", "10.0.0.0/8, fd00::1"),
    ("ipstrategy.excludedips", "10.0.0.1, fd00::/8"),
    ("ipstrategy.ipv6subnet", "64"),
    ("redirectscheme.port", "8443"),
    ("redirectregex.regex", "^http://(.*)$"),
    ("replacepathregex.regex", "^/a/(.*)$"),
    ("stripprefixregex.regex", "/[a-z]+, /[0-9]+"),
    ("authresponseheadersregex", "^X-"),
    ("accesscontrolalloworiginlistregex", "^http://a, ^http://b"),
    ("retry.attempts", "3"),
    ("retry.status", "404, 500-599"),
    ("observability.traceverbosity", "detailed"),
    ("loadbalancer.strategy", "p2c"),
    ("server.scheme", "h2c"),
    ("server.url", "http://10.0.0.1:81/a"),
    ("healthcheck.interval", "7s"),
    ("healthcheck.unhealthyinterval", "8s"),
    ("healthcheck.method", "HEAD"),
    ("healthcheck.mode", "grpc"),
    ("healthcheck.path", "/health?full=1"),
    ("healthcheck.scheme", "https"),
    ("passivehealthcheck.maxfailedattempts", "4"),
    ("cookie.samesite", "lax"),
    ("proxyprotocol.version", "1"),
    ("minversion", "VersionTLS12"),
    ("maxversion", "VersionTLS13"),
    ("ciphersuites", "TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("curvepreferences", "CurveP256, x25519"),
    ("clientauth.clientauthtype", "RequireAnyClientCert"),
    ("clientauth.cafiles", CERTIFICATES),
    ("rootcas", CERTIFICATES),
    ("certfile", CERTIFICATE),
    ("keyfile", KEY),
    ("tls.ca", CERTIFICATE),
    ("tls.cert", CERTIFICATE),
    ("tls.key", KEY),
    ("redis.minidleconns", "2"),
];

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
const CERTIFICATES: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----, -----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";

/// Options that a definition needs beside another: part of the path, option of the definition, value.
const COMPANIONS: &[(&str, &str, &str)] = &[
    (".basicauth.", "basicauth.users", "a:{SHA}x"),
    (".circuitbreaker.", "circuitbreaker.expression", "NetworkErrorRatio() > 0.5"),
    (".errors.", "errors.service", "elsewhere@file"),
    (".forwardauth.", "forwardauth.address", "http://auth.lan"),
    (".forwardauth.tls.key", "forwardauth.tls.cert", CERTIFICATE),
    (".forwardauth.tls.cert", "forwardauth.tls.key", KEY),
    (".redis.tls.key", "ratelimit.redis.tls.cert", CERTIFICATE),
    (".redis.tls.cert", "ratelimit.redis.tls.key", KEY),
    (".inflightreq.", "inflightreq.amount", "9"),
    (".ipallowlist.", "ipallowlist.sourcerange", "10.0.0.0/8"),
    (".ipwhitelist.", "ipwhitelist.sourcerange", "10.0.0.0/8"),
    (".weighted.services.[n].weight", "weighted.services[0].name", "elsewhere@file"),
    (".redirectscheme.", "redirectscheme.scheme", "https"),
    (".retry.", "retry.attempts", "2"),
    (".retry.disableretryonnetworkerror", "retry.status", "500"),
    ("serverstransports.*.minversion", "maxversion", "VersionTLS13"),
    (".tls.certificates.[n].keyfile", "tls.certificates[0].certfile", CERTIFICATE),
    (".tls.certificates.[n].certfile", "tls.certificates[0].keyfile", KEY),
    ("http.serverstransports.*.certificates.[n].keyfile", "certificates[0].certfile", CERTIFICATE),
    ("http.serverstransports.*.certificates.[n].certfile", "certificates[0].keyfile", KEY),
    ("middlewares.*.headers.", "headers.framedeny", "true"),
];

/// Returns a valid value of the option at `path` in `fields.txt`, or `None` if all values of its type are valid.
pub(crate) fn value(path: &str) -> Option<&'static str> {
    let ends = |end: &str| path.strip_suffix(end).is_some_and(|above| above.ends_with('.'));
    VALUES.iter().find(|(end, _)| ends(end)).map(|(_, value)| *value)
}

/// Returns the options and values that a definition needs beside the option at `path`.
pub(crate) fn companions(path: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let needed = COMPANIONS
        .iter()
        .filter(move |(part, option, _)| path.contains(part) && !path.ends_with(&format!(".{option}")));
    needed.map(|(_, option, value)| (*option, *value))
}

/// Whether labels must not set the option at `path`.
pub(crate) fn is_refused(path: &str) -> bool {
    const REFUSED: [&str; 8] = [
        ".parentrefs",
        ".mirroring.",
        ".failover.",
        ".highestrandomweight.",
        "basicauth.usersfile",
        "digestauth.usersfile",
        "tls.certificates.[n].stores",
        "defaultcertificate.",
    ];
    REFUSED.iter().any(|part| path.contains(part)) || path.starts_with("tls.certificates.")
}
