//! What a row of probes amounts to. Pure.

use std::num::NonZeroU32;

use protocol::Health;

/// Counts probes: so many well in a row make a service healthy, so many failed in a row make it unhealthy.
#[derive(Debug)]
pub(crate) struct Gauge {
    rise: NonZeroU32,
    fall: NonZeroU32,
    health: Health,
    /// Probes in a row that speak against `health`.
    contrary: u32,
}

impl Gauge {
    pub(crate) fn new(rise: NonZeroU32, fall: NonZeroU32) -> Self {
        Self { rise, fall, health: Health::Starting, contrary: 0 }
    }

    /// Takes one probe's outcome into account, and says how the service is now.
    pub(crate) fn observe(&mut self, well: bool) -> Health {
        let (speaks_against, needed, other) = match self.health {
            Health::Healthy => (!well, self.fall, Health::Unhealthy),
            // A service that has never been well is starting, however long that takes.
            Health::Starting | Health::Unhealthy => (well, self.rise, Health::Healthy),
        };
        self.contrary = if speaks_against { self.contrary + 1 } else { 0 };
        if self.contrary >= needed.get() {
            self.health = other;
            self.contrary = 0;
        }
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Health::{Healthy, Starting, Unhealthy};

    fn history(rise: u32, fall: u32, probes: &str) -> Vec<Health> {
        let count = |n| NonZeroU32::new(n).unwrap();
        let mut gauge = Gauge::new(count(rise), count(fall));
        probes.chars().map(|probe| gauge.observe(probe == '+')).collect()
    }

    #[test]
    fn failures_before_the_first_success_leave_it_starting() {
        assert_eq!(history(1, 1, "--+"), [Starting, Starting, Healthy]);
    }

    #[test]
    fn only_a_full_row_changes_the_health() {
        assert_eq!(history(2, 3, "+-++")[1..], [Starting, Starting, Healthy]);
        assert_eq!(history(1, 3, "+--+---")[2..], [Healthy, Healthy, Healthy, Healthy, Unhealthy]);
        assert_eq!(history(2, 1, "++-+-++")[2..], [Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy]);
    }
}
