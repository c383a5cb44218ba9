//! Hub, Traefik and instances together, as in the demo.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::certificates::{Certificates, P256};
use crate::hub::HubOptions;
use crate::loopback::free_at_source;
use crate::stack_file::ServiceDefinition;
use crate::tokens::{Master, write_token};
use crate::traefik::TraefikOptions;
use crate::{
    Binaries, Hub, Instance, InstanceSpec, Loopback, SpawnOptions, Traefik, eventually, http, labels, tools,
};

/// Time limit for routing instances on a machine that is busy with other tests.
pub(crate) const ROUTED_TIMEOUT: Duration = Duration::from_secs(20);

/// Options of a fleet. The default is for a test: its own loopback address, with free ports.
#[derive(Clone, Debug, Default)]
pub struct FleetOptions {
    /// The project's binaries; [`Binaries::find`] by default.
    pub binaries: Option<Binaries>,
    /// Binary of Traefik; [`tools::traefik`] by default.
    pub traefik: Option<PathBuf>,
    /// Address of the hub.
    pub hub: Option<SocketAddr>,
    /// Address of Traefik's entry point.
    pub entry: Option<SocketAddr>,
    /// Address of Traefik's API and dashboard.
    pub api: Option<SocketAddr>,
    /// Further flags for the hub.
    pub hub_arguments: Vec<String>,
    /// Whether the hub has a certificate, and its clients use HTTPS.
    pub has_tls: bool,
    /// Log level of Traefik; that of [`TraefikOptions::new`] by default.
    pub traefik_log_level: Option<&'static str>,
    /// Whether Traefik's API is open only to the hub, as in the demo. Then instances cannot be [routed](Fleet::wait_routed).
    pub is_api_secure: bool,
    /// Whether Traefik's polls do not tell the port of its API.
    pub is_api_hidden: bool,
    /// Directory of Traefik's file provider.
    pub files: Option<PathBuf>,
    /// Middleware of Traefik's entry point.
    pub entry_middleware: Option<&'static str>,
    /// Options of all processes.
    pub spawn: SpawnOptions,
}

/// A hub and a Traefik, which instances can join. Drop kills both, but not the instances.
pub struct Fleet {
    /// Traefik.
    pub traefik: Traefik,
    /// The hub.
    pub hub: Hub,
    loopback: Loopback,
    binaries: Binaries,
    spawn: SpawnOptions,
    _directory: TempDir,
    _certificates: Option<Certificates>,
}

impl Fleet {
    /// Starts hub and Traefik for a test, and waits until both are ready.
    pub fn start() -> Result<Self> {
        let mut fleet = Self::spawn(FleetOptions::default())?;
        fleet.traefik.wait_ready()?;
        Ok(fleet)
    }

    /// Starts hub and Traefik without waiting for Traefik.
    pub fn spawn(options: FleetOptions) -> Result<Self> {
        let loopback = Loopback::new();
        let or_free = |address: Option<SocketAddr>| address.map_or_else(|| loopback.free(), Ok);
        let binaries = options.binaries.map_or_else(Binaries::find, Ok)?;
        let traefik = options.traefik.map_or_else(tools::traefik, Ok)?;
        let directory = tempfile::tempdir().context("creating a directory for the fleet")?;

        let address = or_free(options.hub)?;
        let certificates = options.has_tls.then(|| Certificates::new(P256));
        // As in the demo.
        let mut arguments = vec!["--default-certificate".to_owned()];
        arguments.extend(options.hub_arguments);
        if let Some(certificates) = &certificates {
            let [cert, key] = certificates.issue_for_address(address.ip(), P256);
            if arguments.iter().any(|argument| argument == "--page-path") {
                arguments.extend(["--page-ca".to_owned(), certificates.path("ca.pem")]);
            }
            arguments.extend(["--cert".to_owned(), cert, "--key".to_owned(), key]);
        }
        let hub = HubOptions {
            program: binaries.path("hub"),
            address,
            token_file: directory.path().join("token"),
            ca: certificates.as_ref().map(|certificates| certificates.path("ca.pem")),
            arguments,
        };
        let master = Master::random()?;
        write_token(&hub.token_file, master.as_str())?;
        // No instance can re-register at a new hub, so the warm-up is short.
        let hub = Hub::start(hub, Some(Duration::from_millis(300)), options.spawn)?;

        let entry = or_free(options.entry)?;
        // The hub reaches the API at the address from which Traefik polls.
        let api = options.api.map_or_else(free_at_source, Ok)?;
        let mut traefik = TraefikOptions::new(traefik, entry, api, hub.url());
        traefik.token = Some(master.role("router"));
        traefik.hub_ca.clone_from(&hub.options().ca);
        traefik.log_level = options.traefik_log_level.unwrap_or(traefik.log_level);
        traefik.is_api_insecure = !options.is_api_secure;
        traefik.told_api_port = traefik.told_api_port.filter(|_| !options.is_api_hidden);
        traefik.files = options.files;
        traefik.entry_middleware = options.entry_middleware;
        let traefik = Traefik::spawn(traefik, options.spawn)?;
        let spawn = options.spawn;
        Ok(Self {
            traefik,
            hub,
            loopback,
            binaries,
            spawn,
            _directory: directory,
            _certificates: certificates,
        })
    }

    /// Starts another hub with the same port and token, and waits until it answers.
    pub fn another_hub(&self) -> Result<Hub> {
        let mut options = self.hub.options().clone();
        options.address.set_ip(Loopback::new().ip());
        Hub::start(options, Some(Duration::from_millis(300)), self.spawn)
    }

    /// Starts another Traefik, whose polls have the name `router`, and waits until it is ready.
    pub fn another_traefik(&self, router: &str) -> Result<Traefik> {
        self.another_traefik_of(&self.hub, router)
    }

    /// Starts another Traefik that polls `hub`, under the name `router`, and waits until it is ready.
    pub fn another_traefik_of(&self, hub: &Hub, router: &str) -> Result<Traefik> {
        let mut options = self.traefik.options().clone();
        options.hub = hub.url();
        (options.entry, options.api) = (Loopback::new().free()?, free_at_source()?);
        options.told_api_port = options.told_api_port.map(|_| options.api.port());
        router.clone_into(&mut options.router);
        let mut traefik = Traefik::spawn(options, self.spawn)?;
        traefik.wait_ready()?;
        Ok(traefik)
    }

    /// Options of a new instance of `service`, ping or hello, with the token of the service.
    pub fn spec(&self, service: &str, host: &str) -> Result<InstanceSpec> {
        let mut spec = self.spec_for(&self.binaries.path(service), service, host)?;
        spec.token_file = self.hub.token_file(&self.hub.master()?.service(service))?;
        spec.labels = labels::of(service, spec.address.port())?;
        Ok(spec)
    }

    /// As [`Self::spec_for`], with the program of `service` and its labels in the stack file `file`.
    pub fn spec_from_stack(&self, file: &Path, service: &str, host: &str) -> Result<InstanceSpec> {
        let mut spec = self.spec_for(&self.binaries.path(service), service, host)?;
        spec.labels = ServiceDefinition::read(file, service)?.labels_at(spec.address.port());
        Ok(spec)
    }

    /// Options of a new ping that registers as `service`, without labels.
    pub fn ping_as(&self, service: &str, host: &str) -> Result<InstanceSpec> {
        self.spec_for(&self.binaries.path("ping"), service, host)
    }

    /// Options of a new instance of any service and `program`, without labels. It has the master token, so that its labels may
    /// set priorities and share definitions with other services.
    pub fn spec_for(&self, program: &Path, service: &str, host: &str) -> Result<InstanceSpec> {
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
            token_file: self.hub.token_file(self.hub.master()?.as_str())?,
            sidecar_arguments: self.hub.ca_flags(),
            command,
            environment: Vec::new(),
        })
    }

    /// Starts an instance without waiting for it.
    pub fn launch(&self, spec: InstanceSpec) -> Result<Instance> {
        Instance::spawn(spec, self.spawn)
    }

    /// Starts `count` instances of `service`, named `ping-1`, `ping-2` and so on, without waiting for them.
    pub fn launch_all(&self, service: &str, count: usize) -> Result<Vec<Instance>> {
        (1..=count).map(|number| self.launch(self.spec(service, &format!("{service}-{number}"))?)).collect()
    }

    /// Starts `count` instances of `service`, and waits until Traefik routes to all of them.
    pub fn start_all(&self, service: &str, count: usize) -> Result<Vec<Instance>> {
        let mut instances = self.launch_all(service, count)?;
        self.wait_routed(&mut instances)?;
        Ok(instances)
    }

    /// Waits until Traefik routes to each of `instances`. Fails at once if one of them exits.
    pub fn wait_routed<'a>(&self, instances: impl IntoIterator<Item = &'a mut Instance>) -> Result<()> {
        for instance in instances {
            let url = instance.url();
            let routed = || {
                ensure!(self.traefik.api().servers()?.contains(&url), "{url} is not among Traefik's servers");
                Ok(())
            };
            instance.sidecar().wait_until(ROUTED_TIMEOUT, routed).context("waiting to be routed")?;
        }
        Ok(())
    }

    /// Waits until Traefik no longer routes to `instance`.
    pub fn wait_unrouted(&self, instance: &Instance, timeout: Duration) -> Result<()> {
        let url = instance.url();
        let unrouted = || {
            ensure!(!self.traefik.api().servers()?.contains(&url), "{url} is still among Traefik's servers");
            Ok(())
        };
        eventually(timeout, unrouted)
            .with_context(|| format!("waiting until {} is unrouted", instance.host()))
    }

    /// Sends `GET path` until each of `instances`, and no other, has responded.
    pub fn wait_responses<'a>(
        &self,
        path: &str,
        instances: impl IntoIterator<Item = &'a Instance>,
    ) -> Result<()> {
        let expected: BTreeSet<String> =
            instances.into_iter().map(|instance| instance.host().to_owned()).collect();
        let url = format!("{}{path}", self.traefik.url());
        let mut seen = BTreeSet::new();
        let responded = eventually(ROUTED_TIMEOUT, || {
            let response = http::get_ok(&url)?;
            seen.extend(response.served_by().map(str::to_owned));
            ensure!(seen == expected, "responses from {seen:?} instead of {expected:?}");
            Ok(())
        });
        responded.with_context(|| format!("requesting {path}"))
    }
}
