//! Parser for stack files and lists of labels.

use protocol::Labels;
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

/// Maximum nesting of a file, which the YAML parser follows by recursion.
const MAX_DEPTH: usize = 64;

/// Labels at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelSet {
    /// Name of the service in the stack file; empty for bare labels.
    pub(crate) service: String,
    pub(crate) placement: Placement,
    pub(crate) labels: Labels,
}

/// Place of labels in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// `labels` of a service in a stack file.
    Labels,
    /// `deploy.labels` of a service in a stack file.
    DeployLabels,
    /// Labels alone, without a stack file.
    Bare,
}

/// Parses a stack file, or labels: lines of `KEY=VALUE`, or a map or a list in YAML or JSON.
pub(crate) fn parse(text: &str) -> Result<Vec<LabelSet>, String> {
    let bare = |labels| vec![LabelSet { service: String::new(), placement: Placement::Bare, labels }];
    if let Some(labels) = lines(text) {
        return labels.map(bare);
    }
    if max_nesting(text) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("not valid YAML: {error}"))?;
    match documents.first() {
        Some(Yaml::Hash(file)) => match get(file, "services") {
            Some(services) => stack(services),
            None => pairs(&documents[0]).map(bare).map_err(|error| {
                format!("neither a stack file (it has no services) nor a map of labels: {error}")
            }),
        },
        Some(list @ Yaml::Array(_)) => pairs(list).map(bare),
        Some(Yaml::Null | Yaml::BadValue) | None => Ok(bare(Labels::default())),
        Some(_) => Err("expected a stack file, a map of labels, or lines of KEY=VALUE".to_owned()),
    }
}

/// Parses lines of `KEY=VALUE`. Returns `None` if the text is something else. Skips empty lines and `#` comments.
fn lines(text: &str) -> Option<Result<Labels, String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_key = |key: &str| {
        let is_plain = |c: char| !c.is_whitespace() && !"'\"{}[]:,".contains(c);
        !key.is_empty() && !key.starts_with('-') && key.chars().all(is_plain)
    };
    let mut labels = Labels::default();
    for line in lines {
        let (key, value) = line.split_once('=').filter(|(key, _)| is_key(key))?;
        if labels.0.insert(key.to_owned(), value.to_owned()).is_some() {
            return Some(Err(format!("duplicate label {key}")));
        }
    }
    (!labels.0.is_empty()).then_some(Ok(labels))
}

/// Returns an upper bound of the nesting: open brackets plus the dashes at the start of a line.
fn max_nesting(text: &str) -> usize {
    let (mut open, mut max) = (0_usize, 0);
    for line in text.lines() {
        let dashes = line.split(' ').take_while(|word| word.is_empty() || matches!(*word, "-" | "?")).count();
        for c in line.chars() {
            match c {
                '[' | '{' => open += 1,
                ']' | '}' => open = open.saturating_sub(1),
                _ => {}
            }
            max = max.max(open + dashes);
        }
    }
    max
}

fn stack(services: &Yaml) -> Result<Vec<LabelSet>, String> {
    let Yaml::Hash(services) = services else { return Err("services: expected a map".to_owned()) };
    let mut sets = Vec::new();
    for (name, service) in entries(services) {
        let name = scalar(name).map_err(|error| format!("services: {error}"))?;
        let Yaml::Hash(service) = service else { continue };
        let deploy = match get(service, "deploy") {
            Some(Yaml::Hash(deploy)) => get(deploy, "labels"),
            _ => None,
        };
        for (placement, path, labels) in [
            (Placement::Labels, "labels", get(service, "labels")),
            (Placement::DeployLabels, "deploy.labels", deploy),
        ] {
            let Some(labels) = labels else { continue };
            let labels = pairs(labels).map_err(|error| format!("services.{name}.{path}: {error}"))?;
            sets.push(LabelSet { service: name.clone(), placement, labels });
        }
    }
    Ok(sets)
}

/// Returns the value of `key`, which may be merged in.
fn get<'a>(map: &'a Hash, key: &str) -> Option<&'a Yaml> {
    entries(map).into_iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
}

/// Returns the entries of a map with those that `<<` merges in. The map's own entries override merged ones, and earlier
/// merged maps override later ones.
fn entries(map: &Hash) -> Vec<(&Yaml, &Yaml)> {
    let mut all = Vec::new();
    collect_entries(map, &mut all);
    all
}

fn collect_entries<'a>(map: &'a Hash, all: &mut Vec<(&'a Yaml, &'a Yaml)>) {
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
                collect_entries(map, all);
            }
        }
    }
}

/// Reads a map, or a list of `KEY=VALUE`.
fn pairs(labels: &Yaml) -> Result<Labels, String> {
    let pairs: Result<_, String> = match labels {
        Yaml::Null | Yaml::BadValue => return Ok(Labels::default()),
        Yaml::Hash(map) => {
            entries(map).into_iter().map(|(key, value)| Ok((scalar(key)?, scalar(value)?))).collect()
        }
        Yaml::Array(list) => {
            let pair = |item: &Yaml| {
                let text = scalar(item)?;
                // Docker reads a key alone as an empty label.
                let (key, value) = text.split_once('=').unwrap_or((&text, ""));
                Ok((key.to_owned(), value.to_owned()))
            };
            list.iter().map(pair).collect()
        }
        _ => return Err("expected a map or a list of labels".to_owned()),
    };
    pairs.map(Labels)
}

fn scalar(value: &Yaml) -> Result<String, String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Ok(text.clone()),
        Yaml::Integer(number) => Ok(number.to_string()),
        Yaml::Boolean(value) => Ok(value.to_string()),
        Yaml::Null => Ok(String::new()),
        Yaml::Alias(_) => Err("an anchor refers to itself".to_owned()),
        _ => Err("expected a string, got a map or a list".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(service: &str, placement: Placement, pairs: &[(&str, &str)]) -> LabelSet {
        let labels = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LabelSet { service: service.to_owned(), placement, labels: Labels(labels) }
    }

    #[test]
    fn stack_file_labels_are_maps_or_lists_with_anchors_and_merge_keys() {
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
            set("a", Placement::Labels, &[("traefik.enable", "true"), ("traefik.port", "8080")]),
            set(
                "b",
                Placement::Labels,
                &[("traefik.enable", "true"), ("traefik.port", "80"), ("x", "1"), ("y", "")],
            ),
            set("b", Placement::DeployLabels, list),
            set("d", Placement::DeployLabels, list),
        ];
        assert_eq!(parse(file), Ok(expected.into()));
    }

    #[test]
    fn bare_labels_are_lines_or_a_map_or_a_list() {
        let pairs = [("traefik.port", "80"), ("traefik.frontend.rule", "PathPrefixStrip: /ping")];
        let expected = vec![set("", Placement::Bare, &pairs)];
        for text in [
            "traefik.port=80\n\n# comment\n  traefik.frontend.rule=PathPrefixStrip: /ping\n",
            "{\"traefik.port\": \"80\", \"traefik.frontend.rule\": \"PathPrefixStrip: /ping\"}",
            "traefik.port: 80\ntraefik.frontend.rule: 'PathPrefixStrip: /ping'\n",
            "- traefik.port=80\n- 'traefik.frontend.rule=PathPrefixStrip: /ping'\n",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
        assert_eq!(parse(""), Ok(vec![set("", Placement::Bare, &[])]));
    }

    #[test]
    fn errors_name_place_and_cause() {
        for (text, why) in [
            ("services: {a: {labels: 5}}", "services.a.labels: expected a map or a list of labels"),
            ("services: {a: {deploy: {labels: {b: [c]}}}}", "services.a.deploy.labels: expected a string"),
            ("services: 5", "services: expected a map"),
            ("a: {b: c}", "it has no services"),
            ("a: [", "not valid YAML: "),
            ("words", "expected a stack file, a map"),
            ("a=1\na=2", "duplicate label a"),
            (&"[".repeat(100_000), "nested deeper"),
            (&"- ".repeat(100_000), "nested deeper"),
            (&"? ".repeat(100_000), "nested deeper"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
