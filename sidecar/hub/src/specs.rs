//! What managers of the swarm say of its services, beside what tasks say of themselves. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use protocol::{InstanceId, Labels, Registration, ServiceSpec, Services, Source};

/// What is known of services.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    /// By the manager's node. Kept when a manager has gone: what it said is true until another knows better.
    managers: BTreeMap<InstanceId, Services>,
    /// The labels that a service had when it was last said to be settled.
    settled: BTreeMap<String, Labels>,
}

/// The labels that count for a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Effective<'a> {
    pub(crate) labels: Cow<'a, Labels>,
    /// Whether they are not those that the task was started with.
    pub(crate) stale: bool,
}

impl Specs {
    /// Takes what the manager on `node` knows, in place of what it said before. Returns the services of which it says
    /// something else now.
    pub(crate) fn publish(&mut self, node: InstanceId, services: Services) -> BTreeSet<String> {
        let said = self.managers.entry(node).or_default();
        let before = std::mem::replace(said, services);
        let names = before.services.keys().chain(said.services.keys());
        let changed = names.filter(|name| before.services.get(*name) != said.services.get(*name));
        let changed: BTreeSet<String> = changed.cloned().collect();
        for name in &changed {
            match self.of(name).map(|spec| spec.settled.then(|| spec.labels.clone())) {
                None => drop(self.settled.remove(name)),
                Some(Some(labels)) => drop(self.settled.insert(name.clone(), labels)),
                Some(None) => {}
            }
        }
        changed
    }

    /// The labels that count for a task which says `registration` of itself.
    ///
    /// - An agent knows a container's labels and not its service's: those are put over them.
    /// - A sidecar was started with its service's labels, by a template. If these have changed and the task was not
    ///   replaced, they count in place of those that it has. While an update is under way the labels of a task are
    ///   those of its own generation, as they were before the update.
    pub(crate) fn effective<'a>(&self, registration: &'a Registration) -> Effective<'a> {
        let own = &registration.labels;
        let unchanged = Effective { labels: Cow::Borrowed(own), stale: false };
        let Some(spec) = self.of(&registration.service) else { return unchanged };
        match registration.source {
            Source::Agent => {
                let mut labels = own.clone();
                labels.0.extend(spec.labels.0.iter().map(|(key, value)| (key.clone(), value.clone())));
                Effective { labels: Cow::Owned(labels), stale: false }
            }
            Source::Sidecar if !spec.templated || spec.labels == *own => unchanged,
            Source::Sidecar => {
                let newest = spec.settled.then_some(&spec.labels);
                match newest.or_else(|| self.settled.get(&registration.service)) {
                    Some(labels) if labels != own => {
                        Effective { labels: Cow::Owned(labels.clone()), stale: true }
                    }
                    _ => unchanged,
                }
            }
        }
    }

    /// What the manager says that knows best.
    fn of(&self, service: &str) -> Option<&ServiceSpec> {
        let said = self.managers.values().filter_map(|manager| manager.services.get(service));
        said.max_by_key(|spec| spec.version)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU16;

    use protocol::Health;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    fn task(source: Source, pairs: &[(&str, &str)]) -> Registration {
        Registration {
            service: "s".to_owned(),
            host: "h".to_owned(),
            node: None,
            slot: None,
            address: IpAddr::from([10, 0, 0, 1]),
            port: NonZeroU16::MIN,
            started: 1,
            health: Health::Healthy,
            labels: labels(pairs),
            source,
        }
    }

    fn publish(specs: &mut Specs, node: &str, version: u64, settled: bool, pairs: &[(&str, &str)]) -> bool {
        let spec = ServiceSpec { version, labels: labels(pairs), templated: true, settled };
        let services = Services { services: [("s".to_owned(), spec)].into() };
        !specs.publish(node.parse().unwrap(), services).is_empty()
    }

    fn effective(specs: &Specs, task: &Registration) -> (Labels, bool) {
        let Effective { labels, stale } = specs.effective(task);
        (labels.into_owned(), stale)
    }

    const OLD: &[(&str, &str)] = &[("rule", "old"), ("gone", "1")];
    const NEW: &[(&str, &str)] = &[("rule", "new")];
    const NEWEST: &[(&str, &str)] = &[("rule", "newest")];

    #[test]
    fn a_container_has_its_own_labels_and_over_them_its_services() {
        let mut specs = Specs::default();
        let container = task(Source::Agent, &[("rule", "own"), ("kept", "1")]);
        assert_eq!(effective(&specs, &container), (container.labels.clone(), false));
        assert!(publish(&mut specs, "n", 1, false, NEW));
        assert!(!publish(&mut specs, "n", 1, false, NEW), "it is no news");
        assert_eq!(effective(&specs, &container), (labels(&[("rule", "new"), ("kept", "1")]), false));
    }

    #[test]
    fn labels_that_alone_were_changed_count_in_place_of_a_tasks() {
        let mut specs = Specs::default();
        let old = task(Source::Sidecar, OLD);
        publish(&mut specs, "n", 1, true, OLD);
        assert_eq!(effective(&specs, &old), (labels(OLD), false));
        publish(&mut specs, "n", 2, true, NEW);
        assert_eq!(effective(&specs, &old), (labels(NEW), true));
        assert_eq!(effective(&specs, &task(Source::Sidecar, NEW)), (labels(NEW), false));
    }

    #[test]
    fn each_generation_keeps_its_labels_during_an_update() {
        let mut specs = Specs::default();
        let (old, newest) = (task(Source::Sidecar, OLD), task(Source::Sidecar, NEWEST));
        publish(&mut specs, "n", 1, true, OLD);
        publish(&mut specs, "n", 2, false, NEWEST);
        assert_eq!(effective(&specs, &old), (labels(OLD), false));
        assert_eq!(effective(&specs, &newest), (labels(NEWEST), false));
        // One whose labels were stale before goes on with those that counted then.
        publish(&mut specs, "n", 3, true, NEW);
        publish(&mut specs, "n", 4, false, NEWEST);
        assert_eq!(effective(&specs, &old), (labels(NEW), true));
        assert_eq!(effective(&specs, &newest), (labels(NEWEST), false));
    }

    #[test]
    fn what_a_service_had_is_forgotten_with_it() {
        let mut specs = Specs::default();
        publish(&mut specs, "n", 1, true, NEW);
        specs.publish("n".parse().unwrap(), Services::default());
        publish(&mut specs, "n", 3, false, NEWEST);
        assert_eq!(effective(&specs, &task(Source::Sidecar, OLD)), (labels(OLD), false));
    }

    #[test]
    fn labels_that_were_not_made_by_a_template_are_left_alone() {
        let mut specs = Specs::default();
        let spec = ServiceSpec { version: 1, labels: labels(NEW), templated: false, settled: true };
        let services = Services { services: [("s".to_owned(), spec)].into() };
        specs.publish("n".parse().unwrap(), services);
        assert_eq!(effective(&specs, &task(Source::Sidecar, OLD)), (labels(OLD), false));
    }

    #[test]
    fn the_manager_that_knows_more_is_believed_and_an_empty_one_says_nothing() {
        let mut specs = Specs::default();
        let old = task(Source::Sidecar, OLD);
        publish(&mut specs, "a", 2, true, NEW);
        publish(&mut specs, "b", 1, true, OLD);
        assert_eq!(effective(&specs, &old), (labels(NEW), true));
        specs.publish("a".parse().unwrap(), Services::default());
        publish(&mut specs, "b", 3, true, NEWEST);
        assert_eq!(effective(&specs, &old), (labels(NEWEST), true));
        specs.publish("b".parse().unwrap(), Services::default());
        assert_eq!(effective(&specs, &old), (labels(OLD), false));
    }
}
