//! What happened to tasks: the latest events, and how long routers took to apply them. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::{Change, Event, InstanceId};

use crate::registry::Instance;

/// Number of events that are kept: those of an update of 200 tasks, or the last of a larger one.
const KEPT: usize = 1000;

/// Maximum length of the reason for a refusal in an event, in bytes. The list of instances has the whole reason.
const MAX_REASON: usize = 1024;

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
    /// Records a change of an instance at `at`, in milliseconds since the Unix epoch. Returns the event.
    pub(crate) fn record(
        &mut self,
        at: u64,
        id: &InstanceId,
        instance: &Instance,
        mut change: Change,
    ) -> &Event {
        if let Change::Refused { reason } = &mut change
            && reason.len() > MAX_REASON
        {
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
            reason.push('…');
        }
        let registration = &instance.registration;
        let (service, node) = (registration.service.clone(), registration.node.clone());
        self.push(Event { number: self.count, at, service, instance: id.clone(), node, change })
    }

    /// Records what follows from an earlier event.
    pub(crate) fn follow(&mut self, at: u64, earlier: &Event, change: Change) {
        self.push(Event { number: self.count, at, change, ..earlier.clone() });
    }

    fn push(&mut self, event: Event) -> &Event {
        self.count += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
        &self.events[self.events.len() - 1]
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

    /// Returns the number of durations up to each bound, with the bound in seconds.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (&'static str, u64)> {
        BOUNDS.iter().map(|(_, text)| *text).zip(self.counts)
    }

    /// Number of durations, and their sum.
    pub(crate) fn total(&self) -> (u64, Duration) {
        (self.count, self.sum)
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
        let buckets: Vec<_> = durations.buckets().collect();
        assert_eq!((buckets[0], buckets[1], buckets[7]), (("0.1", 1), ("0.25", 2), ("30", 2)));
        assert_eq!(durations.total(), (3, Duration::from_millis(40_201)));
    }
}
