//! What a stack file says of a service, for those who run it without a swarm.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use yaml_rust2::{Yaml, YamlLoader};

use crate::labels::LabelList;

/// A service's labels, and its own variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    labels: LabelList,
    environment: Vec<(String, String)>,
}

/// The names of all services in the stack file `text`.
pub fn services(text: &str) -> Result<Vec<String>> {
    let services = load(text)?["services"].clone().into_hash().context("there are no services")?;
    Ok(services.into_iter().filter_map(|(name, _)| name.into_string()).collect())
}

impl Declared {
    /// Reads what `file` says of `service`.
    pub fn read(file: &Path, service: &str) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        Self::parse(&text, service).with_context(|| format!("reading {}", file.display()))
    }

    /// The same of the file's text.
    pub fn parse(text: &str, service: &str) -> Result<Self> {
        let file = load(text)?;
        let service_node = &file["services"][service];
        if service_node.is_badvalue() {
            bail!("there is no service {service}");
        }
        let labels = pairs(&service_node["deploy"]["labels"])
            .with_context(|| format!("services.{service}.deploy.labels"))?;
        let environment =
            pairs(&service_node["environment"]).with_context(|| format!("services.{service}.environment"))?;
        // What is merged in is the sidecar's, which a swarm fills in.
        let is_own = |(key, _): &(String, String)| !key.starts_with("SIDECAR_");
        Ok(Self { labels, environment: environment.into_iter().filter(is_own).collect() })
    }

    /// The labels of an instance that listens at `port`, which in a container is the one that the file says.
    pub fn labels_at(&self, port: u16) -> LabelList {
        let is_port = |key: &str| key.ends_with(".loadbalancer.server.port") || key == "traefik.port";
        let labels = self.labels.iter().cloned();
        labels
            .map(|(key, value)| if is_port(&key) { (key, port.to_string()) } else { (key, value) })
            .collect()
    }

    /// The service's own variables.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The first path that a rule is about, if that is about paths only.
    pub fn path(&self) -> Option<&str> {
        let rule = self
            .labels
            .iter()
            .find(|(key, _)| key.rsplit('.').next() == Some("rule"))
            .map(|(_, rule)| rule)?;
        let more = ["Host", "Header", "Method", "Query", "ClientIP"];
        let named = ["Path(`", "PathPrefix(`"].iter().find_map(|matcher| rule.split_once(matcher));
        let path = named.and_then(|(_, rest)| rest.split('`').next());
        path.filter(|_| !more.iter().any(|matcher| rule.contains(matcher)))
    }
}

fn load(text: &str) -> Result<Yaml> {
    let documents = YamlLoader::load_from_str(text).context("the file is no YAML")?;
    documents.into_iter().next().context("the file is empty")
}

/// A map, or a list of `KEY=VALUE`, as a stack file can have either. What is merged into a map is left out.
fn pairs(node: &Yaml) -> Result<Vec<(String, String)>> {
    let pairs: Vec<_> = match node {
        Yaml::BadValue | Yaml::Null => Vec::new(),
        Yaml::Hash(map) => {
            let own = map.iter().filter(|(key, _)| key.as_str() != Some("<<"));
            own.map(|(key, value)| Ok((scalar(key)?, scalar(value)?))).collect::<Result<_>>()?
        }
        Yaml::Array(list) => {
            let pair = |item: &Yaml| {
                let text = scalar(item)?;
                let (key, value) = text.split_once('=').with_context(|| format!("{text:?} has no `=`"))?;
                Ok((key.to_owned(), value.to_owned()))
            };
            list.iter().map(pair).collect::<Result<_>>()?
        }
        _ => bail!("neither a map nor a list"),
    };
    Ok(pairs)
}

fn scalar(node: &Yaml) -> Result<String> {
    let text = match node {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(value) => value.to_string(),
        other => bail!("{other:?} is no text"),
    };
    let unescaped = text.replace("$$", "\0");
    if unescaped.contains('$') {
        bail!("{text:?} takes a variable, which only Docker's client fills in");
    }
    Ok(unescaped.replace('\0', "$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
x-sidecar: &sidecar
  SIDECAR_HUB: http://hub:8080
services:
  weather:
    image: ${IMAGE:-weather}
    environment:
      <<: *sidecar
      WEATHER_ENTRIES: a=1,b=2
      WEATHER_PRICE: 5$$
    deploy:
      labels:
        traefik.http.routers.weather.rule: Path(`/weather`) || PathPrefix(`/weather/`)
        traefik.http.services.weather.loadbalancer.server.port: \"8080\"
        traefik.http.services.weather.loadbalancer.passivehealthcheck.maxfailedattempts: 1
  tide:
    environment: [TIDE=low=2, SIDECAR_HUB=http://hub:8080]
    labels: {}
";

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_are_those_of_the_file_but_for_the_port() {
        let weather = Declared::parse(FILE, "weather").unwrap();
        let expected = owned(&[
            ("traefik.http.routers.weather.rule", "Path(`/weather`) || PathPrefix(`/weather/`)"),
            ("traefik.http.services.weather.loadbalancer.server.port", "4711"),
            ("traefik.http.services.weather.loadbalancer.passivehealthcheck.maxfailedattempts", "1"),
        ]);
        assert_eq!(weather.labels_at(4711), expected);
        assert_eq!(weather.path(), Some("/weather"));
    }

    #[test]
    fn variables_are_the_services_own() {
        let weather = Declared::parse(FILE, "weather").unwrap();
        assert_eq!(weather.environment(), owned(&[("WEATHER_ENTRIES", "a=1,b=2"), ("WEATHER_PRICE", "5$")]));
        let tide = Declared::parse(FILE, "tide").unwrap();
        assert_eq!(tide.environment(), owned(&[("TIDE", "low=2")]));
        assert_eq!((tide.labels_at(1), tide.path()), (Vec::new(), None));
    }

    #[test]
    fn a_rule_that_is_about_more_than_paths_has_no_path_to_ask_for() {
        let path = |rule: &str| {
            let labels = owned(&[("traefik.http.routers.a.rule", rule)]);
            Declared { labels, environment: Vec::new() }.path().map(str::to_owned)
        };
        assert_eq!(path("PathPrefix(`/a/`)").as_deref(), Some("/a/"));
        assert_eq!(path("Host(`a.lan`) && Path(`/a`)"), None);
        assert_eq!(path("PathRegexp(`^/a`)"), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fault = |text: &str| format!("{:#}", Declared::parse(text, "a").unwrap_err());
        assert_eq!(fault("services: {b: {}}"), "there is no service a");
        assert!(fault("a: [").starts_with("the file is no YAML: "), "{}", fault("a: ["));
        assert_eq!(
            fault("services: {a: {environment: 5}}"),
            "services.a.environment: neither a map nor a list"
        );
        assert!(fault("services: {a: {environment: [A=$B]}}").contains("takes a variable"));
        assert_eq!(services(FILE).unwrap(), ["weather", "tide"]);
    }
}
