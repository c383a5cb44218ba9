//! Configuration without secrets, for clients that are not routers.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use crate::ServiceConfig;
use crate::fields::{Field, Step};

/// Text in place of a secret.
pub const REDACTED: &str = "(redacted)";

/// Returns a document without the values of secret options.
pub fn redact_document(json: &str) -> String {
    let mut document: Value = serde_json::from_str(json).unwrap_or_default();
    redact(Some(Field::root()), &mut document);
    document.to_string()
}

/// Redacts the value of an option. Without a field, it does not come from a label: the hub added it.
fn redact(field: Option<&'static Field>, value: &mut Value) {
    let below = |name: &str| Some(field?.step(name).ok()?.field());
    match value {
        _ if field.is_some_and(|field| field.is_secret) => *value = REDACTED.into(),
        Value::Object(options) => {
            options.iter_mut().for_each(|(name, value)| redact(below(name), value));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| redact(below("[0]"), value)),
        Value::String(text) => {
            if let Cow::Owned(shown) = without_credentials(text) {
                *text = shown;
            }
        }
        _ => {}
    }
}

/// Returns a text without the user and the password of a URL in it.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    match credentials(text) {
        Some(range) => format!("{}{REDACTED}{}", &text[..range.start], &text[range.end..]).into(),
        None => text.into(),
    }
}

/// Returns the position of the user and the password of a URL.
fn credentials(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let authority = text[start..].split(['/', '?', '#']).next()?;
    Some(start..start + authority.rfind('@')?)
}

/// Values of secret options, which error messages of Traefik may contain.
#[derive(Debug, Default)]
pub struct Secrets<'a>(BTreeSet<&'a str>);

/// Minimum length of a value that is replaced in messages. A shorter one is no secret, and may occur in any text.
const MIN_SECRET: usize = 4;

impl<'a> Secrets<'a> {
    /// Adds those of a service.
    pub fn add(&mut self, config: &'a ServiceConfig) {
        for (name, value) in config.tree() {
            self.add_option(Field::root().step(name).ok().map(Step::field), false, value);
        }
    }

    fn add_option(&mut self, field: Option<&'static Field>, is_secret: bool, value: &'a Value) {
        let is_secret = is_secret || field.is_some_and(|field| field.is_secret);
        let below = |name: &str| Some(field?.step(name).ok()?.field());
        match value {
            Value::Object(options) => {
                for (name, value) in options {
                    self.add_option(below(name), is_secret, value);
                }
            }
            Value::Array(items) => {
                for value in items {
                    self.add_option(below("[0]"), is_secret, value);
                }
            }
            Value::String(text) if is_secret => {
                // The hash of a user may stand alone.
                self.0.extend([text.as_str(), text.rsplit(':').next().unwrap_or_default()]);
            }
            Value::String(text) => self.0.extend(credentials(text).map(|range| &text[range])),
            _ => {}
        }
    }

    /// Replaces all values in a text.
    pub fn redact(&self, text: &str) -> String {
        let mut values: Vec<_> = self.0.iter().filter(|value| value.len() >= MIN_SECRET).collect();
        // A value may be a part of another one.
        values.sort_by_key(|value| Reverse(value.len()));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value, REDACTED))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::Labels;

    use crate::tree::{is_secret, parse};
    use crate::{Draft, Exposure, ServiceConfig};

    use super::*;

    const SECRET: &str = "s3cr3t";

    /// Labels for each secret option, with a valid value and with invalid ones.
    fn labels() -> Vec<(String, String)> {
        let paths = include_str!("fields.txt").lines().filter_map(|line| line.split_once(' '));
        let keys: Vec<String> = paths
            .map(|(path, _)| path.replace(".[n]", "[0]").replace(".**", ".x").replace('*', "a"))
            .map(|path| format!("traefik.{path}"))
            .filter(|key| is_secret(key))
            .collect();
        assert!(keys.len() > 10, "{keys:?}");
        let key = format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----");
        let values = [
            format!("{SECRET}:$apr1${SECRET}"),
            format!("{SECRET}:realm:{SECRET}"),
            format!("{SECRET}:$2y$31${SECRET}"),
            format!("{SECRET}║\n"),
            SECRET.to_owned(),
            key,
        ];
        keys.iter().flat_map(|key| values.clone().map(|value| (key.clone(), value))).collect()
    }

    #[test]
    fn secret_is_neither_in_messages_nor_in_a_redacted_document() {
        let (mut valid, mut invalid) = (0, 0);
        for (key, value) in labels() {
            let rule = ("traefik.http.routers.a.rule".to_owned(), "Path(`/`)".to_owned());
            let parsed = parse(&Labels([(key.clone(), value.clone())].into()));
            let found = format!("{:?}{:?}", parsed.errors, parsed.warnings);
            assert!(!found.contains(SECRET), "{key}={value:?}: {found}");
            match ServiceConfig::read("a", &Labels([(key.clone(), value), rule].into()), &Exposure::default())
            {
                Err(errors) => {
                    invalid += 1;
                    assert!(!errors.to_string().contains(SECRET), "{key}: {errors}");
                }
                Ok(config) => {
                    valid += 1;
                    let mut draft = Draft::default();
                    draft.add(&config, &[]);
                    let document = draft.finish().to_json();
                    let redacted = redact_document(&document);
                    assert!(document.contains(SECRET), "{key}: {document}");
                    assert!(!redacted.contains(SECRET) && redacted.contains(REDACTED), "{key}: {redacted}");
                }
            }
        }
        assert!(valid > 5 && invalid > 5, "{valid} valid, {invalid} invalid");
    }

    #[test]
    fn secrets_are_redacted_in_messages_of_traefik() {
        let labels = [
            ("traefik.http.middlewares.a.basicauth.users", "user:$apr1$s3cr3t,other:$2y$05$s3cr3t"),
            ("traefik.http.middlewares.b.headers.customrequestheaders.X-Key", "s3cr3t"),
            ("traefik.http.middlewares.b.headers.customrequestheaders.X-One", "1"),
            ("traefik.http.middlewares.c.forwardauth.address", "http://me:s3cr3t@10.0.1.1/auth"),
            ("traefik.http.middlewares.d.plugin.p.deep.key", "plugin's"),
        ];
        let labels = Labels(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let config = ServiceConfig::read("s", &labels, &Exposure::default()).unwrap();
        let mut secrets = Secrets::default();
        secrets.add(&config);
        for (message, expected) in [
            ("parsing user:$apr1$s3cr3t: no hash", "parsing (redacted): no hash"),
            ("unknown hash \"$2y$05$s3cr3t\"", "unknown hash \"(redacted)\""),
            ("Header(`X-Key`, `s3cr3t`): 1 error", "Header(`X-Key`, `(redacted)`): 1 error"),
            ("Get http://me:s3cr3t@10.0.1.1/auth", "Get http://(redacted)@10.0.1.1/auth"),
            ("key: plugin's", "key: (redacted)"),
            ("middleware \"a@http\" does not exist", "middleware \"a@http\" does not exist"),
        ] {
            assert_eq!(secrets.redact(message), expected);
        }
    }

    #[test]
    fn options_that_are_not_secret_are_shown() {
        let document = r#"{"http":{"middlewares":{"m":{"headers":{"customresponseheaders":{"a":"b"}}}},"routers":{"r":{"rule":"Path(`/`)"}},"services":{"s":{"loadbalancer":{"servers":[{"url":"http://10.0.0.1:80"}]}}}},"tls":{"options":{"o":{"minversion":"VersionTLS12"}}}}"#;
        assert_eq!(redact_document(document), document);
        for key in
            ["traefik.http.routers.r.rule", "traefik.enable", "traefik.constraint-label", "com.example.key"]
        {
            assert!(!is_secret(key), "{key}");
        }
        for key in ["TRAEFIK.http.middlewares.m.BasicAuth.Users", "traefik.http.middleware.m.basicauth.users"]
        {
            assert!(is_secret(key), "{key}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_hidden() {
        let urls: BTreeMap<_, _> = [
            ("http://a:b@c/d@e", "http://(redacted)@c/d@e"),
            ("http://a@b@c:1", "http://(redacted)@c:1"),
            ("http://c/d@e", "http://c/d@e"),
            ("a@b", "a@b"),
        ]
        .into();
        for (url, shown) in urls {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
