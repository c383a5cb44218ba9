//! Hub, Traefik and instances together, as the demo has them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::hub::{HubOptions, write_token};
use crate::stack::declared::Declared;
use crate::traefik::TraefikOptions;
use crate::{
    Binaries, Hub, Instance, InstanceSpec, Loopback, SpawnOptions, Traefik, eventually, http, labels, tools,
};

/// How long instances may take to be routed: a machine that is busy with other tests is slow.
const ROUTED: Duration = Duration::from_secs(20);

/// How a fleet is started. The default is for a test: own address, any ports.
#[derive(Clone, Debug, Default)]
pub struct FleetOptions {
    /// Where all binaries are; by default [`Binaries::find`].
    pub binaries: Option<Binaries>,
    /// Traefik's binary; by default [`tools::traefik`].
    pub traefik: Option<PathBuf>,
    /// Where clients come in.
    pub entry: Option<SocketAddr>,
    /// Where Traefik's API and dashboard are.
    pub api: Option<SocketAddr>,
    /// Further flags for the hub.
    pub hub_arguments: Vec<String>,
    /// The least of what Traefik logs; by default what [`TraefikOptions::new`] says.
    pub traefik_log_level: Option<&'static str>,
    /// How all parts stand to the terminal.
    pub spawn: SpawnOptions,
}

/// A hub and a Traefik, and what instances need to join them.
///
/// Dropped, both are killed. Instances belong to whoever started them.
pub struct Fleet {
    /// Traefik.
    pub traefik: Traefik,
    /// The hub.
    pub hub: Hub,
    loopback: Loopback,
    binaries: Binaries,
    spawn: SpawnOptions,
    _directory: TempDir,
}

impl Fleet {
    /// Starts hub and Traefik for a test, and waits until both answer.
    pub fn start() -> Result<Self> {
        let mut fleet = Self::spawn(FleetOptions::default())?;
        fleet.traefik.wait_ready()?;
        Ok(fleet)
    }

    /// Starts hub and Traefik; Traefik is not waited for.
    pub fn spawn(options: FleetOptions) -> Result<Self> {
        let loopback = Loopback::new();
        let or_free = |address: Option<SocketAddr>| address.map_or_else(|| loopback.free(), Ok);
        let binaries = options.binaries.map_or_else(Binaries::find, Ok)?;
        let traefik = options.traefik.map_or_else(tools::traefik, Ok)?;
        let directory = tempfile::tempdir().context("creating a directory for the fleet")?;

        let hub = HubOptions {
            program: binaries.path("hub"),
            address: loopback.free()?,
            token_file: directory.path().join("token"),
            // As the demo's stack has it.
            arguments: [vec!["--default-certificate".to_owned()], options.hub_arguments].concat(),
        };
        write_token(&hub.token_file)?;
        // Nothing was routed before this hub, so there is no one to come back.
        let hub = Hub::start(hub, Some(Duration::from_millis(300)), options.spawn)?;

        let (entry, api) = (or_free(options.entry)?, or_free(options.api)?);
        let mut traefik = TraefikOptions::new(traefik, entry, api, hub.url());
        traefik.log_level = options.traefik_log_level.unwrap_or(traefik.log_level);
        let traefik = Traefik::spawn(traefik, options.spawn)?;
        Ok(Self { traefik, hub, loopback, binaries, spawn: options.spawn, _directory: directory })
    }

    /// What a new instance of `service` (ping or hello) is started with, for those who want to change it.
    pub fn spec(&self, service: &str, host: &str) -> Result<InstanceSpec> {
        let mut spec = self.spec_of(&self.binaries.path(service), service, host)?;
        spec.labels = labels::of(service, spec.address.port())?;
        Ok(spec)
    }

    /// As [`Self::spec`], with the labels that the stack file `file` has for `service`.
    pub fn spec_by(&self, file: &Path, service: &str, host: &str) -> Result<InstanceSpec> {
        let mut spec = self.spec(service, host)?;
        spec.labels = Declared::read(file, service)?.labels_at(spec.address.port());
        Ok(spec)
    }

    /// As [`Self::spec`], for an instance of any service, of the program that is given: without labels.
    pub fn spec_of(&self, program: &Path, service: &str, host: &str) -> Result<InstanceSpec> {
        let (address, admin) = (self.loopback.free()?, self.loopback.free()?);
        let mut command = vec![program.to_owned().into_os_string()];
        let (ip, port, admin_port) =
            (address.ip().to_string(), address.port().to_string(), admin.port().to_string());
        let flags = ["--address", &ip, "--port", &port, "--admin-port", &admin_port, "--host", host];
        command.extend(flags.map(Into::into));
        Ok(InstanceSpec {
            sidecar: self.binaries.path("sidecar"),
            service: service.to_owned(),
            host: host.to_owned(),
            address,
            admin,
            probe: format!("http://{admin}/readyz"),
            labels: Vec::new(),
            hub: self.hub.url(),
            token_file: self.hub.options().token_file.clone(),
            sidecar_arguments: Vec::new(),
            command,
            environment: Vec::new(),
        })
    }

    /// Starts an instance without waiting for it.
    pub fn launch(&self, spec: InstanceSpec) -> Result<Instance> {
        Instance::spawn(spec, self.spawn)
    }

    /// Starts `count` instances of `service`, called `ping-1`, `ping-2` and so on, without waiting for them.
    pub fn launch_all(&self, service: &str, count: usize) -> Result<Vec<Instance>> {
        (1..=count).map(|number| self.launch(self.spec(service, &format!("{service}-{number}"))?)).collect()
    }

    /// As [`Self::launch_all`], and waits until Traefik routes to all of them.
    pub fn start_all(&self, service: &str, count: usize) -> Result<Vec<Instance>> {
        let mut instances = self.launch_all(service, count)?;
        self.wait_routed(&mut instances)?;
        Ok(instances)
    }

    /// Waits until Traefik routes to each of `instances`; fails at once if one of them has ended.
    pub fn wait_routed<'a>(&self, instances: impl IntoIterator<Item = &'a mut Instance>) -> Result<()> {
        for instance in instances {
            let url = instance.url();
            let routed = || {
                ensure!(self.traefik.servers()?.contains(&url), "{url} is not among Traefik's servers");
                Ok(())
            };
            instance.sidecar().wait_until(ROUTED, routed).context("waiting to be routed")?;
        }
        Ok(())
    }

    /// Waits until Traefik no longer routes to `instance`.
    pub fn wait_unrouted(&self, instance: &Instance, timeout: Duration) -> Result<()> {
        let url = instance.url();
        let unrouted = || {
            ensure!(!self.traefik.servers()?.contains(&url), "{url} is still among Traefik's servers");
            Ok(())
        };
        eventually(timeout, unrouted)
            .with_context(|| format!("waiting until {} is unrouted", instance.host()))
    }

    /// Asks for `path` until all of `instances`, and no other, have answered.
    pub fn wait_answered<'a>(
        &self,
        path: &str,
        instances: impl IntoIterator<Item = &'a Instance>,
    ) -> Result<()> {
        let wanted: BTreeSet<String> =
            instances.into_iter().map(|instance| instance.host().to_owned()).collect();
        let url = format!("{}{path}", self.traefik.url());
        let mut seen = BTreeSet::new();
        let answered = eventually(ROUTED, || {
            let answer = http::well(&url)?;
            seen.extend(answer.served_by().map(str::to_owned));
            ensure!(seen == wanted, "answered by {seen:?}, of {wanted:?}");
            Ok(())
        });
        answered.with_context(|| format!("asking for {path}"))
    }
}
