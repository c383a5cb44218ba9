//! A Docker container.

use anyhow::{Context, Result};

use crate::Docker;

/// A container, running or not.
#[derive(Clone, Debug)]
pub struct Container {
    docker: Docker,
    id: String,
}

impl Container {
    /// The container with this ID or name.
    pub fn new(docker: &Docker, id: impl Into<String>) -> Self {
        Self { docker: docker.clone(), id: id.into() }
    }

    /// Client for the container's engine.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Container ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the output of `docker inspect` for a Go template.
    pub fn inspect(&self, format: &str) -> Result<String> {
        self.docker.run(&["inspect", "--format", format, &self.id])
    }

    /// Host name inside the container.
    pub fn host(&self) -> Result<String> {
        self.inspect("{{.Config.Hostname}}")
    }

    /// IP address on the stack's network `apps`.
    pub fn address(&self) -> Result<String> {
        // Swarm prefixes the network's name with the stack's.
        let addresses =
            "{{range $name, $network := .NetworkSettings.Networks}}{{$name}}={{$network.IPAddress}} {{end}}";
        let addresses = self.inspect(addresses)?;
        let found = addresses.split(' ').find_map(|entry| entry.split_once("_apps="));
        found
            .map(|(_, address)| address.to_owned())
            .with_context(|| format!("looking for the address of container {} in {addresses:?}", self.id))
    }

    /// Runs a command in the container and returns its output.
    pub fn exec(&self, command: &[&str]) -> Result<String> {
        self.docker.run(&[&["exec", &self.id], command].concat())
    }

    /// Kills the container with SIGKILL, as the kernel does when memory runs out.
    pub fn kill(&self) -> Result<()> {
        self.docker.run(&["kill", &self.id]).map(drop)
    }
}
