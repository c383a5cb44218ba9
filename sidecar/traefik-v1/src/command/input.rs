//! What is to be translated.

use std::collections::BTreeMap;

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

/// Labels, in the order of their keys.
pub(crate) type Labels = BTreeMap<String, String>;

/// How deep a file may be nested, which the reader follows by recursion. No stack file comes near.
const DEEPEST: usize = 64;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A stack file's services.
    Stack(Vec<Service>),
    /// The labels of one service or container.
    Labels(Labels),
}

/// A service of a stack file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: String,
    /// `labels`: of its containers.
    pub(crate) labels: Option<Labels>,
    /// `deploy.labels`: its own.
    pub(crate) deploy_labels: Option<Labels>,
}

impl Input {
    /// Reads a stack file; or labels, as lines of `KEY=VALUE`, or as a map or a list in YAML or JSON.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if let Some(labels) = lines(text) {
            return labels.map(Self::Labels);
        }
        if nesting(text) > DEEPEST {
            return Err(format!("it is nested deeper than {DEEPEST}"));
        }
        let documents = YamlLoader::load_from_str(text).map_err(|error| format!("it is no YAML: {error}"))?;
        match documents.first() {
            Some(Yaml::Hash(file)) => match get(file, "services") {
                Some(services) => stack(services).map(Self::Stack),
                None => pairs(&documents[0]).map(Self::Labels).map_err(|why| {
                    format!("it has no services, and so should be a map of labels, but {why}")
                }),
            },
            Some(list @ Yaml::Array(_)) => pairs(list).map(Self::Labels),
            Some(Yaml::Null | Yaml::BadValue) | None => Ok(Self::Labels(Labels::new())),
            Some(_) => Err("neither a stack file nor labels, which are lines of KEY=VALUE".to_owned()),
        }
    }
}

/// Lines of `KEY=VALUE`, if that is what the text is; empty ones, and those that begin with `#`, do not count.
fn lines(text: &str) -> Option<Result<Labels, String>> {
    let said = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_key = |key: &str| {
        let is_plain = |c: char| !c.is_whitespace() && !"'\"{}[]:,".contains(c);
        !key.is_empty() && !key.starts_with('-') && key.chars().all(is_plain)
    };
    let mut labels = Labels::new();
    for line in said {
        let (key, value) = line.split_once('=').filter(|(key, _)| is_key(key))?;
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Some(Err(format!("{key} is there twice")));
        }
    }
    (!labels.is_empty()).then_some(Ok(labels))
}

/// How deep it may be nested at most: what opens in one line, or stands before it.
fn nesting(text: &str) -> usize {
    let (mut flow, mut deepest) = (0_usize, 0);
    for line in text.lines() {
        let dashes = line.split(' ').take_while(|word| word.is_empty() || matches!(*word, "-" | "?")).count();
        for c in line.chars() {
            match c {
                '[' | '{' => flow += 1,
                ']' | '}' => flow = flow.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(flow + dashes);
        }
    }
    deepest
}

fn stack(services: &Yaml) -> Result<Vec<Service>, String> {
    let Yaml::Hash(services) = services else { return Err("services is not a map".to_owned()) };
    let read = |(name, service): &(&Yaml, &Yaml)| {
        let name = scalar(name).map_err(|why| format!("services: {why}"))?;
        let Yaml::Hash(service) = service else {
            return Ok(Service { name, labels: None, deploy_labels: None });
        };
        let at = |place: &str, labels: Option<&Yaml>| {
            labels.map(pairs).transpose().map_err(|why| format!("services.{name}.{place}: {why}"))
        };
        let labels = at("labels", get(service, "labels"))?;
        let deploy = match get(service, "deploy") {
            Some(Yaml::Hash(deploy)) => get(deploy, "labels"),
            _ => None,
        };
        let deploy_labels = at("deploy.labels", deploy)?;
        Ok(Service { name, labels, deploy_labels })
    };
    let mut merged = Vec::new();
    entries(services, &mut merged);
    merged.iter().map(read).collect()
}

/// What stands at `key`, be it there itself or merged in.
fn get<'a>(map: &'a Hash, key: &str) -> Option<&'a Yaml> {
    let mut all = Vec::new();
    entries(map, &mut all);
    all.into_iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
}

/// All entries of a map, with those that `<<` merges in: the map's own come first, and of two the first counts.
fn entries<'a>(map: &'a Hash, all: &mut Vec<(&'a Yaml, &'a Yaml)>) {
    let is_merge = |key: &Yaml| key.as_str() == Some("<<");
    for (key, value) in map.iter().filter(|(key, _)| !is_merge(key)) {
        if !all.iter().any(|(known, _)| *known == key) {
            all.push((key, value));
        }
    }
    for (_, merged) in map.iter().filter(|(key, _)| is_merge(key)) {
        let maps = match merged {
            Yaml::Array(maps) => maps.as_slice(),
            map => std::slice::from_ref(map),
        };
        for map in maps {
            if let Yaml::Hash(map) = map {
                entries(map, all);
            }
        }
    }
}

/// A map, or a list of `KEY=VALUE`.
fn pairs(labels: &Yaml) -> Result<Labels, String> {
    match labels {
        Yaml::Null | Yaml::BadValue => Ok(Labels::new()),
        Yaml::Hash(map) => {
            let mut all = Vec::new();
            entries(map, &mut all);
            all.into_iter().map(|(key, value)| Ok((scalar(key)?, scalar(value)?))).collect()
        }
        Yaml::Array(list) => {
            let pair = |item: &Yaml| {
                let text = scalar(item)?;
                // Docker takes a key alone for an empty label.
                Ok(text.split_once('=').map_or_else(
                    || (text.clone(), String::new()),
                    |(key, value)| (key.to_owned(), value.to_owned()),
                ))
            };
            list.iter().map(pair).collect()
        }
        _ => Err("neither a map nor a list of labels".to_owned()),
    }
}

fn scalar(value: &Yaml) -> Result<String, String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Ok(text.clone()),
        Yaml::Integer(number) => Ok(number.to_string()),
        Yaml::Boolean(truth) => Ok(truth.to_string()),
        Yaml::Null => Ok(String::new()),
        Yaml::Alias(_) => Err("it refers to itself".to_owned()),
        _ => Err("a text is expected, and there is more below it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn service(name: &str, own: Option<&[(&str, &str)]>, deploy: Option<&[(&str, &str)]>) -> Service {
        Service { name: name.to_owned(), labels: own.map(labels), deploy_labels: deploy.map(labels) }
    }

    #[test]
    fn a_stack_files_labels_are_maps_or_lists_with_anchors_and_merge_keys() {
        let file = "
x-labels: &common
  traefik.enable: true
  traefik.port: 80
x-service: &service
  deploy:
    labels: &list ['traefik.port=8080', bare]
services:
  a:
    labels:
      <<: *common
      traefik.port: 8080
  b:
    <<: *service
    labels:
      <<: [{x: 1}, *common]
      y:
  c: {image: c}
  d:
    deploy: {labels: *list}
  e:
";
        let list: &[(&str, &str)] = &[("traefik.port", "8080"), ("bare", "")];
        let expected = [
            service("a", Some(&[("traefik.enable", "true"), ("traefik.port", "8080")]), None),
            service(
                "b",
                Some(&[("traefik.enable", "true"), ("traefik.port", "80"), ("x", "1"), ("y", "")]),
                Some(list),
            ),
            service("c", None, None),
            service("d", None, Some(list)),
            service("e", None, None),
        ];
        assert_eq!(Input::read(file), Ok(Input::Stack(expected.into())));
    }

    #[test]
    fn labels_alone_are_lines_or_a_map_or_a_list() {
        let expected = labels(&[("traefik.port", "80"), ("traefik.frontend.rule", "PathPrefixStrip: /ping")]);
        for text in [
            "traefik.port=80\n\n# why\n  traefik.frontend.rule=PathPrefixStrip: /ping\n",
            "{\"traefik.port\": \"80\", \"traefik.frontend.rule\": \"PathPrefixStrip: /ping\"}",
            "traefik.port: 80\ntraefik.frontend.rule: 'PathPrefixStrip: /ping'\n",
            "- traefik.port=80\n- 'traefik.frontend.rule=PathPrefixStrip: /ping'\n",
        ] {
            assert_eq!(Input::read(text), Ok(Input::Labels(expected.clone())), "{text}");
        }
        assert_eq!(Input::read(""), Ok(Input::Labels(Labels::new())));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (text, why) in [
            ("services: {a: {labels: 5}}", "services.a.labels: neither a map nor a list of labels"),
            ("services: {a: {deploy: {labels: {b: [c]}}}}", "services.a.deploy.labels: a text is expected"),
            ("services: 5", "services is not a map"),
            ("a: {b: c}", "it has no services"),
            ("a: [", "it is no YAML: "),
            ("words", "neither a stack file nor labels"),
            ("a=1\na=2", "a is there twice"),
            (&"[".repeat(100_000), "nested deeper"),
            (&"- ".repeat(100_000), "nested deeper"),
            (&"? ".repeat(100_000), "nested deeper"),
        ] {
            let fault = Input::read(text).unwrap_err();
            assert!(fault.contains(why), "{fault}");
        }
    }
}
