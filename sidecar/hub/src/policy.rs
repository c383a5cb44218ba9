//! What services with tokens of their own may claim: the file of `--policy`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cli::Failure;
use serde::Deserialize;
use traefik::{Diagnostic, Limits, ServiceConfig};

/// Entry for services without one of their own.
const OTHERS: &str = "*";

/// Policy. The default is that of a hub without a file: no list limits what a service claims for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy(Option<File>);

/// The file, in JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Limits by the full name of the service.
    services: BTreeMap<String, Limits>,
    /// Groups of services that may share routers and Traefik services.
    #[serde(default)]
    merge: Vec<BTreeSet<String>>,
}

impl Policy {
    /// Reads the file.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let error = |cause: &dyn std::fmt::Display| {
            Failure::new(format_args!(
                "policy file {}: {cause}; check --policy or HUB_POLICY",
                file.display()
            ))
        };
        let text = fs::read_to_string(file).map_err(|cause| error(&cause))?;
        Self::parse(&text).map_err(|cause| error(&cause))
    }

    pub(crate) fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(|file| Self(Some(file)))
    }

    /// Returns whether there is a file.
    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Returns what a service with a token of its own claims beyond its limits.
    pub(crate) fn exceeding(&self, service: &str, config: &ServiceConfig) -> Vec<Diagnostic> {
        let Some(File { services, .. }) = &self.0 else { return config.exceeding(&Limits::default()) };
        match services.get(service).or_else(|| services.get(OTHERS)) {
            Some(limits) => config.exceeding(limits),
            None if !config.is_routed() => Vec::new(),
            None => vec![Diagnostic::new(
                format!("service {service}"),
                "the hub's --policy file has no entry for this service; add one, or `*` for all services without one",
            )],
        }
    }

    /// Returns whether two services may share routers and Traefik services although one has a token of its own.
    pub(crate) fn may_share(&self, one: &str, other: &str) -> bool {
        let groups = self.0.iter().flat_map(|file| &file.merge);
        groups.into_iter().any(|group| group.contains(one) && group.contains(other))
    }
}

#[cfg(test)]
mod tests {
    use protocol::Labels;
    use traefik::Exposure;

    use super::*;

    fn policy(name: &str, text: &str) -> Result<Policy, Failure> {
        let path = std::env::temp_dir().join(format!("hub-policy-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        let policy = Policy::read(&path);
        fs::remove_file(&path).unwrap();
        policy
    }

    #[test]
    fn limits_are_those_of_the_service_or_of_all_others() {
        let labels = [("traefik.http.routers.r.rule".to_owned(), "Host(`a.lan`)".to_owned())];
        let config = ServiceConfig::read("s", &Labels(labels.into()), &Exposure::default()).unwrap();
        let count = |policy: &Policy, service: &str| policy.exceeding(service, &config).len();
        let text =
            r#"{"services": {"a": {"hosts": ["a.lan"]}, "b": {"hosts": ["b.lan"]}}, "merge": [["a", "b"]]}"#;
        let some = policy("some", text).unwrap();
        assert_eq!([count(&some, "a"), count(&some, "b"), count(&some, "c")], [0, 1, 1]);
        let unrouted = ServiceConfig::read("s", &Labels::default(), &Exposure::default()).unwrap();
        assert!(some.exceeding("c", &unrouted).is_empty(), "it claims nothing");
        assert!(some.may_share("a", "b") && !some.may_share("a", "c"));
        let all = policy("all", r#"{"services": {"*": {}}}"#).unwrap();
        assert_eq!([count(&all, "a"), count(&Policy::default(), "a")], [0, 0]);
        assert!(all.is_given() && !Policy::default().is_given() && !all.may_share("a", "b"));
    }

    #[test]
    fn example_in_the_documentation_is_valid() {
        let text = include_str!("../../../SECURITY.md");
        let example = text.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert!(Policy::parse(example).unwrap().may_share("blue_web", "green_web"));
    }

    #[test]
    fn error_names_file_line_and_field() {
        for (text, expected) in [
            ("{\n  \"services\": {\n    \"a\": {\"host\": []}\n  }\n}", "unknown field `host`"),
            ("{\n\"services\": {},\n\"merge\": 1}", "line 3"),
            ("{}", "missing field `services`"),
            ("", "EOF while parsing"),
        ] {
            let error = policy("error", text).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("hub-policy-") && error.contains(" line "),
                "{error}"
            );
        }
        let error = Policy::read(Path::new("/missing")).unwrap_err().to_string();
        assert!(error.starts_with("policy file /missing: No such file"), "{error}");
    }
}
