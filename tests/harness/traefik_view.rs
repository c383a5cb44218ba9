//! What a Traefik has in use, as its API shows it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::http;

/// What the hub adds to Traefik's configuration on its own behalf.
const BEACON: &str = "swarmlings-beacon@http";

/// The API of one Traefik, and the provider that is looked at.
#[derive(Clone, Debug)]
pub struct TraefikView {
    url: String,
    provider: &'static str,
}

impl TraefikView {
    /// Of the Traefik whose API is at `url`, `http://IP:PORT`; only what comes from `provider`, such as `http` for the
    /// hub.
    pub fn new(url: impl Into<String>, provider: &'static str) -> Self {
        Self { url: url.into(), provider }
    }

    /// The API's answer to `GET /api/PATH`.
    pub fn get(&self, path: &str) -> Result<Value> {
        http::json(&format!("{}/api/{path}", self.url))
    }

    /// The routers, by name (such as `ping@http`).
    pub fn routers(&self) -> Result<BTreeMap<String, Value>> {
        self.entries("http/routers")
    }

    /// The services, by name (such as `ping@http`).
    pub fn services(&self) -> Result<BTreeMap<String, Value>> {
        self.entries("http/services")
    }

    /// The URLs of all servers that requests may be sent to, of all services, without a slash at the end. One that is in
    /// two services is there twice.
    pub fn server_list(&self) -> Result<Vec<String>> {
        let services = self.services()?;
        let lists = services.values().filter_map(|service| service["loadBalancer"]["servers"].as_array());
        Ok(lists
            .flatten()
            .filter_map(|server| Some(server["url"].as_str()?.trim_end_matches('/').to_owned()))
            .collect())
    }

    /// The same, each once.
    pub fn servers(&self) -> Result<BTreeSet<String>> {
        Ok(self.server_list()?.into_iter().collect())
    }

    fn entries(&self, path: &str) -> Result<BTreeMap<String, Value>> {
        // All on one page: the API's default is 100.
        let list = self.get(&format!("{path}?per_page=100000"))?;
        let list = list.as_array().with_context(|| format!("reading Traefik's API, {path}: not a list"))?;
        let wanted =
            list.iter().filter(|entry| entry["provider"] == self.provider && entry["name"] != BEACON);
        Ok(wanted.filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), entry.clone()))).collect())
    }
}
