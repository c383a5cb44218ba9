//! A Docker engine in swarm mode: the one that runs, or else one that is started here.

use std::fs;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;

use crate::docker::settled;
use crate::log::Log;
use crate::network::Inside;
use crate::{Binaries, Docker, Images, Loopback, Signal, eventually, images, proc, tools};

/// How long an engine may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// How long an engine may take to end: it gives its containers 15 s.
const STOP: Duration = Duration::from_secs(40);

/// Runs the second script in namespaces of its own, and removes the engine's directory when that has ended, however it
/// has ended: whatever the engine has started is gone with its first process, nothing stays mounted, and the machine's
/// own network is left as it is.
const OUTER: &str = r#"
unshare --mount --pid --net --fork --kill-child --mount-proc sh -c "$1" inner "$2"
rm -rf "$2"
"#;

/// Runs the engine until it ends by itself, or standard input is closed: by its owner, or by the owner's death.
///
/// An empty /run hides the containerd of the system, which knows nothing of these mounts; the engine starts its own.
const INNER: &str = r#"
mount -t tmpfs tmpfs /run && ip link set lo up || exit
exec 3<&0
dockerd --config-file "$1/daemon.json" 3<&- &
engine=$!
{ read -r _ <&3; kill "$engine"; } &
wait "$engine"
"#;

/// An engine, with the images that were built for it.
pub struct Engine {
    docker: Docker,
    images: Mutex<Option<Images>>,
    traefik: Mutex<Option<String>>,
    // Their order is that of their ends.
    _membership: Option<Membership>,
    own: Option<OwnEngine>,
}

/// A hold on the one engine that all tests of this process share. The engine ends with the last hold on it.
pub struct SharedEngine(Option<Arc<Engine>>);

static SHARED: Mutex<Option<Arc<Engine>>> = Mutex::new(None);

impl Engine {
    /// The engine that the environment names or that runs on this machine, or else one that is started now, which takes
    /// root. It is a manager of a swarm, if need be of a new one with no other member that ends with this hold.
    pub fn shared() -> Result<SharedEngine> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            *shared = Some(Arc::new(Self::start()?));
        }
        Ok(SharedEngine(shared.clone()))
    }

    fn start() -> Result<Self> {
        let docker = Docker::from_environment()?;
        let (docker, own) = match docker.architecture() {
            Ok(_) => (docker, None),
            Err(unreachable) => {
                let own =
                    OwnEngine::start().with_context(|| format!("starting an engine, as {unreachable:#}"))?;
                (own.docker.clone(), Some(own))
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
        self.own.as_ref().map(|own| Inside::enter(own.unshare()?)).transpose()
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

impl Deref for SharedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.0.as_deref().expect("it is taken only by drop")
    }
}

impl Drop for SharedEngine {
    fn drop(&mut self) {
        // The lock is held until the engine has ended: no test is to start the next one while this one has the ports.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        self.0 = None;
        if shared.as_ref().is_some_and(|engine| Arc::strong_count(engine) == 1) {
            *shared = None;
        }
    }
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

/// An engine that was started here, with all it has in a directory of its own. Dropped, it ends and leaves nothing.
struct OwnEngine {
    docker: Docker,
    child: Child,
    /// Closed, it tells the engine to end.
    input: Option<ChildStdin>,
    log: Log,
}

impl OwnEngine {
    fn start() -> Result<Self> {
        for (program, package) in
            [("dockerd", "docker.io"), ("unshare", "util-linux"), ("iptables", "iptables")]
        {
            tools::on_path(program)
                .with_context(|| format!("no {program} on PATH: apt-get install {package}"))?;
        }
        if !rustix::process::geteuid().is_root() {
            bail!("only root can start an engine: run this as root, or start Docker");
        }
        let directory = tempfile::Builder::new().prefix("swarmlings-engine-").tempdir();
        let directory = directory.context("creating a directory for the engine")?;
        write_configuration(directory.path())?;
        let docker = Docker::at(format!("unix://{}/docker.sock", directory.path().display()))?;

        let mut command = Command::new("sh");
        command.args(["-c", OUTER, "outer", INNER]).arg(directory.path());
        // Or each task would first wait for a registry that has none of these images.
        command.env("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE", "1");
        // Ctrl-C is for the tests, whose end is then the engine's.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting sh")?;
        // From here on the script removes it.
        let _ = directory.keep();
        let (input, output) = (child.stdin.take(), child.stderr.take());
        let log = Log::read(output.context("the engine has no stderr")?, None);
        let mut engine = Self { docker, child, input, log };
        engine.wait_ready()?;
        Ok(engine)
    }

    /// The process that has made the engine's network, and is in it.
    fn unshare(&self) -> Result<u32> {
        let first = proc::children(self.child.id()).first().map(proc::Task::pid);
        first.context("looking for the engine's network: it has ended")
    }

    fn wait_ready(&mut self) -> Result<()> {
        let Self { docker, child, log, .. } = self;
        let ready = settled(START, || -> Result<Result<()>> {
            if let Some(status) = child.try_wait()? {
                return Ok(Err(anyhow!("dockerd has ended ({status})")));
            }
            docker.architecture().map(|_| Ok(()))
        });
        ready
            .and_then(|outcome| outcome)
            .with_context(|| format!("waiting for dockerd, which said\n{}", log.tail(20)))
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        drop(self.input.take());
        let child = &mut self.child;
        let ended = eventually(STOP, || child.try_wait().is_ok_and(|status| status.is_some()));
        if ended.is_err() {
            eprintln!("the engine did not end within {STOP:?}: killing it");
            // That is unshare, with which all the rest ends; the shell then tidies up.
            for task in proc::children(child.id()) {
                task.signal(Signal::KILL);
            }
            let _ = child.wait();
        }
        if thread::panicking() {
            eprint!("--- dockerd, its last lines:\n{}", self.log.tail(20));
        }
    }
}

fn write_configuration(directory: &Path) -> Result<()> {
    let place = |name: &str| directory.join(name);
    let configuration = json!({
        "hosts": [format!("unix://{}", place("docker.sock").display())],
        "data-root": place("data"),
        "exec-root": place("exec"),
        "pidfile": place("pid"),
        "deprecated-key-path": place("key.json"),
        // Names that are not the stack's own are asked of nobody, and those without a dot are known at once not to be
        // there: the hub's, before it is healthy.
        "dns": ["127.0.0.1"],
        "dns-opts": ["ndots:1"],
        // Needs no systemd.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
    });
    fs::write(place("daemon.json"), configuration.to_string()).context("writing the engine's configuration")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::{Task, children};

    #[test]
    fn an_engine_that_was_started_here_leaves_nothing_behind() {
        let engine = OwnEngine::start().unwrap();
        let data = engine.docker.run(&["info", "--format", "{{.DockerRootDir}}"]).unwrap();
        let directory = Path::new(&data).parent().unwrap();
        let mut started = children(engine.child.id());
        let mut looked_at = 0;
        while let Some(task) = started.get(looked_at) {
            started.extend(children(task.pid()));
            looked_at += 1;
        }
        assert!(started.len() >= 4, "unshare, a shell, dockerd and containerd: {started:?}");
        assert!(directory.is_dir());

        drop(engine);
        assert!(!started.iter().any(Task::is_alive), "{started:?}");
        assert!(!directory.exists(), "{}", directory.display());
    }
}
