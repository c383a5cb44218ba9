//! What happened to tasks: the latest events, and how long routers took to apply them. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::{Change, Event, InstanceId};
use runtime::exposition::{family, sample};

use crate::registry::Instance;

/// Number of events that are kept: those of an update of 200 tasks, or the last of a larger one.
const KEPT: usize = 1000;

/// The latest events, and durations since the start of the hub.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    events: VecDeque<Event>,
    /// Number of events that happened.
    count: u64,
    /// From the first healthy registration of a task to the acknowledgement by all routers.
    pub(crate) routed: Durations,
    /// From the withdrawal of a task to the acknowledgement by all routers.
    pub(crate) unrouted: Durations,
}

impl Journal {
    /// Records a change of an instance at `at`, in milliseconds since the Unix epoch.
    pub(crate) fn record(&mut self, at: u64, id: &InstanceId, instance: &Instance, change: Change) {
        let registration = &instance.registration;
        let (service, node) = (registration.service.clone(), registration.node.clone());
        self.push(Event { number: self.count, at, service, instance: id.clone(), node, change });
    }

    /// Records what follows from an earlier event.
    pub(crate) fn follow(&mut self, at: u64, earlier: &Event, change: Change) {
        self.push(Event { number: self.count, at, change, ..earlier.clone() });
    }

    fn push(&mut self, event: Event) {
        self.count += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Returns the latest event.
    pub(crate) fn last(&self) -> Option<&Event> {
        self.events.back()
    }

    /// Number of events that happened so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the events from number `first` on, as far as they are kept.
    pub(crate) fn since(&self, first: u64) -> impl Iterator<Item = &Event> {
        self.events.iter().skip_while(move |event| event.number < first)
    }
}

/// Upper bounds of [`Durations`], in milliseconds, with their texts in seconds.
const BOUNDS: [(u128, &str); 8] = [
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1000, "1"),
    (2500, "2.5"),
    (5000, "5"),
    (10_000, "10"),
    (30_000, "30"),
];

/// A histogram of durations.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Durations {
    pub(crate) fn observe(&mut self, duration: Duration) {
        let bounds = self.counts.iter_mut().zip(BOUNDS);
        bounds.filter(|(_, (bound, _))| duration.as_millis() <= *bound).for_each(|(count, _)| *count += 1);
        self.count += 1;
        self.sum += duration;
    }

    /// Appends the histogram in Prometheus' text format.
    pub(crate) fn write(&self, out: &mut String, name: &str, help: &str) {
        family(out, name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for ((_, bound), count) in BOUNDS.iter().zip(self.counts) {
            sample(out, &bucket, &[("le", bound)], count);
        }
        sample(out, &bucket, &[("le", "+Inf")], self.count);
        sample(out, &format!("{name}_sum"), &[], self.sum.as_secs_f64());
        sample(out, &format!("{name}_count"), &[], self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut durations = Durations::default();
        for millis in [100, 101, 40_000] {
            durations.observe(Duration::from_millis(millis));
        }
        let mut text = String::new();
        durations.write(&mut text, "a", "b.");
        for line in ["a_bucket{le=\"0.1\"} 1", "a_bucket{le=\"0.25\"} 2", "a_bucket{le=\"30\"} 2"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.ends_with("a_bucket{le=\"+Inf\"} 3\na_sum 40.201\na_count 3\n"), "{text}");
    }
}
