//! What the project demands of itself.

use super::measure::{Figures, Measured};
use super::peer::Peer;
use super::scaling::Scaling;
use super::wrk::{CROWD, SCENARIOS, Scenario};
use crate::statistics::Spread;

/// One demand, and whether it is met.
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) wanted: String,
    pub(super) got: String,
    pub(super) is_met: bool,
}

/// Requests/s, as a multiple of a peer's.
const REQUESTS: [(Peer, f64); 3] = [(Peer::Nginx, 1.0), (Peer::Go, 1.6), (Peer::Loop, 0.95)];

/// KiB after the first answer, and with most connections.
const RESIDENT: (f64, f64) = (1536.0, 3072.0);

/// Milliseconds from the start to the first answer.
const START: f64 = 2.0;

/// Requests/s of two cores, as a multiple of those of one.
const TWO_CORES: f64 = 1.7;

/// All of them.
pub(super) fn all(measured: &[Measured], scaling: Option<&Scaling>) -> Vec<Bar> {
    let of = |peer| measured.iter().find(|one| one.peer == peer);
    let Some(ours) = of(Peer::Ping) else { return Vec::new() };
    let mut bars = Vec::new();
    for scenario in SCENARIOS {
        for (peer, least) in REQUESTS {
            bars.extend(of(peer).and_then(|theirs| requests(ours, theirs, scenario, least)));
        }
        bars.extend(of(Peer::Nginx).and_then(|theirs| p99(ours, theirs, scenario)));
    }
    let idle = ours.idle.iter().copied().map(crate::statistics::float);
    bars.extend(Spread::of(idle).map(|kib| resident("memory after the first answer", kib, RESIDENT.0)));
    let loaded = ours.loaded().map(crate::statistics::float);
    let what = format!("memory with {} connections", CROWD.connections);
    bars.extend(Spread::of(loaded).map(|kib| resident(&what, kib, RESIDENT.1)));
    let starts = ours.starts.iter().map(|start| start.as_secs_f64() * 1000.0);
    bars.extend(Spread::of(starts).map(|start| Bar {
        what: "start to first answer".to_owned(),
        wanted: format!("≤ {START:.1} ms"),
        got: format!("{:.2} ms", start.median),
        is_met: start.median <= START,
    }));
    bars.extend(scaling.map(two_cores));
    bars
}

fn requests(ours: &Measured, theirs: &Measured, scenario: Scenario, least: f64) -> Option<Bar> {
    let ratio = ratio(ours, theirs, scenario, Figures::per_second)?;
    Some(Bar {
        what: format!("requests/s, {}", scenario.name()),
        wanted: format!("≥ {least:.2} × {}", theirs.peer.name()),
        got: format!("{:.2} ×", ratio.median),
        is_met: ratio.median >= least,
    })
}

fn p99(ours: &Measured, theirs: &Measured, scenario: Scenario) -> Option<Bar> {
    let ratio = ratio(ours, theirs, scenario, |figures| figures.report.p99.as_secs_f64())?;
    Some(Bar {
        what: format!("p99, {}", scenario.name()),
        wanted: format!("≤ {}'s", theirs.peer.name()),
        got: format!("{:.2} ×", ratio.median),
        is_met: ratio.median <= 1.0,
    })
}

/// Ours by theirs, round by round.
pub(super) fn ratio(
    ours: &Measured,
    theirs: &Measured,
    scenario: Scenario,
    figure: impl Fn(&Figures) -> f64,
) -> Option<Spread> {
    let [ours, theirs] = [ours, theirs].map(|one| one.load(scenario).iter().map(&figure).collect::<Vec<_>>());
    Spread::of_ratios(&ours, &theirs)
}

fn resident(what: &str, kib: Spread, most: f64) -> Bar {
    Bar {
        what: what.to_owned(),
        wanted: format!("≤ {most:.0} KiB"),
        got: format!("{:.0} KiB", kib.median),
        is_met: kib.median <= most,
    }
}

fn two_cores(scaling: &Scaling) -> Bar {
    let how = if scaling.is_whole() { "requests/s" } else { "requests for the same processor time" };
    Bar {
        what: format!("two threads by one, {how}"),
        wanted: format!("≥ {TWO_CORES:.2} ×"),
        got: format!("{:.2} ×", scaling.worth()),
        is_met: scaling.worth() >= TWO_CORES,
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::tests::measured;
    use super::*;

    fn is_met(bars: &[Bar], what: &str, wanted: &str) -> bool {
        bars.iter().find(|bar| bar.what.starts_with(what) && bar.wanted.ends_with(wanted)).unwrap().is_met
    }

    #[test]
    fn a_bar_is_met_at_its_very_height_and_not_below_it() {
        let all = |ping, nginx, go| {
            super::all(
                &[measured(Peer::Ping, ping), measured(Peer::Nginx, nginx), measured(Peer::Go, go)],
                None,
            )
        };
        let bars = all(160_000, 160_000, 100_000);
        assert!(is_met(&bars, "requests/s", "nginx `return 200`") && is_met(&bars, "requests/s", "net/http"));
        let bars = all(159_000, 160_000, 100_000);
        assert!(
            !is_met(&bars, "requests/s", "nginx `return 200`") && !is_met(&bars, "requests/s", "net/http")
        );
        assert!(bars.iter().all(|bar| !bar.wanted.contains("C epoll loop")), "it was not measured");
    }

    #[test]
    fn where_the_load_takes_a_core_the_time_used_tells_what_two_are_worth() {
        let spread = |median| Spread { median, least: median, greatest: median };
        let scaling = |requests, used, by_core| Scaling {
            requests: spread(requests),
            used: spread(used),
            by_core: spread(by_core),
        };
        assert!(two_cores(&scaling(1.1, 1.2, 0.9)).is_met);
        assert!(!two_cores(&scaling(1.1, 1.2, 0.8)).is_met);
        assert!(!two_cores(&scaling(1.6, 1.99, 1.0)).is_met);
        assert!(two_cores(&scaling(1.8, 1.99, 0.8)).is_met);
    }
}
