//! Labels that apply to a task: its own, and those of its service as managers of the swarm publish them. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use protocol::{InstanceId, Labels, Registration, ServiceSpec, Services, Source};

/// Maximum number of managers. Swarm advises at most seven.
const MAX_MANAGERS: usize = 32;
/// Time after which the services of a manager expire that did not publish a change which another manager published. All managers
/// know of a change at the same time.
const MISSED_FOR: Duration = Duration::from_hours(1);

/// Specifications of services.
#[derive(Debug, Default)]
pub(crate) struct Specs {
    /// Services by the manager's node, with the time of their last change. When the manager is gone, they are kept until they
    /// expire or another manager has a higher version.
    managers: BTreeMap<InstanceId, (Services, Instant)>,
    /// Labels of each service when it was last settled.
    settled: BTreeMap<String, Labels>,
}

impl Specs {
    /// Replaces the services that the manager on `node` published. Returns the names of those that changed.
    pub(crate) fn publish(&mut self, now: Instant, node: InstanceId, services: Services) -> BTreeSet<String> {
        let current = self.managers.get(&node).map(|(services, _)| services);
        if current == Some(&services) {
            return BTreeSet::new();
        }
        let get = |name| current.and_then(|services| services.services.get(name));
        let names = current.into_iter().flat_map(|services| services.services.keys());
        let changed =
            names.chain(services.services.keys()).filter(|name| get(*name) != services.services.get(*name));
        let mut changed: BTreeSet<String> = changed.cloned().collect();
        for expired in self.expire(now, &node) {
            changed.extend(expired.services.into_keys());
        }
        self.managers.insert(node, (services, now));
        for name in &changed {
            match self.latest(name).map(|spec| spec.settled.then(|| spec.labels.clone())) {
                None => drop(self.settled.remove(name)),
                Some(Some(labels)) => drop(self.settled.insert(name.clone(), labels)),
                Some(None) => {}
            }
        }
        changed
    }

    /// Removes managers that are gone, and beyond the maximum the one with the oldest change, to make room for `node`.
    fn expire(&mut self, now: Instant, node: &InstanceId) -> Vec<Services> {
        let others = || self.managers.iter().filter(|(other, _)| *other != node);
        let times = others().map(|(_, (_, changed))| *changed);
        let missed =
            times.clone().filter(|changed| now.saturating_duration_since(*changed) >= MISSED_FOR).max();
        let oldest = times.min().filter(|_| others().count() >= MAX_MANAGERS);
        let is_expired = |other: &InstanceId, (_, changed): &mut (Services, Instant)| {
            let has_missed = missed.is_some_and(|missed| *changed + MISSED_FOR <= missed);
            other != node && (has_missed || Some(*changed) == oldest)
        };
        self.managers.extract_if(.., is_expired).map(|(_, (services, _))| services).collect()
    }

    /// Returns the labels that apply to a task, and whether they differ from those that it was started with.
    ///
    /// - An agent knows the labels of a container. Those of its service override them.
    /// - A sidecar was started with the labels of its service, from a template. If those changed without an update that
    ///   replaces the task, the new ones apply. During an update, a task keeps the labels from before the update.
    pub(crate) fn resolve_labels<'a>(&self, registration: &'a Registration) -> (Cow<'a, Labels>, bool) {
        let own: &Labels = &registration.labels;
        let unchanged = (Cow::Borrowed(own), false);
        let Some(spec) = self.latest(&registration.service) else { return unchanged };
        match registration.source {
            Source::Agent => {
                let mut labels = own.clone();
                labels.0.extend(spec.labels.0.iter().map(|(key, value)| (key.clone(), value.clone())));
                (Cow::Owned(labels), false)
            }
            Source::Sidecar if !spec.templated || spec.labels == *own => unchanged,
            Source::Sidecar => {
                let current = spec.settled.then_some(&spec.labels);
                match current.or_else(|| self.settled.get(&registration.service)) {
                    Some(labels) if labels != own => (Cow::Owned(labels.clone()), true),
                    _ => unchanged,
                }
            }
        }
    }

    /// Returns whether an agent registers a container under the name of a service of the swarm although it is not one
    /// of the service's tasks. Labels of Compose, which an image can carry, may give a container any name.
    pub(crate) fn is_foreign(&self, registration: &Registration) -> bool {
        let is_task = registration.source == Source::Sidecar || registration.slot.is_some();
        !is_task && self.lists(&registration.service)
    }

    /// Returns whether a manager lists the service, so that the swarm has it.
    pub(crate) fn lists(&self, service: &str) -> bool {
        self.latest(service).is_some()
    }

    /// Returns the version of the service's specification.
    pub(crate) fn version(&self, service: &str) -> Option<u64> {
        self.latest(service).map(|spec| spec.version)
    }

    /// Returns the names of all services.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.managers.values().flat_map(|(services, _)| services.services.keys().map(String::as_str))
    }

    /// Returns whether a manager has published services.
    pub(crate) fn has_manager(&self) -> bool {
        !self.managers.is_empty()
    }

    /// Returns the specification with the highest version.
    fn latest(&self, service: &str) -> Option<&ServiceSpec> {
        let specs = self.managers.values().filter_map(|(manager, _)| manager.services.get(service));
        specs.max_by_key(|spec| spec.version)
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
            age_ms: 0,
            health: Health::Healthy,
            labels: labels(pairs).into(),
            source,
            published: BTreeMap::new(),
            ticket: None,
        }
    }

    fn publish(specs: &mut Specs, node: &str, version: u64, settled: bool, pairs: &[(&str, &str)]) -> bool {
        let spec = ServiceSpec { version, labels: labels(pairs), templated: true, settled };
        let services = Services { services: [("s".to_owned(), spec)].into() };
        !specs.publish(Instant::now(), node.parse().unwrap(), services).is_empty()
    }

    fn resolve(specs: &Specs, task: &Registration) -> (Labels, bool) {
        let (labels, stale) = specs.resolve_labels(task);
        (labels.into_owned(), stale)
    }

    const OLD: &[(&str, &str)] = &[("rule", "old"), ("gone", "1")];
    const NEW: &[(&str, &str)] = &[("rule", "new")];
    const NEWEST: &[(&str, &str)] = &[("rule", "newest")];

    #[test]
    fn service_labels_override_container_labels() {
        let mut specs = Specs::default();
        let container = task(Source::Agent, &[("rule", "own"), ("kept", "1")]);
        assert_eq!(resolve(&specs, &container), ((*container.labels).clone(), false));
        assert!(publish(&mut specs, "n", 1, false, NEW));
        assert!(!publish(&mut specs, "n", 1, false, NEW), "nothing changed");
        assert_eq!(resolve(&specs, &container), (labels(&[("rule", "new"), ("kept", "1")]), false));
    }

    #[test]
    fn container_outside_of_the_swarm_is_foreign_to_a_service_of_the_swarm() {
        let mut specs = Specs::default();
        let container = task(Source::Agent, OLD);
        assert!(!specs.is_foreign(&container));
        publish(&mut specs, "n", 1, true, NEW);
        assert!(specs.is_foreign(&container));
        let slot = Some("1".to_owned());
        assert!(!specs.is_foreign(&Registration { slot, ..container.clone() }));
        assert!(!specs.is_foreign(&Registration { service: "other".to_owned(), ..container }));
        assert!(!specs.is_foreign(&task(Source::Sidecar, OLD)));
    }

    #[test]
    fn changed_labels_of_a_settled_service_replace_those_of_its_tasks() {
        let mut specs = Specs::default();
        let old = task(Source::Sidecar, OLD);
        publish(&mut specs, "n", 1, true, OLD);
        assert_eq!(resolve(&specs, &old), (labels(OLD), false));
        publish(&mut specs, "n", 2, true, NEW);
        assert_eq!(resolve(&specs, &old), (labels(NEW), true));
        assert_eq!(resolve(&specs, &task(Source::Sidecar, NEW)), (labels(NEW), false));
    }

    #[test]
    fn each_generation_keeps_its_labels_during_an_update() {
        let mut specs = Specs::default();
        let (old, newest) = (task(Source::Sidecar, OLD), task(Source::Sidecar, NEWEST));
        publish(&mut specs, "n", 1, true, OLD);
        publish(&mut specs, "n", 2, false, NEWEST);
        assert_eq!(resolve(&specs, &old), (labels(OLD), false));
        assert_eq!(resolve(&specs, &newest), (labels(NEWEST), false));
        // A task with stale labels keeps the ones that replaced them.
        publish(&mut specs, "n", 3, true, NEW);
        publish(&mut specs, "n", 4, false, NEWEST);
        assert_eq!(resolve(&specs, &old), (labels(NEW), true));
        assert_eq!(resolve(&specs, &newest), (labels(NEWEST), false));
    }

    #[test]
    fn settled_labels_are_forgotten_with_the_service() {
        let mut specs = Specs::default();
        publish(&mut specs, "n", 1, true, NEW);
        specs.publish(Instant::now(), "n".parse().unwrap(), Services::default());
        publish(&mut specs, "n", 3, false, NEWEST);
        assert_eq!(resolve(&specs, &task(Source::Sidecar, OLD)), (labels(OLD), false));
    }

    #[test]
    fn labels_without_a_template_are_kept() {
        let mut specs = Specs::default();
        let spec = ServiceSpec { version: 1, labels: labels(NEW), templated: false, settled: true };
        let services = Services { services: [("s".to_owned(), spec)].into() };
        specs.publish(Instant::now(), "n".parse().unwrap(), services);
        assert_eq!(resolve(&specs, &task(Source::Sidecar, OLD)), (labels(OLD), false));
    }

    #[test]
    fn manager_with_the_highest_version_wins_and_empty_one_is_ignored() {
        let mut specs = Specs::default();
        let old = task(Source::Sidecar, OLD);
        publish(&mut specs, "a", 2, true, NEW);
        publish(&mut specs, "b", 1, true, OLD);
        assert_eq!(resolve(&specs, &old), (labels(NEW), true));
        specs.publish(Instant::now(), "a".parse().unwrap(), Services::default());
        publish(&mut specs, "b", 3, true, NEWEST);
        assert_eq!(resolve(&specs, &old), (labels(NEWEST), true));
        specs.publish(Instant::now(), "b".parse().unwrap(), Services::default());
        assert_eq!(resolve(&specs, &old), (labels(OLD), false));
    }

    fn publish_at(specs: &mut Specs, now: Instant, node: &str, version: u64) -> BTreeSet<String> {
        let spec = ServiceSpec { version, labels: labels(NEW), templated: true, settled: true };
        let services = Services { services: [("s".to_owned(), spec)].into() };
        specs.publish(now, node.parse().unwrap(), services)
    }

    #[test]
    fn manager_that_missed_a_change_for_long_expires_unless_it_is_the_only_one() {
        let (mut specs, start) = (Specs::default(), Instant::now());
        let hours = |hours| start + Duration::from_hours(hours);
        for (node, version) in [("a", 1), ("b", 1), ("gone", 9)] {
            publish_at(&mut specs, start, node, version);
        }
        for (time, left) in [(5, 3), (6, 2), (7, 2)] {
            for node in ["a", "b"] {
                publish_at(&mut specs, hours(time), node, time);
            }
            assert_eq!(specs.managers.len(), left, "after {time} h");
        }
        assert_eq!(specs.latest("s").unwrap().version, 7);
        let mut alone = Specs::default();
        publish_at(&mut alone, start, "a", 1);
        publish_at(&mut alone, hours(9), "a", 2);
        assert_eq!(alone.managers.len(), 1);
    }

    #[test]
    fn services_of_a_limited_number_of_managers_are_kept() {
        let (mut specs, start) = (Specs::default(), Instant::now());
        for number in 0..1000 {
            publish_at(&mut specs, start + Duration::from_secs(number), &format!("n{number}"), number);
        }
        assert_eq!(specs.managers.len(), MAX_MANAGERS);
        assert!(specs.managers.contains_key(&"n999".parse::<InstanceId>().unwrap()));
    }
}
