//! The bench's part of docs/BENCHMARKS.md.

use std::env;
use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::generator::{CONNECTIONS, Figures, Generator};
use super::measure::Measured;
use super::programs::Programs;
use crate::cores;
use crate::plan::Plan;
use crate::services::{machine::processor, programs::said, wrk};
use crate::statistics::Spread;

/// The whole section.
pub(super) fn section(programs: &Programs, plan: Plan, measured: &Measured) -> Result<String> {
    let Plan { rounds, seconds } = plan;
    let arguments: Vec<_> = env::args().skip(1).collect();
    let first = |program: &Path| said(program, &["--version"]);
    let pinned = if cores::count() > 1 { "ping on core 0, load on core 1" } else { "all on the only core" };
    let mut text = format!(
        "## Sending load\n\n`load` as it is in images, with all that it counts, beside other generators, each on one core with \
         {CONNECTIONS} keep-alive connections\nto the same `ping`. Medians of {rounds} rounds of {seconds} s; in a round all have their turn. \
         Trust ratios, not absolutes.\n\n"
    );
    for line in [
        format!("- `cargo xtask bench {}`", arguments.join(" ")),
        format!("- {}", said(Path::new("date"), &["-u", "+%F"])?),
        format!("- {}, {} cores; {pinned}", processor()?, cores::count()),
        format!(
            "- {}, {}, wrk {}, hey (Debian's)",
            first(&programs.load)?,
            first(&programs.oha)?,
            wrk::version(&programs.wrk)?
        ),
    ] {
        line_of(&mut text, &line);
    }
    text.push_str("\n### As fast as it is answered\n\n");
    text.push_str(&closed(measured));
    let rates = Spread::of(measured.rates.iter().copied().map(f64::from));
    let rate = rates.map_or(0.0, |rates| rates.median);
    text.push_str("\n### At a rate\n\n");
    line_of(
        &mut text,
        &format!(
            "Half of what `load` has sent in the same round, {rate:.0}/s in the median, with latency counted from when a request was \
         due. oha's\nown timers wake it to the millisecond. The C loop is \
         [`rate.c`](../xtask/bench/src/load/rate.c).\n"
        ),
    );
    text.push_str(&open(measured));
    line_of(
        &mut text,
        "\nWhere a machine is halted for some milliseconds now and then, as virtual ones are, p99 is whatever a round met with. So `load` \
         and the C loop are also run\nat the same time, from the same core, each at a quarter of that rate: what disturbs one disturbs the other.\n",
    );
    text.push_str(&paired(measured));
    text.push_str("\n### Bars\n\n");
    text.push_str(&bars(measured));
    Ok(text)
}

fn line_of(text: &mut String, line: &str) {
    // Into a string it never fails.
    let _ = writeln!(text, "{line}");
}

fn spread(figures: Option<&Vec<Figures>>, figure: impl Fn(&Figures) -> f64) -> Option<Spread> {
    Spread::of(figures?.iter().map(figure))
}

fn ratio(ours: &[Figures], theirs: &[Figures], figure: impl Fn(&Figures) -> f64) -> Option<Spread> {
    let [ours, theirs] = [ours, theirs].map(|figures| figures.iter().map(&figure).collect::<Vec<_>>());
    Spread::of_ratios(&ours, &theirs)
}

fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("–".to_owned(), |spread| format!("{:.digits$}", spread.median))
}

fn wide(spread: Option<Spread>) -> String {
    let wide = |Spread { median, least, greatest }| format!("{median:.2} ({least:.2}–{greatest:.2})");
    spread.map_or("–".to_owned(), wide)
}

fn closed(measured: &Measured) -> String {
    let mut text =
        "| generator | requests/s | load's by its | CPU µs/request | p50 µs | p99 µs |\n| --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    let ours = &measured.closed[&Generator::Load];
    for generator in Generator::CLOSED {
        let figures = measured.closed.get(&generator);
        let ratio = figures.and_then(|theirs| ratio(ours, theirs, |figures| figures.per_second));
        let cells = [
            generator.name().to_owned(),
            shown(spread(figures, |figures| figures.per_second), 0),
            if generator == Generator::Load { "–".to_owned() } else { wide(ratio) },
            shown(spread(figures, |figures| figures.cpu_micros), 2),
            shown(spread(figures, |figures| figures.p50), 0),
            shown(spread(figures, |figures| figures.p99), 0),
        ];
        line_of(&mut text, &format!("| {} |", cells.join(" | ")));
    }
    text
}

fn open(measured: &Measured) -> String {
    let mut text =
        "| generator | p50 µs | p99 µs | load's p99 by its | late |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    let ours = &measured.open[&Generator::Load];
    for generator in Generator::OPEN {
        let figures = measured.open.get(&generator);
        let ratio = figures.and_then(|theirs| ratio(ours, theirs, |figures| figures.p99));
        let late = figures.and_then(|figures| Spread::of(figures.iter().filter_map(|figures| figures.late)));
        let cells = [
            generator.name().to_owned(),
            shown(spread(figures, |figures| figures.p50), 0),
            shown(spread(figures, |figures| figures.p99), 0),
            if generator == Generator::Load { "–".to_owned() } else { wide(ratio) },
            late.map_or("–".to_owned(), |late| format!("{:.3} %", late.median * 100.0)),
        ];
        line_of(&mut text, &format!("| {} |", cells.join(" | ")));
    }
    text
}

fn paired(measured: &Measured) -> String {
    let mut text = "| side by side | p50 µs | p99 µs | p99.9 µs |\n| --- | --- | --- | --- |\n".to_owned();
    let p999 = |figures: &Figures| figures.p999.unwrap_or_default();
    for generator in Generator::PAIRED {
        let figures = measured.paired.get(&generator);
        let cells = [
            generator.name().to_owned(),
            shown(spread(figures, |figures| figures.p50), 0),
            shown(spread(figures, |figures| figures.p99), 0),
            shown(spread(figures, p999), 0),
        ];
        line_of(&mut text, &format!("| {} |", cells.join(" | ")));
    }
    let [p50, p99, p999] = [
        paired_ratio(measured, |figures| figures.p50),
        paired_ratio(measured, |figures| figures.p99),
        paired_ratio(measured, p999),
    ];
    line_of(&mut text, &format!("| load's by the loop's | {} | {} | {} |", wide(p50), wide(p99), wide(p999)));
    text
}

fn paired_ratio(measured: &Measured, figure: impl Fn(&Figures) -> f64) -> Option<Spread> {
    let [ours, theirs] = Generator::PAIRED.map(|generator| measured.paired.get(&generator));
    ratio(ours?, theirs?, figure)
}

fn bars(measured: &Measured) -> String {
    let mut text = "| bar | wanted | got | met |\n| --- | --- | --- | --- |\n".to_owned();
    let mut bar = |what: &str, wanted: &str, got: Option<f64>, shown: String, is_met: fn(f64) -> bool| {
        let met = if got.is_some_and(is_met) { "yes" } else { "**no**" };
        line_of(&mut text, &format!("| {what} | {wanted} | {shown} | {met} |"));
    };
    let ours = &measured.closed[&Generator::Load];
    let requests = |generator| {
        let theirs = measured.closed.get(&generator)?;
        Some(ratio(ours, theirs, |figures| figures.per_second)?.median)
    };
    let times = |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2} ×"));
    let (oha, wrk) = (requests(Generator::Oha), requests(Generator::Wrk));
    bar("requests/s", "≥ 1.00 × oha", oha, times(oha), |ratio| ratio >= 1.0);
    bar("requests/s", "≥ 0.60 × wrk", wrk, times(wrk), |ratio| ratio >= 0.6);
    let ours = &measured.open[&Generator::Load];
    let p99 = paired_ratio(measured, |figures| figures.p99).map(|ratio| ratio.median);
    bar("p99 at a rate, side by side", "within 10 % of the C loop's", p99, times(p99), |ratio| {
        (0.9..=1.1).contains(&ratio)
    });
    let late = Spread::of(ours.iter().filter_map(|figures| figures.late)).map(|late| late.median);
    let shown = late.map_or("–".to_owned(), |late| format!("{:.3} %", late * 100.0));
    bar("late sends", "< 0.1 %", late, shown, |late| late < 0.001);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(per_second: f64, p99: f64) -> Vec<Figures> {
        vec![Figures { per_second, p50: 10.0, p99, p999: None, cpu_micros: 1.0, late: Some(0.0) }]
    }

    #[test]
    fn a_bar_is_met_at_its_very_height_and_not_below_it() {
        let all = |load, oha, wrk, ours, theirs| {
            let mut measured = Measured::default();
            for (generator, per_second) in
                [(Generator::Load, load), (Generator::Oha, oha), (Generator::Wrk, wrk)]
            {
                measured.closed.insert(generator, figures(per_second, 1.0));
            }
            for (generator, p99) in [(Generator::Load, ours), (Generator::Loop, theirs)] {
                measured.paired.insert(generator, figures(1.0, p99));
            }
            // Of which only what is late counts.
            measured.open.insert(Generator::Load, figures(1.0, 1.0));
            measured.open.insert(Generator::Loop, figures(1.0, 2.0));
            bars(&measured)
        };
        assert!(!all(60.0, 60.0, 100.0, 110.0, 100.0).contains("**no**"));
        assert_eq!(all(59.0, 60.0, 100.0, 111.0, 100.0).matches("**no**").count(), 3);
    }
}
