//! Who was there when: instances that came and went, who took whose place, and how even shares were meanwhile.

use std::collections::BTreeMap;

use crate::report::{Evenness, Handover};
use crate::statistics::{chi_squared, float, mean, p_value};

/// A silence of so many times the usual one means that an instance is not there. If its answers came by chance, a silence
/// of ten means would occur once in 22,000 times.
const USUAL: f64 = 10.0;

/// When an instance answered, in seconds since the load's start.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// When its first answer was there.
    pub first: f64,
    /// When its last one was.
    pub last: f64,
    /// Whether it came after the start.
    pub joined: bool,
    /// Whether it went before the end.
    pub left: bool,
}

impl Presence {
    /// Of an instance that gave `count` answers, within load that ended after `end`. Silences of up to `patience` are
    /// nothing, in any case.
    pub fn of(first: f64, last: f64, count: u64, end: f64, patience: f64) -> Self {
        // From one answer nothing is known of what is usual.
        let usual = if count < 2 { f64::INFINITY } else { (last - first) / float(count - 1) };
        let silence = patience.max(USUAL * usual);
        Self { first, last, joined: first > silence, left: end - last > silence }
    }

    /// Whether it was there from one time to the other; and nothing, if only for a part of that.
    fn throughout(&self, from: f64, to: f64) -> Option<bool> {
        let came = if self.joined { self.first } else { f64::NEG_INFINITY };
        let went = if self.left { self.last } else { f64::INFINITY };
        match (came <= from && to <= went, to <= came || went <= from) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }
}

/// Pairs each instance that left with one that joined: of the same slot, if there is one, and otherwise that which came
/// at the nearest time. `ping.1@leader` and `ping.1@worker-2` are of the same slot.
pub fn handovers(instances: &[(Option<String>, Presence)]) -> Vec<Handover> {
    let mut left: Vec<_> = instances.iter().filter(|(_, presence)| presence.left).collect();
    left.sort_by(|(_, one), (_, next)| one.last.total_cmp(&next.last));
    let mut joined: Vec<_> = instances.iter().filter(|(_, presence)| presence.joined).collect();
    let mut handovers = Vec::new();
    for (name, old) in left {
        let away = |(other, new): &(Option<String>, Presence)| {
            (slot(other.as_deref()) != slot(name.as_deref()), (new.first - old.last).abs())
        };
        // Whoever came and went itself is no successor of its own.
        let candidates = joined.iter().enumerate().filter(|(_, (other, _))| other != name);
        let nearest = candidates.min_by(|(_, one), (_, next)| {
            let ((one_slot, one), (next_slot, next)) = (away(one), away(next));
            one_slot.cmp(&next_slot).then(one.total_cmp(&next))
        });
        let Some((place, _)) = nearest else { continue };
        let (other, new) = joined.remove(place);
        handovers.push(Handover {
            left: name.clone(),
            left_at: old.last,
            joined: other.clone(),
            joined_at: new.first,
            overlap: rounded(old.last - new.first),
        });
    }
    handovers
}

fn slot(name: Option<&str>) -> Option<&str> {
    name.map(|name| name.split('@').next().unwrap_or(name))
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// How evenly instances answered, each given with its counts in spans of `width` seconds. Spans in which one came or went
/// are left out: the shares of those that only a part was there for would say nothing.
pub fn evenness(instances: &[(Presence, Vec<u64>)], width: f64) -> Option<Evenness> {
    let spans = instances.iter().map(|(_, counts)| counts.len()).max()?;
    let mut by_set: BTreeMap<Vec<usize>, Vec<u64>> = BTreeMap::new();
    for span in 0..spans {
        let from = float(span as u64) * width;
        let there: Option<Vec<bool>> =
            instances.iter().map(|(presence, _)| presence.throughout(from, from + width)).collect();
        let Some(there) = there else { continue };
        let set: Vec<usize> = (0..instances.len()).filter(|place| there[*place]).collect();
        let counts = by_set.entry(set.clone()).or_insert_with(|| vec![0; set.len()]);
        for (count, place) in counts.iter_mut().zip(set) {
            *count += instances[place].1.get(span).copied().unwrap_or(0);
        }
    }
    let groups =
        || by_set.iter().filter(|(set, counts)| set.len() > 1 && counts.iter().any(|count| *count > 0));
    let degrees: usize = groups().map(|(set, _)| set.len() - 1).sum();
    if degrees == 0 {
        return None;
    }
    let degrees = u32::try_from(degrees).unwrap_or(u32::MAX);
    let chi_squared = groups().map(|(_, counts)| chi_squared(counts)).sum();
    let mut shares = vec![(0.0, 0.0); instances.len()];
    for (set, counts) in groups() {
        for (place, count) in set.iter().zip(counts) {
            shares[*place].0 += float(*count);
            shares[*place].1 += mean(counts);
        }
    }
    let off = shares.iter().filter(|(_, equal)| *equal > 0.0).map(|(got, equal)| (got / equal - 1.0).abs());
    Some(Evenness { chi_squared, degrees, p: p_value(chi_squared, degrees), skew: off.fold(0.0, f64::max) })
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
    fn a_silence_that_is_longer_than_usual_means_that_it_is_not_there() {
        let there = |first, last, count| {
            let presence = Presence::of(first, last, count, 60.0, 0.25);
            (presence.joined, presence.left)
        };
        assert_eq!(there(0.001, 59.999, 60_000), (false, false));
        assert_eq!(there(0.24, 59.76, 60_000), (false, false), "within patience");
        assert_eq!(there(40.9, 60.0, 19_100), (true, false));
        assert_eq!(there(0.0, 41.2, 41_200), (false, true));
        assert_eq!(there(5.0, 55.0, 6), (false, false), "one answer in ten seconds, and then none for five");
        assert_eq!(there(30.0, 30.0, 1), (false, false), "nothing can be said from one");
    }

    #[test]
    fn whoever_left_is_paired_with_who_came_in_its_slot_or_else_at_that_time() {
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
    fn without_somebody_who_came_there_is_no_handover() {
        let gone = [(Some("a".to_owned()), from_to(0.0, 5.0)), (Some("b".to_owned()), always())];
        assert_eq!(handovers(&gone), []);
        let guest = [(Some("a".to_owned()), from_to(2.0, 5.0))];
        assert_eq!(handovers(&guest), [], "it came and went, and nobody took its place");
    }

    #[test]
    fn evenness_of_those_that_were_always_there_is_that_of_their_sums() {
        let even = evenness(&[(always(), vec![2, 3]), (always(), vec![4, 4]), (always(), vec![9, 8])], 1.0);
        let Evenness { chi_squared, degrees, p, skew } = even.unwrap();
        // 5, 8 and 17 of 30.
        assert!((chi_squared - 7.8).abs() < 1e-12, "{chi_squared}");
        assert_eq!(degrees, 2);
        assert!((p - (-3.9_f64).exp()).abs() < 1e-12, "{p}");
        assert!((skew - 0.7).abs() < 1e-12, "{skew}");
    }

    #[test]
    fn whoever_comes_and_goes_is_compared_with_those_beside_it_only() {
        // b leaves in the third second and c comes then: equal shares at each time, though not of the sum.
        let even = evenness(
            &[
                (always(), vec![10, 10, 12, 10, 10, 10]),
                (from_to(0.0, 2.5), vec![10, 10, 3, 0, 0, 0]),
                (from_to(2.4, 10.0), vec![0, 0, 5, 10, 10, 10]),
            ],
            1.0,
        );
        let even = even.unwrap();
        assert_eq!((even.chi_squared, even.degrees, even.p, even.skew), (0.0, 2, 1.0, 0.0));
    }

    #[test]
    fn one_alone_is_neither_even_nor_uneven() {
        assert_eq!(evenness(&[(always(), vec![5])], 1.0), None);
        assert_eq!(
            evenness(&[(from_to(0.0, 5.0), vec![1; 10]), (from_to(5.0, 10.0), vec![1; 10])], 1.0),
            None
        );
        assert_eq!(evenness(&[], 1.0), None);
    }
}
