//! A Docker engine in swarm mode: the one that runs, or else one that is started here.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::hold::{Hold, Shared};
use crate::network::Inside;
use crate::stack::Container;
use crate::{Binaries, Docker, Images, Lab, LabOptions, Loopback, images, tools};

/// An engine, with the images that were built for it.
pub struct Engine {
    docker: Docker,
    images: Mutex<Option<Images>>,
    traefik: Mutex<Option<String>>,
    // Their order is that of their ends.
    _membership: Option<Membership>,
    own: Option<Lab>,
}

/// A hold on the one engine that all tests of this process share. The engine ends with the last hold on it.
pub type SharedEngine = Hold<Engine>;

static SHARED: Shared<Engine> = Shared::new();

impl Engine {
    /// The engine that the environment names or that runs on this machine, or else one that is started now, which takes
    /// root. It is a manager of a swarm, if need be of a new one with no other member that ends with this hold.
    pub fn shared() -> Result<SharedEngine> {
        SHARED.hold(|_| true, Self::start)
    }

    fn start() -> Result<Self> {
        let docker = Docker::from_environment()?;
        let (docker, own) = match docker.architecture() {
            Ok(_) => (docker, None),
            Err(unreachable) => {
                let own = Lab::create(&LabOptions::owned(1))
                    .with_context(|| format!("starting an engine, as {unreachable:#}"))?;
                (own.docker().clone(), Some(own))
            }
        };
        let membership = Membership::of(&docker)?;
        let (images, traefik) = Default::default();
        Ok(Self { docker, images, traefik, _membership: membership, own })
    }

    /// A client for it.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Takes the calling thread, and those that it starts from then on, to where ports that the engine publishes answer
    /// on loopback. An engine that is started here has a network of its own.
    pub fn enter(&self) -> Result<Option<Inside>> {
        self.own.as_ref().map(|own| own.nodes()[0].enter()).transpose()
    }

    /// Takes the calling thread, and those that it starts from then on, to the network of a container of its own.
    pub fn enter_container(&self, container: &Container) -> Result<Inside> {
        match &self.own {
            Some(own) => own.enter_container(container),
            None => Inside::enter_at(&container.inspect("{{.NetworkSettings.SandboxKey}}")?),
        }
    }

    /// The project's images, built when they are first asked for. Their tag leaves those of the user alone.
    pub fn images(&self) -> Result<Images> {
        once(&self.images, || {
            let images = Images::new("swarmlings", "test");
            images.build(&self.docker, &self.docker.architecture()?, &Binaries::find()?)?;
            Ok(images)
        })
    }

    /// The name of an image of Traefik's binary, built when it is first asked for.
    pub fn traefik_image(&self) -> Result<String> {
        once(&self.traefik, || images::build_traefik(&self.docker, "swarmlings", &tools::traefik()?))
    }
}

/// What `cell` holds, made now if it is empty. Whoever else comes meanwhile waits for it.
fn once<T: Clone>(cell: &Mutex<Option<T>>, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut cell = cell.lock().unwrap_or_else(PoisonError::into_inner);
    if cell.is_none() {
        *cell = Some(make()?);
    }
    cell.clone().context("it was made just now")
}

/// A swarm that was initialised here, left when dropped.
struct Membership {
    docker: Docker,
}

impl Membership {
    /// None if the engine is a manager already.
    fn of(docker: &Docker) -> Result<Option<Self>> {
        match docker
            .run(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"])?
            .as_str()
        {
            "active true" => return Ok(None),
            "inactive false" => {}
            other => bail!("the engine's swarm is {other:?}: a manager is needed, or an engine in no swarm"),
        }
        let listen = Loopback::at(std::net::Ipv4Addr::LOCALHOST.into()).free()?.to_string();
        docker.run(&["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", &listen])?;
        Ok(Some(Self { docker: docker.clone() }))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Err(error) = self.docker.run(&["swarm", "leave", "--force"]) {
            eprintln!("{error:#}");
        }
    }
}
