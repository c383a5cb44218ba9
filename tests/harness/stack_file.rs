//! Stack files: service definitions for running without a swarm, and copies for older Docker clients.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tempfile::{NamedTempFile, TempPath};
use yaml_rust2::{Yaml, YamlLoader};

use crate::Docker;
use crate::labels::LabelList;

/// Labels and environment of a service in a stack file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDefinition {
    labels: LabelList,
    environment: Vec<(String, String)>,
}

/// Returns the names of all services in a stack file's text.
pub fn services(text: &str) -> Result<Vec<String>> {
    let services = load(text)?["services"].clone().into_hash().context("no services")?;
    Ok(services.into_iter().filter_map(|(name, _)| name.into_string()).collect())
}

/// Returns the keys of all secrets in a stack file's text.
pub fn secrets(text: &str) -> Result<Vec<String>> {
    let secrets = load(text)?["secrets"].clone().into_hash().unwrap_or_default();
    Ok(secrets.into_iter().filter_map(|(key, _)| key.into_string()).collect())
}

impl ServiceDefinition {
    /// Reads the definition of `service` from `file`.
    pub fn read(file: &Path, service: &str) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        Self::parse(&text, service).with_context(|| format!("reading {}", file.display()))
    }

    /// Reads the definition of `service` from a stack file's text.
    pub fn parse(text: &str, service: &str) -> Result<Self> {
        let file = load(text)?;
        let node = &file["services"][service];
        if node.is_badvalue() {
            bail!("no service {service}");
        }
        let labels =
            pairs(&node["deploy"]["labels"]).with_context(|| format!("services.{service}.deploy.labels"))?;
        let environment =
            pairs(&node["environment"]).with_context(|| format!("services.{service}.environment"))?;
        // Variables of the sidecar are merged in, or templates that only Swarm expands.
        let is_own = |(key, _): &(String, String)| !key.starts_with("SIDECAR_");
        Ok(Self { labels, environment: environment.into_iter().filter(is_own).collect() })
    }

    /// Labels of an instance that listens on `port` instead of the port in the file.
    pub fn labels_at(&self, port: u16) -> LabelList {
        let is_port = |key: &str| key.ends_with(".loadbalancer.server.port") || key == "traefik.port";
        let labels = self.labels.iter().cloned();
        labels
            .map(|(key, value)| if is_port(&key) { (key, port.to_string()) } else { (key, value) })
            .collect()
    }

    /// The service's own environment variables.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// First path of the router's rule, if the rule has no other kind of matcher.
    pub fn path(&self) -> Option<&str> {
        let rule = self
            .labels
            .iter()
            .find(|(key, _)| key.rsplit('.').next() == Some("rule"))
            .map(|(_, rule)| rule)?;
        let others = ["Host", "Header", "Method", "Query", "ClientIP"];
        let found = ["Path(`", "PathPrefix(`"].iter().find_map(|matcher| rule.split_once(matcher));
        let path = found.and_then(|(_, rest)| rest.split('`').next());
        path.filter(|_| !others.iter().any(|matcher| rule.contains(matcher)))
    }
}

/// Copies a directory with stack files and what belongs to them. The Docker client accepts the copies.
pub fn copy_directory(docker: &Docker, from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry.with_context(|| format!("reading {}", from.display()))?.path();
        let copy = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_directory(docker, &path, &copy)?;
            continue;
        }
        fs::copy(&path, &copy).with_context(|| format!("copying {}", path.display()))?;
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.lines().any(|line| line == "services:") && lacks_version(docker, &text)? {
            fs::write(&copy, with_version(&text)).with_context(|| format!("writing {}", copy.display()))?;
        }
    }
    Ok(())
}

/// Whether the client would read a file as a format of 2014, as clients before 23 do without a version.
fn lacks_version(docker: &Docker, text: &str) -> Result<bool> {
    Ok(docker.client_major()? < 23 && !text.lines().any(|line| line.starts_with("version:")))
}

fn with_version(text: &str) -> String {
    format!("version: \"3.9\"\n{text}")
}

/// A stack file that the Docker client accepts.
pub(crate) enum Readable {
    /// The file itself.
    Original(String),
    /// A copy with a version.
    Copy(TempPath),
}

impl Readable {
    pub(crate) fn new(docker: &Docker, file: &Path) -> Result<Self> {
        let shown = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("reading {shown}"))?;
        if !lacks_version(docker, &text)? {
            return Ok(Self::Original(file.to_string_lossy().into_owned()));
        }
        // Beside the file, which may refer to others by relative paths.
        let directory = file.parent().unwrap_or(Path::new("."));
        let copy = NamedTempFile::new_in(directory);
        let mut copy = copy.with_context(|| format!("creating a file in {}", directory.display()))?;
        copy.write_all(with_version(&text).as_bytes()).with_context(|| format!("copying {shown}"))?;
        Ok(Self::Copy(copy.into_temp_path()))
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Original(path) => path,
            // Paths of temporary files are UTF-8.
            Self::Copy(path) => path.to_str().unwrap_or_default(),
        }
    }
}

fn load(text: &str) -> Result<Yaml> {
    let documents = YamlLoader::load_from_str(text).context("not valid YAML")?;
    documents.into_iter().next().context("the file is empty")
}

/// Reads a map or a list of `KEY=VALUE`: stack files may use either. Leaves out what `<<` merges into a map.
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
                let (key, value) =
                    text.split_once('=').with_context(|| format!("expected KEY=VALUE, got {text:?}"))?;
                Ok((key.to_owned(), value.to_owned()))
            };
            list.iter().map(pair).collect::<Result<_>>()?
        }
        _ => bail!("expected a map or a list"),
    };
    Ok(pairs)
}

fn scalar(node: &Yaml) -> Result<String> {
    let text = match node {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(value) => value.to_string(),
        other => bail!("expected text, got {other:?}"),
    };
    let unescaped = text.replace("$$", "\0");
    if unescaped.contains('$') {
        bail!("{text:?} has a variable, which only the Docker client expands");
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
    fn labels_have_the_port_of_the_instance() {
        let weather = ServiceDefinition::parse(FILE, "weather").unwrap();
        let expected = owned(&[
            ("traefik.http.routers.weather.rule", "Path(`/weather`) || PathPrefix(`/weather/`)"),
            ("traefik.http.services.weather.loadbalancer.server.port", "4711"),
            ("traefik.http.services.weather.loadbalancer.passivehealthcheck.maxfailedattempts", "1"),
        ]);
        assert_eq!(weather.labels_at(4711), expected);
        assert_eq!(weather.path(), Some("/weather"));
    }

    #[test]
    fn environment_is_the_services_own() {
        let weather = ServiceDefinition::parse(FILE, "weather").unwrap();
        assert_eq!(weather.environment(), owned(&[("WEATHER_ENTRIES", "a=1,b=2"), ("WEATHER_PRICE", "5$")]));
        let tide = ServiceDefinition::parse(FILE, "tide").unwrap();
        assert_eq!(tide.environment(), owned(&[("TIDE", "low=2")]));
        assert_eq!((tide.labels_at(1), tide.path()), (Vec::new(), None));
    }

    #[test]
    fn rule_with_other_matchers_has_no_path() {
        let path = |rule: &str| {
            let labels = owned(&[("traefik.http.routers.a.rule", rule)]);
            ServiceDefinition { labels, environment: Vec::new() }.path().map(str::to_owned)
        };
        assert_eq!(path("PathPrefix(`/a/`)").as_deref(), Some("/a/"));
        assert_eq!(path("Host(`a.lan`) && Path(`/a`)"), None);
        assert_eq!(path("PathRegexp(`^/a`)"), None);
    }

    #[test]
    fn errors_name_the_cause() {
        let error = |text: &str| format!("{:#}", ServiceDefinition::parse(text, "a").unwrap_err());
        assert_eq!(error("services: {b: {}}"), "no service a");
        assert!(error("a: [").starts_with("not valid YAML: "), "{}", error("a: ["));
        assert_eq!(
            error("services: {a: {environment: 5}}"),
            "services.a.environment: expected a map or a list"
        );
        assert!(error("services: {a: {environment: [A=$B]}}").contains("has a variable"));
        assert_eq!(services(FILE).unwrap(), ["weather", "tide"]);
    }
}
