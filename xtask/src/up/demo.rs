//! The demo's processes: started, watched, and stopped in order.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use harness::{Fleet, FleetOptions, Hub, Instance, Process, Signal, http, instance};
use signal_hook::iterator::Signals;

use super::guest::Guest;

/// Maximum time from the start until all services answer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval at which signals and processes are checked.
const POLL: Duration = Duration::from_millis(10);

/// The hub, Traefik and all instances. Dropping it kills them.
pub(super) struct Demo {
    services: Vec<Service>,
    fleet: Fleet,
}

struct Service {
    /// A path that Traefik routes to the service, if its labels tell one.
    path: Option<String>,
    instances: Vec<Instance>,
}

impl Demo {
    /// Starts all processes. Only the hub has to be up before the others, which connect to it.
    pub(super) fn start(
        options: FleetOptions,
        pings: usize,
        hellos: usize,
        guests: &[Guest],
    ) -> Result<Self> {
        let fleet = Fleet::spawn(options)?;
        let mut services = Vec::new();
        for (name, path, count) in [("ping", "/ping", pings), ("hello", "/hello/viktor", hellos)] {
            services.push(Service { path: Some(path.to_owned()), instances: fleet.launch_all(name, count)? });
        }
        for guest in guests {
            services.push(Service { path: guest.path(), instances: guest.launch(&fleet)? });
        }
        services.retain(|service| !service.instances.is_empty());
        Ok(Self { services, fleet })
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.fleet.hub
    }

    /// Calls `ready` with the services' URLs once all instances answer, and returns at the first signal. Fails if a
    /// process exits.
    pub(super) fn run(&mut self, signals: &mut Signals, ready: impl FnOnce(&[String])) -> Result<()> {
        let began = Instant::now();
        let mut ready = Some(ready);
        while signals.pending().next().is_none() {
            self.ensure_running()?;
            if ready.is_some() {
                match self.answers() {
                    Ok(urls) => ready.take().into_iter().for_each(|ready| ready(&urls)),
                    Err(error) if began.elapsed() > READY_TIMEOUT => {
                        self.processes().for_each(|process| eprint!("{}", process.tail()));
                        return Err(error.context(format!("not ready after {READY_TIMEOUT:?}")));
                    }
                    Err(_) => {}
                }
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Stops the instances first, so that they withdraw and drain while hub and Traefik still run. A second signal
    /// skips the withdrawal, and a third kills everything.
    pub(super) fn stop(&mut self, signals: &mut Signals) -> Result<()> {
        let (hub, traefik) = (self.fleet.hub.process(), self.fleet.traefik.process());
        // There is nothing to withdraw from if one of the two has exited.
        let mut hurried = hub.try_wait()?.is_some() || traefik.try_wait()?.is_some();
        let instances = self.services.iter_mut().flat_map(|service| &mut service.instances);
        terminate(instances.map(Instance::sidecar).collect(), signals, &mut hurried)?;
        // Together: Traefik exits only when its poll is answered, which the hub does when it stops.
        terminate(vec![traefik, hub], signals, &mut hurried)
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let instances = self.services.iter_mut().flat_map(|service| &mut service.instances);
        [self.fleet.hub.process(), self.fleet.traefik.process()]
            .into_iter()
            .chain(instances.map(Instance::sidecar))
    }

    fn ensure_running(&mut self) -> Result<()> {
        for process in self.processes() {
            if let Some(status) = process.try_wait()? {
                eprint!("{}", process.tail());
                bail!("{} exited unexpectedly ({status})", process.name());
            }
        }
        Ok(())
    }

    /// The services' URLs. Fails unless Traefik routes to every instance, and each of them answers through it.
    fn answers(&self) -> Result<Vec<String>> {
        let servers = self.fleet.traefik.api().servers()?;
        let mut urls = Vec::new();
        for service in &self.services {
            for instance in &service.instances {
                ensure!(servers.contains(&instance.url()), "{} is not routed", instance.host());
            }
            let Some(path) = &service.path else { continue };
            let url = format!("{}{path}", self.fleet.traefik.url());
            let hosts: BTreeSet<_> = service.instances.iter().map(Instance::host).collect();
            // Any status will do: the path may mean nothing to a service of the user's.
            let answers = hosts.iter().map(|_| http::get(&url)).collect::<Result<Vec<_>>>()?;
            let answered: BTreeSet<_> = answers.iter().filter_map(http::Response::served_by).collect();
            ensure!(answered == hosts, "{path} is answered by {answered:?} of {hosts:?}");
            urls.push(url);
        }
        Ok(urls)
    }
}

/// Sends SIGTERM to `processes`, and waits until all have exited with code 0.
fn terminate(processes: Vec<&mut Process>, signals: &mut Signals, hurried: &mut bool) -> Result<()> {
    let deadline = Instant::now() + instance::STOP;
    let mut running = Vec::new();
    for process in processes {
        if process.try_wait()?.is_none() {
            process.signal(Signal::TERM)?;
            running.push(process);
        }
    }
    if *hurried {
        hurry(&mut running)?;
    }
    while !running.is_empty() {
        let mut left = Vec::new();
        for process in running {
            match process.try_wait()? {
                None => left.push(process),
                Some(status) if status.success() => {}
                Some(status) => bail!("{} failed to stop ({status})\n{}", process.name(), process.tail()),
            }
        }
        running = left;
        let Some(name) = running.first().map(|process| process.name().to_owned()) else { break };
        if signals.pending().next().is_some() {
            ensure!(!*hurried, "killed {name} and the processes after it at the user's request");
            *hurried = true;
            hurry(&mut running)?;
        }
        ensure!(Instant::now() < deadline, "killed {name}: it did not stop within {:?}", instance::STOP);
        thread::sleep(POLL);
    }
    Ok(())
}

/// Tells sidecars not to wait for their withdrawal. The signal differs from the first one, as two signals of one kind
/// may be delivered as one.
fn hurry(processes: &mut [&mut Process]) -> Result<()> {
    processes.iter_mut().try_for_each(|process| process.signal(Signal::INT))
}
