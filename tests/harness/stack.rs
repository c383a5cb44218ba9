//! A stack on a swarm.

use std::iter;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::docker::eventually_on_engine;
use crate::secrets::Secrets;
use crate::stack_file::Readable;
use crate::{Container, Docker, Images};

/// Label in which Docker stores the service of a container.
const SERVICE: &str = "com.docker.swarm.service.name";

/// Time limit for a stack to run after a deployment, or to be gone after its removal. Longer than the stack's grace period,
/// after which Swarm kills tasks.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Variables of a stack file.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The project's images.
    pub images: &'a Images,
    /// Image of Traefik.
    pub traefik: &'a str,
    /// Secrets with tokens.
    pub secrets: &'a Secrets,
    /// Port of Traefik for clients.
    pub port: u16,
    /// Further variables.
    pub variables: &'a [(&'a str, &'a str)],
}

/// A stack, deployed or not.
#[derive(Clone, Debug)]
pub struct Stack {
    docker: Docker,
    workers: Vec<Docker>,
    name: String,
}

impl Stack {
    /// The stack `name` on the swarm of a manager. Does not deploy it.
    pub fn new(docker: Docker, name: impl Into<String>) -> Self {
        Self { docker, workers: Vec::new(), name: name.into() }
    }

    /// Adds engines other than the manager's that may have containers of the stack.
    #[must_use]
    pub fn with_workers(mut self, workers: impl IntoIterator<Item = Docker>) -> Self {
        self.workers.extend(workers);
        self
    }

    /// Name of the stack.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Client for the manager.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Deploys `files`; later ones override earlier ones. Creates their secrets if necessary.
    pub fn deploy(&self, files: &[PathBuf], settings: &Settings<'_>) -> Result<()> {
        let secrets = settings.secrets.provide(&self.docker, &self.name, files)?;
        let all = files.iter().map(PathBuf::as_path).chain([secrets.path()]);
        let readable = all.map(|file| Readable::new(&self.docker, file)).collect::<Result<Vec<_>>>()?;
        let mut arguments = vec!["stack", "deploy", "--resolve-image", "never"];
        arguments.extend(readable.iter().flat_map(|file| ["--compose-file", file.path()]));
        arguments.push(&self.name);
        let mut command = self.docker.command(&arguments);
        command
            .envs(settings.images.variables(settings.traefik))
            .env("HTTP_PORT", settings.port.to_string())
            .envs(settings.variables.iter().copied());
        self.docker.run_command(&arguments, command).with_context(|| {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            format!("deploying {} as stack {}", files.join(", "), self.name)
        })?;
        Ok(())
    }

    /// Name of one of its services in the swarm: `STACK_SERVICE`.
    pub fn service(&self, service: &str) -> String {
        format!("{}_{service}", self.name)
    }

    /// Waits until every service has all its tasks and all of them are healthy.
    pub fn wait_running(&self, timeout: Duration) -> Result<()> {
        let running = eventually_on_engine(timeout, || {
            let services = self.docker.list(&[
                "stack",
                "services",
                "--format",
                "{{.Name}} {{.Replicas}}",
                &self.name,
            ])?;
            let waiting: Vec<_> = services.iter().filter(|line| !is_complete(line)).cloned().collect();
            if services.is_empty() || !waiting.is_empty() {
                bail!("not all tasks are running: {}", waiting.join(", "));
            }
            Ok(())
        });
        running.with_context(|| format!("waiting for stack {}", self.name))
    }

    /// Replaces the tasks of `service` according to its update settings, and waits until the update is completed.
    pub fn force_update(&self, service: &str) -> Result<()> {
        self.update(service, &["--detach=false"])?;
        // The client may return before Swarm has waited for the update's delay.
        self.wait_updated(service, Duration::from_mins(1))
    }

    /// Starts to replace the tasks of `service` according to its update settings.
    pub fn start_update(&self, service: &str) -> Result<()> {
        self.update(service, &["--detach"])
    }

    /// Gives `service` a variable, such as `NAME=value`, and waits until its tasks have it or the update is rolled back.
    /// Returns how it went, in Swarm's words, such as `rollback_completed`.
    pub fn set_variable(&self, service: &str, variable: &str) -> Result<String> {
        let name = self.service(service);
        let flags = ["service", "update", "--quiet", "--no-resolve-image", "--detach=false", "--env-add"];
        // The client calls a rollback an error.
        let updated = self.docker.run(&[&flags[..], &[variable, &name]].concat());
        let state = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}";
        let state = self.docker.run(&["service", "inspect", "--format", state, &name])?;
        if state.starts_with("rollback") { Ok(state) } else { updated.map(|_| state) }
    }

    /// Replaces the tasks of all `services` at the same time, and waits until the last old task has exited.
    pub fn replace(&self, services: &[&str], timeout: Duration) -> Result<()> {
        let before = self.ids(services)?;
        for service in services {
            self.start_update(service)?;
        }
        eventually_on_engine(timeout, || {
            let now = self.ids(services)?;
            let left = now.iter().filter(|id| before.contains(id)).count();
            ensure!(left == 0 && now.len() == before.len(), "{left} of {} tasks are old ones", now.len());
            Ok(())
        })
        .with_context(|| format!("waiting for new tasks of {}", services.join(", ")))
    }

    fn update(&self, service: &str, flags: &[&str]) -> Result<()> {
        let name = self.service(service);
        let common = ["service", "update", "--quiet", "--no-resolve-image", "--force"];
        self.docker.run(&[&common, flags, &[name.as_str()]].concat()).map(drop)
    }

    /// Adds a placement constraint to `service`, such as `node.hostname==leader`. Swarm moves tasks that violate it.
    pub fn add_constraint(&self, service: &str, constraint: &str) -> Result<()> {
        self.place(service, "--constraint-add", constraint)
    }

    /// Removes a placement constraint. Tasks stay on their nodes.
    pub fn remove_constraint(&self, service: &str, constraint: &str) -> Result<()> {
        self.place(service, "--constraint-rm", constraint)
    }

    fn place(&self, service: &str, change: &str, constraint: &str) -> Result<()> {
        let name = self.service(service);
        let flags = ["service", "update", "--quiet", "--no-resolve-image", "--detach", change];
        self.docker.run(&[&flags[..], &[constraint, &name]].concat()).map(drop)
    }

    /// Waits for the end of the last update of `service`. Fails if it was rolled back.
    pub fn wait_updated(&self, service: &str, timeout: Duration) -> Result<()> {
        let name = self.service(service);
        // `docker service update` also succeeds after a rollback.
        let state = "{{if .UpdateStatus}}{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}{{end}}";
        let ended = eventually_on_engine(timeout, || {
            let state = self.docker.run(&["service", "inspect", "--format", state, &name])?;
            ensure!(!state.starts_with("updating"), "{state}");
            Ok(state)
        });
        let state = ended.with_context(|| format!("updating {name}"))?;
        if !state.starts_with("completed") {
            bail!("updating {name}: {state}");
        }
        Ok(())
    }

    fn ids(&self, services: &[&str]) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for service in services {
            ids.extend(self.containers_of(service)?.into_iter().map(|container| container.id().to_owned()));
        }
        Ok(ids)
    }

    /// Containers of the stack; with `all` also stopped ones.
    pub fn containers(&self, all: bool) -> Result<Vec<Container>> {
        self.filtered(all, &self.filter())
    }

    /// Running containers of one of its services.
    pub fn containers_of(&self, service: &str) -> Result<Vec<Container>> {
        self.filtered(false, &format!("label={SERVICE}={}", self.service(service)))
    }

    fn filtered(&self, all: bool, filter: &str) -> Result<Vec<Container>> {
        let which = if all { "--all=true" } else { "--all=false" };
        let mut containers = Vec::new();
        for docker in iter::once(&self.docker).chain(&self.workers) {
            let ids = docker.list(&["ps", which, "--quiet", "--no-trunc", "--filter", filter])?;
            containers.extend(ids.into_iter().map(|id| Container::new(docker, id)));
        }
        Ok(containers)
    }

    /// Services with a container whose image is no longer the one that the manager has under that name.
    pub fn outdated(&self) -> Result<Vec<String>> {
        let mut outdated = Vec::new();
        for container in self.containers(false)? {
            let format =
                format!("{{{{.Image}}}} {{{{.Config.Image}}}} {{{{index .Config.Labels {SERVICE:?}}}}}");
            let text = container.inspect(&format)?;
            let [running, name, service] = text.split(' ').collect::<Vec<_>>()[..] else { continue };
            let present = self.docker.run(&["image", "inspect", "--format", "{{.Id}}", name]);
            let short = service.strip_prefix(&format!("{}_", self.name)).unwrap_or(service).to_owned();
            if present.is_ok_and(|present| present != running) && !outdated.contains(&short) {
                outdated.push(short);
            }
        }
        Ok(outdated)
    }

    /// State of each task, with its error.
    pub fn tasks(&self) -> Result<Vec<String>> {
        let format = "{{.Name}} on {{.Node}}: {{.CurrentState}} {{.Error}}";
        self.docker.list(&["stack", "ps", "--no-trunc", "--format", format, &self.name])
    }

    /// Prints the state of all tasks and the end of their logs.
    pub fn print_state(&self) {
        let tasks = self.tasks().unwrap_or_default();
        eprintln!("--- tasks of {}:\n{}", self.name, tasks.join("\n"));
        for container in self.containers(true).unwrap_or_default() {
            let logs = container.docker().command(&["logs", "--tail", "30", container.id()]).output();
            let logs = logs.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
            eprintln!("--- container {}, last lines:\n{}", container.id(), String::from_utf8_lossy(&logs));
        }
    }

    /// Images of its services.
    pub fn images(&self) -> Result<Vec<String>> {
        let mut images = self.docker.list(&["stack", "services", "--format", "{{.Image}}", &self.name])?;
        images.sort();
        images.dedup();
        Ok(images)
    }

    /// Whether the stack has any service.
    pub fn is_deployed(&self) -> Result<bool> {
        Ok(!self.services()?.is_empty())
    }

    /// Services outside the stack that use its networks.
    pub fn dependents(&self) -> Result<Vec<String>> {
        let (own, networks) = (self.services()?, self.networks()?);
        let all = self.docker.list(&["service", "ls", "--format", "{{.Name}}"])?;
        let mut dependents = Vec::new();
        for service in all.into_iter().filter(|service| !own.contains(service)) {
            let format = "{{range .Spec.TaskTemplate.Networks}}{{.Target}} {{end}}";
            let used = self.docker.run(&["service", "inspect", "--format", format, &service])?;
            if used.split(' ').any(|used| networks.iter().any(|id| id == used)) {
                dependents.push(service);
            }
        }
        Ok(dependents)
    }

    /// Removes the stack, and waits until its tasks, containers and networks are gone.
    pub fn remove(&self, timeout: Duration) -> Result<()> {
        let removed = self.remove_services(timeout).and_then(|()| {
            eventually_on_engine(timeout, || {
                self.ensure_no_container(|_| true)?;
                // A network is in use until the last task on any node has exited. After that, an engine lists it until it has
                // removed its own part, and a deployment would take it for an existing one.
                let networks = self.networks()?;
                networks
                    .iter()
                    .try_for_each(|network| self.docker.run(&["network", "rm", network]).map(|_| ()))?;
                ensure!(networks.is_empty(), "networks are being removed");
                Ok(())
            })
        });
        let removed = removed.and_then(|()| {
            let configs = self.docker.list(&["config", "ls", "--quiet", "--filter", &self.filter()])?;
            configs.iter().try_for_each(|config| self.docker.run(&["config", "rm", config]).map(drop))
        });
        removed.with_context(|| format!("removing stack {}", self.name))
    }

    /// Removes hub and Traefik last, and agents just before them: a task that stops withdraws at the hub, and without one it
    /// would wait for its timeout.
    fn remove_services(&self, timeout: Duration) -> Result<()> {
        let is = |service: &str, names: &[&str]| names.iter().any(|name| self.service(name) == service);
        let (last, others): (Vec<_>, Vec<_>) =
            self.services()?.into_iter().partition(|service| is(service, &["hub", "traefik"]));
        let (agents, first): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|service| is(service, &["agent"]));
        for services in [first, agents, last].iter().filter(|services| !services.is_empty()) {
            let mut arguments = vec!["service", "rm"];
            arguments.extend(services.iter().map(String::as_str));
            self.docker.run(&arguments)?;
            eventually_on_engine(timeout, || {
                self.remove_exited_containers()?;
                self.ensure_no_container(|service| services.iter().any(|removed| removed == service))
            })?;
        }
        Ok(())
    }

    /// Removes containers that have exited: Swarm keeps those of jobs.
    fn remove_exited_containers(&self) -> Result<()> {
        iter::once(&self.docker).chain(&self.workers).try_for_each(|docker| {
            docker.run(&["container", "prune", "--force", "--filter", &self.filter()]).map(drop)
        })
    }

    /// Fails if a service that `matches` has a container, running or stopped.
    fn ensure_no_container(&self, matches: impl Fn(&str) -> bool) -> Result<()> {
        let format = format!("{{{{.Label {SERVICE:?}}}}}");
        let mut left = Vec::new();
        for docker in iter::once(&self.docker).chain(&self.workers) {
            let services = docker.list(&["ps", "--all", "--format", &format, "--filter", &self.filter()])?;
            left.extend(services.into_iter().filter(|service| matches(service)));
        }
        ensure!(left.is_empty(), "{} still has containers", left.join(", "));
        Ok(())
    }

    fn services(&self) -> Result<Vec<String>> {
        self.docker.list(&["service", "ls", "--format", "{{.Name}}", "--filter", &self.filter()])
    }

    fn networks(&self) -> Result<Vec<String>> {
        self.docker.list(&["network", "ls", "--quiet", "--no-trunc", "--filter", &self.filter()])
    }

    /// Filter for objects of the stack.
    fn filter(&self) -> String {
        format!("label=com.docker.stack.namespace={}", self.name)
    }
}

/// Whether a line such as `demo_ping 1/1` shows that all tasks are running. Swarm shows `0/0` before it creates the first
/// task. It shows a job as `1/1 (0/1 completed)`, and later as `0/1 (1/1 completed)`.
fn is_complete(line: &str) -> bool {
    let counts = line.split(' ').skip(1).filter_map(|word| word.trim_start_matches('(').split_once('/'));
    counts.into_iter().any(|(actual, wanted)| actual == wanted && wanted != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_complete_when_all_its_tasks_run() {
        assert!(is_complete("demo_ping 3/3"));
        assert!(is_complete("demo_ping 2/2 (max 1 per node)"));
        assert!(is_complete("load_load 1/1 (0/1 completed)") && is_complete("load_load 0/1 (1/1 completed)"));
        for incomplete in ["load_load 0/1 (0/1 completed)", "demo_ping 1/2", "demo_ping 0/0", "demo_ping", ""]
        {
            assert!(!is_complete(incomplete), "{incomplete:?}");
        }
    }
}
