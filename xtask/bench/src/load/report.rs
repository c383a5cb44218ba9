//! The section of docs/BENCHMARKS.md.

use super::generator::{CONNECTIONS, Generator, Sample};
use super::measure::{Results, Samples};
use crate::section::Args;
use crate::statistics::Spread;
use crate::table::{NO_FIGURE, Table, median, range, times};

/// Writes the whole section; `machine` is the list that describes the run.
pub(super) fn section(machine: &str, args: &Args, results: &Results) -> String {
    let Args { rounds, seconds, .. } = args;
    let rate = median(Spread::of(results.rates.iter().copied().map(f64::from)), 0);
    let (closed, open, side) = (closed_loop(results), open_loop(results), side_by_side(results));
    let bars = bars(results);
    format!(
        "## Load generators

`load` as it is in images, with all its statistics, compared with other generators. Each runs on one core and sends to the same
`ping` over {CONNECTIONS} keep-alive connections. Each figure is the median of {rounds} rounds of {seconds} s; in a round, all
generators take turns. Trust ratios, not absolute figures.

{machine}
### Closed loop: as fast as ping answers

{closed}
### Open loop: at a rate

Half of the rate that `load` reached in the same round ({rate}/s in the median). Latency counts from the time at which a
request was due. oha's timers have a resolution of one millisecond. The C epoll loop is
[`rate.c`](../xtask/bench/src/load/rate.c).

{open}
A virtual machine may stop for some milliseconds at any time, and such a pause decides the p99 of a round. So `load` and the
C epoll loop also run at the same time on the same core, each at a quarter of that rate: a pause affects both.

{side}
### Bars

{bars}"
    )
}

fn spread(samples: &Samples, generator: Generator, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
    Spread::of(samples.get(&generator)?.iter().map(figure))
}

/// Spread of `load`'s figure divided by the other generator's.
fn ratio(samples: &Samples, other: Generator, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
    Spread::of_ratios(samples.get(&Generator::Load)?, samples.get(&other)?, figure)
}

/// The cell of `ratio`; empty in `load`'s own row.
fn ratio_cell(samples: &Samples, other: Generator, figure: impl Fn(&Sample) -> f64) -> String {
    if other == Generator::Load { NO_FIGURE.to_owned() } else { range(ratio(samples, other, figure)) }
}

fn p99_9(sample: &Sample) -> f64 {
    sample.p99_9.unwrap_or_default()
}

fn closed_loop(results: &Results) -> Table {
    let samples = &results.closed_loop;
    let columns = ["generator", "requests/s", "load's divided by its", "CPU µs/request", "p50 µs", "p99 µs"];
    let mut table = Table::new(&columns);
    for generator in Generator::CLOSED_LOOP {
        let median = |figure: fn(&Sample) -> f64, digits| median(spread(samples, generator, figure), digits);
        table.row(&[
            generator.name(),
            &median(|sample| sample.rate, 0),
            &ratio_cell(samples, generator, |sample| sample.rate),
            &median(|sample| sample.cpu_micros, 2),
            &median(|sample| sample.p50, 0),
            &median(|sample| sample.p99, 0),
        ]);
    }
    table
}

fn open_loop(results: &Results) -> Table {
    let samples = &results.open_loop;
    let mut table = Table::new(&["generator", "p50 µs", "p99 µs", "load's p99 divided by its", "sent late"]);
    for generator in Generator::OPEN_LOOP {
        table.row(&[
            generator.name(),
            &median(spread(samples, generator, |sample| sample.p50), 0),
            &median(spread(samples, generator, |sample| sample.p99), 0),
            &ratio_cell(samples, generator, |sample| sample.p99),
            &late(samples, generator).map_or(NO_FIGURE.to_owned(), percent),
        ]);
    }
    table
}

fn side_by_side(results: &Results) -> Table {
    let samples = &results.side_by_side;
    let mut table = Table::new(&["at the same time", "p50 µs", "p99 µs", "p99.9 µs"]);
    for generator in Generator::SIDE_BY_SIDE {
        table.row(&[
            generator.name(),
            &median(spread(samples, generator, |sample| sample.p50), 0),
            &median(spread(samples, generator, |sample| sample.p99), 0),
            &median(spread(samples, generator, p99_9), 0),
        ]);
    }
    table.row(&[
        "load's divided by the loop's",
        &range(ratio(samples, Generator::Loop, |sample| sample.p50)),
        &range(ratio(samples, Generator::Loop, |sample| sample.p99)),
        &range(ratio(samples, Generator::Loop, p99_9)),
    ]);
    table
}

/// Median of the fractions of requests that `generator` sent late.
fn late(samples: &Samples, generator: Generator) -> Option<f64> {
    let fractions = samples.get(&generator)?.iter().filter_map(|sample| sample.late);
    Some(Spread::of(fractions)?.median)
}

fn percent(fraction: f64) -> String {
    format!("{:.3} %", fraction * 100.0)
}

fn bars(results: &Results) -> Table {
    let mut bars = Table::of_bars();
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    for (other, minimum) in [(Generator::Oha, 1.3), (Generator::Wrk, 0.95)] {
        let rate = median(ratio(&results.closed_loop, other, |sample| sample.rate));
        let required = format!("≥ {minimum:.2} × {}", other.name());
        bars.bar("requests/s", &required, rate, times, |rate| rate >= minimum);
    }
    let p99 = median(ratio(&results.side_by_side, Generator::Loop, |sample| sample.p99));
    let required = "≤ 1.25 × the C loop's";
    bars.bar("p99 at a rate, at the same time", required, p99, times, |ratio| ratio <= 1.25);
    let late = late(&results.open_loop, Generator::Load);
    bars.bar("requests sent late", "< 0.1 %", late, percent, |late| late < 0.001);
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_is_met_at_its_limit_and_not_below_it() {
        let missed = |load, oha, wrk, our_p99, loop_p99| {
            let sample = |rate, p99| vec![Sample { rate, p99, late: Some(0.0), ..Sample::default() }];
            let mut results = Results::default();
            for (generator, rate) in [(Generator::Load, load), (Generator::Oha, oha), (Generator::Wrk, wrk)] {
                results.closed_loop.insert(generator, sample(rate, 1.0));
            }
            results.side_by_side.insert(Generator::Load, sample(1.0, our_p99));
            results.side_by_side.insert(Generator::Loop, sample(1.0, loop_p99));
            // Only the fraction of late requests of these counts.
            results.open_loop.insert(Generator::Load, sample(1.0, 1.0));
            results.open_loop.insert(Generator::Loop, sample(1.0, 2.0));
            bars(&results).to_string().matches("**no**").count()
        };
        assert_eq!(missed(78.0, 60.0, 80.0, 125.0, 100.0), 0);
        assert_eq!(missed(77.0, 60.0, 82.0, 126.0, 100.0), 3);
    }
}
