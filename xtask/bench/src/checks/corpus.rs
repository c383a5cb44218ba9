//! Rules from which the generator starts.

use std::fs;

use anyhow::{Context, Result};
use xtask::build::root;

/// Rules in the style of Traefik's documentation.
const RULES: [&str; 40] = [
    "Host(`example.com`)",
    "Host(`example.com`) && PathPrefix(`/api`)",
    "Host(`a.example.com`) || Host(`b.example.com`)",
    "Host(`example.com`) || (Host(`example.org`) && Path(`/traefik`))",
    "HostRegexp(`^.+\\.example\\.com$`)",
    "HostRegexp(`^[a-z0-9-]+\\.example\\.(com|org)$`)",
    "(Host(`example.com`) || Host(`www.example.com`)) && !PathPrefix(`/internal`)",
    "Header(`Content-Type`, `application/yaml`)",
    "HeaderRegexp(`Content-Type`, `^application/(json|yaml)$`)",
    "HeaderRegexp(`User-Agent`, `(?i)mobile|android`)",
    "Path(`/products/shoes`)",
    "PathPrefix(`/products`)",
    "PathRegexp(`\\.(jpeg|jpg|png)$`)",
    "PathRegexp(`^/products/(shoes|socks)/[0-9]+$`)",
    "Query(`mobile`, `true`)",
    "Query(`mobile`)",
    "QueryRegexp(`mobile`, `^(true|yes)$`)",
    "Method(`OPTIONS`)",
    "Method(`GET`) || Method(`HEAD`)",
    "ClientIP(`10.76.105.11`)",
    "ClientIP(`192.168.1.7/24`) || ClientIP(`fe80::/10`)",
    "Host(\"example.com\") && Path(\"/a\")",
    "Host(`nextcloud.home.lan`) && (PathPrefix(`/.well-known/carddav`) || PathPrefix(`/.well-known/caldav`))",
    "Host(`grafana.example.com`) && !ClientIP(`10.0.0.0/8`)",
    "PathPrefix(`/api/v1`) && Method(`POST`) && Header(`X-Api-Key`, `secret`)",
    "HostRegexp(`^(www\\.)?shop\\.(?P<tld>de|at|ch)$`)",
    "PathRegexp(`^/(?i:users|groups)/\\d{1,8}(/|$)`)",
    "PathRegexp(`[[:alnum:]_-]{3,}\\.[^/]*`)",
    "HeaderRegexp(`Cookie`, `(^|;\\s*)session=[\\w-]+`)",
    "Host(`*.example.com`) && PathPrefix(`/`)",
    "Host(`traefik.lan`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard`))",
    "PathPrefix(`/ws`) && HeaderRegexp(`Upgrade`, `(?i)^websocket$`)",
    "Query(`v`, `2`) && !Query(`debug`)",
    "Host(`git.lan`) && !(PathPrefix(`/admin`) && !ClientIP(`192.168.0.0/16`))",
    "HostRegexp(`^\\p{Greek}*[\\x61-\\x7a]+\\Q.lan\\E$`)",
    "PathRegexp(`^/(a|ab|abc)?(.*?)x{2,5}\\z`)",
    "Host(`registry.lan`) && PathPrefix(`/v2/`)",
    "Host(`a.lan`) &&\n  PathPrefix(`/a`)",
    "Host(`a.lan`) && // comment\n PathPrefix(`/a`) /* end */",
    "host(`a.lan`) && PATHPREFIX(`/a`) || Pathregexp(`a`)",
];

pub(super) const TCP: [&str; 10] = [
    "HostSNI(`*`)",
    "HostSNI(`db.example.com`)",
    "HostSNI(`*.example.com`) && ALPN(`h2`)",
    "HostSNI(`a.lan`) || HostSNI(`b.lan`)",
    "HostSNIRegexp(`^.+\\.example\\.com$`)",
    "ALPN(`h2`)",
    "ClientIP(`10.0.0.0/8`)",
    "HostSNI(`*`) && ClientIP(`192.168.0.1`)",
    "!ClientIP(`2001:db8::/32`) && HostSNI(`mqtt.lan`)",
    "HostSNIRegexp(`^(a|b)[0-9]{1,3}$`) && !ALPN(`http/1.1`)",
];

pub(super) const V2: [&str; 12] = [
    "Host(`a.lan`, `b.lan`)",
    "HostHeader(`a.lan`) && PathPrefix(`/a`, `/b`)",
    "HostRegexp(`{sub:[a-z]+}.example.com`)",
    "HostRegexp(`{a}.{b:.+}.lan`, `example.{tld:(?:com|org)}`)",
    "Path(`/articles/{category}/{id:[0-9]+}`)",
    "PathPrefix(`/products/{id:[0-9]{1,3}}`)",
    "Headers(`X-A`, `1`, `X-B`, `2`)",
    "HeadersRegexp(`Accept`, `text/(html|plain)`)",
    "Query(`a=1`, `b={v:[a-z]+}`)",
    "Query(`a`, `1`)",
    "Method(`GET`, `POST`)",
    "ClientIP(`10.0.0.1`, `::1/128`)",
];

/// Mistakes of operators.
pub(super) const MISTAKES: [&str; 34] = [
    "Host(`shop.lan`, `www.shop.lan`)",
    "PathPrefix(`/docs`, `/help`)",
    "Host(`api.lan`) && Headers(`X-Version`, `2`)",
    "HostRegexp(`{tenant:[a-z]+}.lan`)",
    "PathPrefix(`/{id:[0-9]+}`)",
    "Path(`/{id}`)",
    "Host('blog.lan')",
    "Host:wiki.lan",
    "Host:a.lan,b.lan;PathPrefix:/a",
    "HostRegexp(`(`)",
    "HostRegexp(`*.lan`)",
    "HostRegexp(`^(?!www).*\\.lan$`)",
    "Host(``)",
    "Host()",
    "Host(a.lan)",
    "Host(`a.lan`) and Path(`/a`)",
    "Host(`a.lan`) & Path(`/a`)",
    "Host(`a.lan`), Path(`/a`)",
    "Host(`a.lan`)\n&& Path(`/a`)",
    "Host(`a.lan`) && ",
    "(Host(`a.lan`) || Host(`b.lan`)",
    "Host(`a.lan`))",
    "Host(“a.lan”)",
    "Host(`a.lan:8080`)",
    "Host(`https://a.lan`)",
    "Host(`bücher.lan`)",
    "Path(`a`)",
    "PathPrefix(`*`)",
    "Method(`GET`, `POST`)",
    "Method(`GET`) && Method(`POST`)",
    "ClientIP(`10.0.0.0/33`)",
    "ClientIP(`home.lan`)",
    "Query(`a=b`, `c=d`, `e=f`)",
    "Header(`X-Version`)",
];

/// Returns the rules above, and those of the project's stack files.
pub(super) fn rules() -> Result<Vec<String>> {
    let mut rules: Vec<String> = RULES.iter().map(|rule| (*rule).to_owned()).collect();
    for directory in ["stacks", "tests/stacks"] {
        for entry in fs::read_dir(root().join(directory)).with_context(|| format!("reading {directory}"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yml") {
                continue;
            }
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let values = text.lines().filter_map(|line| line.split_once(".rule")?.1.strip_prefix([':', '=']));
            rules.extend(values.map(|rule| rule.trim().trim_end_matches(['&', '\'', '"']).to_owned()));
        }
    }
    Ok(rules)
}
