//! Label sets that define middlewares, services, transports and TLS options, and mutations of their values.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use xtask::build::root;

use super::random::Random;

/// Label sets in the style of Traefik's documentation, separated by empty lines. `*` in a key or a reference is the name.
const TEMPLATES: &str = include_str!("templates.txt");

/// Types of options.
const FIELDS: &str = "sidecar/traefik/src/fields.txt";

const INTEGERS: [&str; 9] = ["0", "1", "-1", "2", "99", "404", "600", "65536", "1000000"];
const DURATIONS: [&str; 6] = ["0s", "1s", "-1s", "10ms", "1h", "10"];

/// Texts and items of lists.
const TEXTS: &str = "|a|/|/a|a b|é|*|(|[a-z]+|a{2,1}|https|http|h2c|grpc|ftp|10.0.0.0/8|10.0.0.1|10.0.0.0/99|::/0|a:b|a:b:c|a:b:c:d\
|user:$apr1$x$y|200|500-599|599-500|500-|99|1000|abc|GET|get|VersionTLS12|VersionTLS13|VersionTLS99|none|lax|Strict|always|$1|${1}|http://a.lan|http://\
|http://a b|://|http://a:99999|%zz|a.lan:80|X-A|X A|gzip|br|identity|text/html|text/|wrr|p2c|hrw|leasttime|minimal|detailed|NetworkErrorRatio() > 0.5\
|NetworkErrorRatio() > 1|Foo() > 1|Attempts() < 3|RequireAnyClientCert|X25519|TLS_AES_128_GCM_SHA256|TLS_RSA|*.a.lan|null|a,b|a,,b|missing|x@http";

/// Options that keep their values: rules, and options that may block Traefik or make it send many requests.
const FIXED: [&str; 4] = ["interval", "healthcheck.timeout", "attempts", ".rule"];

type Labels = Vec<(String, String)>;

pub(super) struct Sets {
    templates: Vec<Labels>,
    texts: Vec<&'static str>,
    kinds: HashMap<String, String>,
}

impl Sets {
    pub(super) fn read() -> Result<Self> {
        let fields = fs::read_to_string(root().join(FIELDS)).with_context(|| format!("reading {FIELDS}"))?;
        let kinds = fields.lines().filter_map(|line| line.split_once(' '));
        let labels = |text: &str| -> Labels {
            let labels = text.lines().filter_map(|line| line.split_once('='));
            labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        Ok(Self {
            templates: TEMPLATES.split("\n\n").map(labels).collect(),
            texts: TEXTS.split('|').collect(),
            kinds: kinds.map(|(path, kind)| (path.to_owned(), kind.to_owned())).collect(),
        })
    }

    /// Returns a label set for the service `name`, without the start `traefik.` of its keys.
    pub(super) fn pick(&self, random: &mut Random, name: &str, mutations: usize) -> Labels {
        let mut labels = self.templates[random.below(self.templates.len())].clone();
        for _ in 0..mutations {
            self.mutate(random, &mut labels);
        }
        let protocol = if labels.iter().any(|(key, _)| key.starts_with("tcp")) { "tcp" } else { "http" };
        let has = |labels: &Labels, start: &str| labels.iter().any(|(key, _)| key.starts_with(start));
        let router = format!("{protocol}.routers.*");
        if !has(&labels, &format!("{router}.rule")) {
            let rule =
                if protocol == "http" { format!("Host(`{name}.lan`)") } else { "HostSNI(`*`)".to_owned() };
            labels.push((format!("{router}.rule"), rule));
        }
        if protocol == "tcp" {
            labels.push((format!("{router}.entrypoints"), "web".to_owned()));
        }
        if has(&labels, &format!("{protocol}.middlewares.*."))
            || has(&labels, &format!("{protocol}.middlewares.*="))
        {
            labels.push((format!("{router}.middlewares"), "*".to_owned()));
        }
        if has(&labels, &format!("{protocol}.services.*.")) {
            labels.push((format!("{router}.service"), "*".to_owned()));
        }
        let is_reference = |key: &str| {
            ["middlewares", "service", "serverstransport", "tls.options", "].name"]
                .iter()
                .any(|end| key.ends_with(end))
        };
        let named = labels.into_iter().map(|(key, value)| {
            let value = if is_reference(&key) { value.replace('*', name) } else { value };
            (key.replace('*', name), value)
        });
        // A later label replaces an earlier one of the same key.
        let mut unique = std::collections::BTreeMap::new();
        unique.extend(named);
        unique.into_iter().collect()
    }

    fn mutate(&self, random: &mut Random, labels: &mut Labels) {
        let index = random.below(labels.len());
        if random.chance(8) && labels.len() > 1 {
            labels.remove(index);
            return;
        }
        if random.chance(8) {
            let other = &self.templates[random.below(self.templates.len())];
            let is_tcp = |labels: &Labels| labels.iter().any(|(key, _)| key.starts_with("tcp"));
            if is_tcp(labels) == is_tcp(other) {
                // A switch with options is the same as its options.
                labels.extend(other.iter().filter(|(_, value)| value != "true").cloned());
            }
            return;
        }
        let (key, value) = &mut labels[index];
        if FIXED.iter().any(|end| key.ends_with(end)) {
            return;
        }
        let path = key.replace("*-a", "*").replace("*-b", "*").replace("*-page", "*").replace("[0]", ".[n]");
        let kind = self.kinds.get(&path.replace("[1]", ".[n]")).map_or("string", String::as_str);
        *value = match kind {
            "int" => random.pick(&INTEGERS).to_owned(),
            "duration" => random.pick(&DURATIONS).to_owned(),
            "bool" => random.pick(&["true", "false"]).to_owned(),
            "switch" => "true".to_owned(),
            _ if key.ends_with("server.port") => random.pick(&["80", "1", "65535"]).to_owned(),
            _ if random.chance(60) => random.pick(&self.texts).to_owned(),
            _ => {
                let letters: Vec<char> = value.chars().collect();
                let at = random.below(letters.len() + 1);
                let (before, after) = letters.split_at(at);
                let (before, after): (String, String) = (before.iter().collect(), after.iter().collect());
                match random.below(2) {
                    0 => format!("{before}{}{after}", random.pick(&self.texts)),
                    _ => {
                        before
                            + after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default()
                    }
                }
            }
        };
    }
}
