//! One container of a stack's.

use anyhow::{Context, Result};

use crate::Docker;

/// A container of a task.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) docker: Docker,
    pub(super) id: String,
}

impl Container {
    /// One that is known by its ID.
    pub fn new(docker: &Docker, id: impl Into<String>) -> Self {
        Self { docker: docker.clone(), id: id.into() }
    }

    /// A client for the engine that it is on.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What `docker inspect` says of it, in a Go template's words.
    pub fn inspect(&self, format: &str) -> Result<String> {
        self.docker.run(&["inspect", "--format", format, &self.id])
    }

    /// The name by which it knows itself.
    pub fn host(&self) -> Result<String> {
        self.inspect("{{.Config.Hostname}}")
    }

    /// Its address on the stack's network `apps`.
    pub fn address(&self) -> Result<String> {
        // It has the stack's name before its own.
        let addresses =
            "{{range $name, $network := .NetworkSettings.Networks}}{{$name}}={{$network.IPAddress}} {{end}}";
        let addresses = self.inspect(addresses)?;
        let found = addresses.split(' ').find_map(|entry| entry.split_once("_apps="));
        found
            .map(|(_, address)| address.to_owned())
            .with_context(|| format!("looking for the address of container {} in {addresses:?}", self.id))
    }

    /// Runs a command in it, and returns what that says.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        self.docker.run(&[&["exec", &self.id], command].concat())
    }

    /// Kills it, as the kernel does when memory runs out.
    pub fn kill(&self) -> Result<()> {
        self.docker.run(&["kill", &self.id]).map(drop)
    }
}
