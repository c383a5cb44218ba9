//! Presence of instances: joining, leaving, handovers, and evenness of shares.

use std::collections::BTreeMap;

use crate::report::{Choice, Evenness, Handover};
use crate::statistics::{chi_squared, float, mean, p_value};

/// An instance is absent if it is silent for longer than this many times its mean interval between responses. If intervals
/// are exponentially distributed, one in 22,000 is that long by chance.
const SILENCE_FACTOR: f64 = 10.0;

/// Time during which an instance responded, in seconds since the start of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// Time of the first response.
    pub first: f64,
    /// Time of the last response.
    pub last: f64,
    /// Whether it joined after the start.
    pub joined: bool,
    /// Whether it left before the end.
    pub left: bool,
}

impl Presence {
    /// Derives the presence of an instance with `count` responses, in a run that ended at `end`. Silences of up to
    /// `tolerance` are ignored. An instance that was sent a request at the start has not joined, however late it responded.
    pub(crate) fn new(
        first_sent: f64,
        (first, last): (f64, f64),
        count: u64,
        end: f64,
        tolerance: f64,
    ) -> Self {
        // A single response tells nothing about the interval.
        let interval = if count < 2 { f64::INFINITY } else { (last - first) / float(count - 1) };
        let silence = tolerance.max(SILENCE_FACTOR * interval);
        Self { first, last, joined: first_sent > silence, left: end - last > silence }
    }

    /// Whether it was present for a whole span; `None` if only for a part of it.
    fn throughout(&self, from: f64, to: f64) -> Option<bool> {
        let joined = if self.joined { self.first } else { f64::NEG_INFINITY };
        let left = if self.left { self.last } else { f64::INFINITY };
        match (joined <= from && to <= left, to <= joined || left <= from) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// Pairs each instance that left with one that joined: preferably in the same slot, otherwise at the nearest time. Names
/// such as `ping.1@leader` and `ping.1@worker-2` belong to the same slot.
pub(crate) fn handovers(instances: &[(Option<String>, Presence)]) -> Vec<Handover> {
    let mut left: Vec<_> = instances.iter().filter(|(_, presence)| presence.left).collect();
    left.sort_by(|(_, one), (_, next)| one.last.total_cmp(&next.last));
    let mut joined: Vec<_> = instances.iter().filter(|(_, presence)| presence.joined).collect();
    let mut handovers = Vec::new();
    for (name, old) in left {
        let distance = |(other, new): &(Option<String>, Presence)| {
            (slot(other.as_deref()) != slot(name.as_deref()), (new.first - old.last).abs())
        };
        // An instance that both joined and left does not replace itself.
        let candidates = joined.iter().enumerate().filter(|(_, (other, _))| other != name);
        let nearest = candidates.min_by(|(_, one), (_, next)| {
            let ((one_slot, one), (next_slot, next)) = (distance(one), distance(next));
            one_slot.cmp(&next_slot).then(one.total_cmp(&next))
        });
        let Some((index, _)) = nearest else { continue };
        let (other, new) = joined.remove(index);
        handovers.push(Handover {
            left: name.clone(),
            left_at: old.last,
            joined: other.clone(),
            joined_at: new.first,
            overlap: ((old.last - new.first) * 1e6).round() / 1e6,
        });
    }
    handovers
}

fn slot(name: Option<&str>) -> Option<&str> {
    name.map(|name| name.split('@').next().unwrap_or(name))
}

/// Computes the evenness of shares from the counts of each instance in spans of `width` seconds. Spans in which an instance
/// joined or left are skipped. Spans with the same set of instances form a group, whose shares are compared.
pub(crate) fn evenness(instances: &[(Presence, Vec<u64>)], width: f64) -> Option<Evenness> {
    let spans = instances.iter().map(|(_, counts)| counts.len()).max()?;
    let mut by_set: BTreeMap<Vec<usize>, Vec<u64>> = BTreeMap::new();
    for span in 0..spans {
        let from = float(span as u64) * width;
        let present: Option<Vec<bool>> =
            instances.iter().map(|(presence, _)| presence.throughout(from, from + width)).collect();
        let Some(present) = present else { continue };
        let set: Vec<usize> = (0..instances.len()).filter(|index| present[*index]).collect();
        let counts = by_set.entry(set.clone()).or_insert_with(|| vec![0; set.len()]);
        for (count, index) in counts.iter_mut().zip(set) {
            *count += instances[index].1.get(span).copied().unwrap_or(0);
        }
    }
    by_set.retain(|set, counts| set.len() > 1 && counts.iter().any(|count| *count > 0));
    let degrees: usize = by_set.keys().map(|set| set.len() - 1).sum();
    if degrees == 0 {
        return None;
    }
    let degrees = u32::try_from(degrees).unwrap_or(u32::MAX);
    let chi_squared = by_set.values().map(|counts| chi_squared(counts)).sum();
    // Responses of each instance, and those of an equal share.
    let mut shares = vec![(0.0, 0.0); instances.len()];
    for (set, counts) in &by_set {
        for (index, count) in set.iter().zip(counts) {
            shares[*index].0 += float(*count);
            shares[*index].1 += mean(counts);
        }
    }
    let deviations =
        shares.iter().filter(|(_, equal)| *equal > 0.0).map(|(got, equal)| (got / equal - 1.0).abs());
    let imbalance = deviations.fold(0.0, f64::max);
    Some(Evenness { of: Choice::Requests, chi_squared, degrees, p: p_value(chi_squared, degrees), imbalance })
}

/// Computes the evenness of connections, each of which is served by one of the instances.
pub(crate) fn connection_evenness(connections: &[u64]) -> Option<Evenness> {
    let degrees = u32::try_from(connections.len()).ok()?.checked_sub(1).filter(|degrees| *degrees > 0)?;
    let (chi_squared, equal) = (chi_squared(connections), mean(connections));
    let imbalance = connections.iter().map(|count| (float(*count) / equal - 1.0).abs()).fold(0.0, f64::max);
    Some(Evenness {
        of: Choice::Connections,
        chi_squared,
        degrees,
        p: p_value(chi_squared, degrees),
        imbalance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always() -> Presence {
        Presence { first: 0.0, last: 10.0, joined: false, left: false }
    }

    fn from_to(first: f64, last: f64) -> Presence {
        Presence { first, last, joined: first > 0.0, left: last < 10.0 }
    }

    #[test]
    fn long_silence_means_absence() {
        let observed = |first, last, count| {
            let presence = Presence::new(first, (first, last), count, 60.0, 0.25);
            (presence.joined, presence.left)
        };
        assert_eq!(observed(0.001, 59.999, 60_000), (false, false));
        assert_eq!(observed(0.24, 59.76, 60_000), (false, false), "within the tolerance");
        assert_eq!(observed(40.9, 60.0, 19_100), (true, false));
        assert_eq!(observed(0.0, 41.2, 41_200), (false, true));
        assert_eq!(
            observed(5.0, 55.0, 6),
            (false, false),
            "one response every ten seconds, and then none for five"
        );
        assert_eq!(observed(30.0, 30.0, 1), (false, false), "a single response tells nothing");
    }

    #[test]
    fn slow_instance_has_not_joined() {
        let slow = Presence::new(0.001, (0.401, 60.3), 6000, 60.0, 0.25);
        assert_eq!((slow.joined, slow.left), (false, false));
    }

    #[test]
    fn evenness_of_connections_is_that_of_their_numbers() {
        let even = connection_evenness(&[22, 21, 21]).unwrap();
        assert!(even.p > 0.95 && even.imbalance < 0.04, "{even:?}");
        assert!(connection_evenness(&[40, 12, 12]).unwrap().p < 0.01);
        assert_eq!((connection_evenness(&[64]), connection_evenness(&[])), (None, None));
    }

    #[test]
    fn handover_prefers_the_same_slot_and_then_the_nearest_time() {
        let named = |name: &str, first, last| (Some(name.to_owned()), from_to(first, last));
        let handovers = handovers(&[
            named("ping.1@leader", 0.0, 5.2),
            named("ping.2@worker-1", 0.0, 5.3),
            named("old", 0.0, 8.0),
            named("ping.2@worker-2", 4.9, 10.0),
            named("ping.1@worker-2", 5.5, 10.0),
            named("new", 8.5, 10.0),
            named("ping.3@leader", 1.0, 10.0),
        ]);
        let shown: Vec<_> = handovers
            .iter()
            .map(|one| (one.left.as_deref().unwrap(), one.joined.as_deref().unwrap(), one.overlap))
            .collect();
        assert_eq!(
            shown,
            [
                ("ping.1@leader", "ping.1@worker-2", -0.3),
                ("ping.2@worker-1", "ping.2@worker-2", 0.4),
                ("old", "new", -0.5)
            ]
        );
    }

    #[test]
    fn no_handover_without_an_instance_that_joined() {
        let gone = [(Some("a".to_owned()), from_to(0.0, 5.0)), (Some("b".to_owned()), always())];
        assert_eq!(handovers(&gone), []);
        let transient = [(Some("a".to_owned()), from_to(2.0, 5.0))];
        assert_eq!(handovers(&transient), [], "no other instance replaced it");
    }

    #[test]
    fn evenness_of_permanent_instances_is_that_of_their_sums() {
        let even = evenness(&[(always(), vec![2, 3]), (always(), vec![4, 4]), (always(), vec![9, 8])], 1.0);
        let Evenness { chi_squared, degrees, p, imbalance, .. } = even.unwrap();
        // 5, 8 and 17 of 30.
        assert!((chi_squared - 7.8).abs() < 1e-12, "{chi_squared}");
        assert_eq!(degrees, 2);
        assert!((p - (-3.9_f64).exp()).abs() < 1e-12, "{p}");
        assert!((imbalance - 0.7).abs() < 1e-12, "{imbalance}");
    }

    #[test]
    fn instance_is_compared_only_with_those_present_at_the_same_time() {
        // In the third second c replaces b: shares are equal at any time, but the sums are not.
        let even = evenness(
            &[
                (always(), vec![10, 10, 12, 10, 10, 10]),
                (from_to(0.0, 2.5), vec![10, 10, 3, 0, 0, 0]),
                (from_to(2.4, 10.0), vec![0, 0, 5, 10, 10, 10]),
            ],
            1.0,
        );
        let even = even.unwrap();
        assert_eq!((even.chi_squared, even.degrees, even.p, even.imbalance), (0.0, 2, 1.0, 0.0));
    }

    #[test]
    fn single_instance_has_no_evenness() {
        assert_eq!(evenness(&[(always(), vec![5])], 1.0), None);
        assert_eq!(
            evenness(&[(from_to(0.0, 5.0), vec![1; 10]), (from_to(5.0, 10.0), vec![1; 10])], 1.0),
            None
        );
        assert_eq!(evenness(&[], 1.0), None);
    }
}
