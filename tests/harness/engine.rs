//! A Docker engine in swarm mode that all tests of a process share.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::Container;
use crate::netns::NetnsGuard;
use crate::shared::{Shared, SharedHandle};
use crate::{Binaries, Docker, Images, Lab, LabOptions, Loopback, images, tools};

/// An engine, with the images that tests have built for it.
pub struct Engine {
    docker: Docker,
    images: Mutex<Option<Images>>,
    traefik: Mutex<Option<String>>,
    // Dropped in this order.
    _membership: Option<Membership>,
    own: Option<Lab>,
}

/// Handle of the shared engine. The engine ends with the last handle.
pub type SharedEngine = SharedHandle<Engine>;

static ENGINE: Shared<Engine> = Shared::new();

impl Engine {
    /// Returns the engine that the environment names or that runs on this machine. Otherwise starts one, which requires root.
    /// The engine is a manager of its swarm; if it is in none, it initialises one for as long as the handle exists.
    pub fn shared() -> Result<SharedEngine> {
        ENGINE.get(|_| true, Self::start)
    }

    fn start() -> Result<Self> {
        let docker = Docker::from_environment()?;
        let (docker, own) = match docker.architecture() {
            Ok(_) => (docker, None),
            Err(unreachable) => {
                let own = Lab::create(&LabOptions::owned(1))
                    .with_context(|| format!("starting an engine because {unreachable:#}"))?;
                (own.docker().clone(), Some(own))
            }
        };
        let membership = Membership::of(&docker)?;
        let (images, traefik) = Default::default();
        Ok(Self { docker, images, traefik, _membership: membership, own })
    }

    /// Client for the engine.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Moves the calling thread, and the threads that it starts meanwhile, to the network namespace in which published ports
    /// are on loopback. Does nothing unless the engine was started here.
    pub fn enter(&self) -> Result<Option<NetnsGuard>> {
        self.own.as_ref().map(|own| own.nodes()[0].enter()).transpose()
    }

    /// Moves the calling thread, and the threads that it starts meanwhile, to the network namespace of a container.
    pub fn enter_container(&self, container: &Container) -> Result<NetnsGuard> {
        match &self.own {
            Some(own) => own.enter_container(container),
            None => NetnsGuard::enter_at(&container.inspect("{{.NetworkSettings.SandboxKey}}")?),
        }
    }

    /// The project's images, built on the first call. Their tag differs from that of the user's images.
    pub fn images(&self) -> Result<Images> {
        once(&self.images, || {
            let images = Images::new("swarmlings", "test");
            images.build(&self.docker, &self.docker.architecture()?, &Binaries::find()?)?;
            Ok(images)
        })
    }

    /// Name of an image with Traefik's binary, built on the first call.
    pub fn traefik_image(&self) -> Result<String> {
        once(&self.traefik, || images::build_traefik(&self.docker, "swarmlings", &tools::traefik()?))
    }
}

/// Returns the value of `cell`, created on the first call. Other threads wait for it.
fn once<T: Clone>(cell: &Mutex<Option<T>>, create: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut cell = cell.lock().unwrap_or_else(PoisonError::into_inner);
    if cell.is_none() {
        *cell = Some(create()?);
    }
    cell.clone().context("created above")
}

/// Membership of a swarm that was initialised here. Drop leaves the swarm.
struct Membership {
    docker: Docker,
}

impl Membership {
    /// Initialises a swarm, unless the engine is already a manager.
    fn of(docker: &Docker) -> Result<Option<Self>> {
        match docker
            .run(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"])?
            .as_str()
        {
            "active true" => return Ok(None),
            "inactive false" => {}
            other => bail!(
                "the engine's swarm state is {other:?}: expected a manager, or an engine outside of any swarm"
            ),
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
