//! The running demo: made ready, watched, and ended in order.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::{Fleet, FleetOptions, Instance, Process, Signal, http, instance};
use signal_hook::iterator::Signals;

use crate::guest::Guest;

/// How long the demo may take to answer.
const READY: Duration = Duration::from_secs(30);

/// Pause between two looks at signals and parts.
const POLL: Duration = Duration::from_millis(10);

/// Each service of the demo, with a path that asks for it.
const PATHS: [(&str, &str); 2] = [("ping", "/ping"), ("hello", "/hello/viktor")];

/// Hub, Traefik, pings, hellos and guests. Dropped, they are killed.
pub(crate) struct Demo {
    instances: Vec<Instance>,
    /// Each service with a path that asks for it.
    paths: Vec<(String, String)>,
    fleet: Fleet,
}

impl Demo {
    /// Starts everything; only the hub is waited for, as all others come to it.
    pub(crate) fn start(
        options: FleetOptions,
        pings: usize,
        hellos: usize,
        guests: &[Guest],
    ) -> Result<Self> {
        let fleet = Fleet::spawn(options)?;
        let mut instances = fleet.launch_all("ping", pings)?;
        instances.extend(fleet.launch_all("hello", hellos)?);
        let mut paths: Vec<_> = PATHS.map(|(service, path)| (service.to_owned(), path.to_owned())).into();
        for guest in guests {
            instances.extend(guest.launch(&fleet)?);
            paths.extend(guest.path().map(|path| (guest.name().to_owned(), path.to_owned())));
        }
        Ok(Self { instances, paths, fleet })
    }

    /// Waits until everything answers, calls `ready` with what can be asked, and then watches all parts until a
    /// signal comes. A part that ends by itself is an error.
    pub(crate) fn run(&mut self, signals: &mut Signals, ready: impl FnOnce(&[String])) -> Result<()> {
        let began = Instant::now();
        let mut announce = Some(ready);
        while signals.pending().next().is_none() {
            self.all_run()?;
            if announce.is_some() {
                match self.answers() {
                    Ok(()) => announce.take().into_iter().for_each(|ready| ready(&self.urls())),
                    Err(error) if began.elapsed() > READY => {
                        self.parts().for_each(|part| eprint!("{}", part.tail()));
                        return Err(error.context(format!("not ready in {READY:?}")));
                    }
                    Err(_) => {}
                }
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Ends everything in order: instances withdraw and drain while Traefik and hub are still there for them. Another
    /// signal hurries, and one more kills.
    pub(crate) fn stop(&mut self, signals: &mut Signals) -> Result<()> {
        let routers = [self.fleet.traefik.process().try_wait()?, self.fleet.hub.process().try_wait()?];
        // Without these there is nothing to withdraw from.
        let mut ending = Ending { signals, hurried: routers.iter().any(Option::is_some) };
        ending.end(self.instances.iter_mut().map(Instance::sidecar).collect())?;
        // Together: Traefik ends only when its poll is answered, which the hub does at once when it ends.
        ending.end(vec![self.fleet.traefik.process(), self.fleet.hub.process()])
    }

    fn parts(&mut self) -> impl Iterator<Item = &mut Process> {
        let (hub, traefik) = (self.fleet.hub.process(), self.fleet.traefik.process());
        [hub, traefik].into_iter().chain(self.instances.iter_mut().map(Instance::sidecar))
    }

    fn all_run(&mut self) -> Result<()> {
        for part in self.parts() {
            if let Some(status) = part.try_wait()? {
                eprint!("{}", part.tail());
                bail!("{} has ended by itself ({status})", part.name());
            }
        }
        Ok(())
    }

    /// Whether Traefik routes to every instance, and each of them has answered through it.
    fn answers(&self) -> Result<()> {
        let servers = self.fleet.traefik.api().servers()?;
        for instance in &self.instances {
            ensure!(servers.contains(&instance.url()), "{} is not routed", instance.host());
        }
        for (service, path) in &self.paths {
            let hosts: BTreeSet<_> = self.of(service).map(Instance::host).collect();
            let url = format!("{}{path}", self.fleet.traefik.url());
            // Whatever a guest answers there: that it does is what counts.
            let answers = hosts.iter().map(|_| http::get(&url)).collect::<Result<Vec<_>>>()?;
            let answered: BTreeSet<_> = answers.iter().filter_map(http::Response::served_by).collect();
            ensure!(answered == hosts, "{path} is answered by {answered:?} of {hosts:?}");
        }
        Ok(())
    }

    fn urls(&self) -> Vec<String> {
        let there = self.paths.iter().filter(|(service, _)| self.of(service).next().is_some());
        there.map(|(_, path)| format!("{}{path}", self.fleet.traefik.url())).collect()
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(move |instance| instance.spec().service == service)
    }
}

/// The end of a demo, stage by stage.
struct Ending<'a> {
    signals: &'a mut Signals,
    hurried: bool,
}

impl Ending<'_> {
    /// Sends SIGTERM to those of `parts` that still run, and waits until they have ended well.
    fn end(&mut self, parts: Vec<&mut Process>) -> Result<()> {
        let deadline = Instant::now() + instance::STOP;
        let mut ending = Vec::new();
        for part in parts {
            if part.try_wait()?.is_none() {
                part.signal(Signal::TERM)?;
                ending.push(part);
            }
        }
        if self.hurried {
            hurry(&mut ending)?;
        }
        while let Some(part) = running(&mut ending)? {
            if self.signals.pending().next().is_some() {
                ensure!(!self.hurried, "killed without waiting for {part} to end");
                self.hurried = true;
                hurry(&mut ending)?;
            }
            ensure!(Instant::now() < deadline, "killed, as {part} did not end in {:?}", instance::STOP);
            thread::sleep(POLL);
        }
        for part in ending {
            let status = part.try_wait()?.context("it was seen to have ended")?;
            ensure!(status.success(), "{} did not end well ({status})\n{}", part.name(), part.tail());
        }
        Ok(())
    }
}

/// To a sidecar a second signal says not to wait for its withdrawal. It is another one, since two of one kind may
/// arrive as one.
fn hurry(parts: &mut [&mut Process]) -> Result<()> {
    parts.iter_mut().try_for_each(|part| part.signal(Signal::INT))
}

/// The name of the first of `parts` that still runs.
fn running(parts: &mut [&mut Process]) -> Result<Option<String>> {
    for part in parts {
        if part.try_wait()?.is_none() {
            return Ok(Some(part.name().to_owned()));
        }
    }
    Ok(None)
}
