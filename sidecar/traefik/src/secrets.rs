//! Configuration without secrets, for clients that are not routers.

use std::borrow::Cow;

use serde_json::Value;

use crate::fields::Field;

/// Text in place of a secret.
pub const REDACTED: &str = "(redacted)";

/// Returns a document without the values of secret options.
pub fn redact_document(json: &str) -> String {
    let mut document: Value = serde_json::from_str(json).unwrap_or_default();
    redact(Some(Field::root()), &mut document);
    document.to_string()
}

/// Redacts the value of an option. No field means that it is none of a label's: the hub added it.
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
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{REDACTED}{}", &rest[at..]).into(),
        None => text.into(),
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
