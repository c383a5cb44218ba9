//! What was measured, as tables in Markdown.

use std::fmt::Write;
use std::time::Duration;

use super::bars::{self, Bar, ratio};
use super::measure::{Figures, Measured};
use super::peer::Peer;
use super::scaling::Scaling;
use super::wrk::{CROWD, SCENARIOS, Scenario};
use crate::statistics::{Spread, float};

/// Requests, times and cost of all servers in one scenario.
pub(super) fn load(measured: &[Measured], scenario: Scenario) -> String {
    let mut text =
        header(&["server", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/request", "errors"]);
    for one in measured {
        let figures = one.load(scenario);
        let median = |figure: &dyn Fn(&Figures) -> f64, digits| number(figures.iter().map(figure), digits);
        let time = |time: fn(&Figures) -> Duration| median(&|figures| time(figures).as_secs_f64() * 1e6, 0);
        let errors: u64 = figures.iter().map(|figures| figures.report.errors).sum();
        line(
            &mut text,
            &[
                one.peer.name().to_owned(),
                thousands(figures),
                time(|figures| figures.report.p50),
                time(|figures| figures.report.p99),
                time(|figures| figures.report.p99_9),
                median(&Figures::cpu_micros, 2),
                errors.to_string(),
            ],
        );
    }
    text
}

/// Memory and start of all servers.
pub(super) fn footprint(measured: &[Measured]) -> String {
    let loaded = format!("KiB with {} connections", CROWD.connections);
    let mut text = header(&["server", "KiB idle", &loaded, "start to first answer, ms"]);
    for one in measured {
        let starts = one.starts.iter().map(|start| start.as_secs_f64() * 1000.0);
        line(
            &mut text,
            &[
                one.peer.name().to_owned(),
                number(one.idle.iter().copied().map(float), 0),
                number(one.loaded().map(float), 0),
                number(starts, 2),
            ],
        );
    }
    text
}

/// Ping's requests/s by those of each other.
pub(super) fn ratios(measured: &[Measured]) -> String {
    let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name()).collect();
    let mut columns = vec!["ping's requests/s by those of"];
    columns.extend(names.iter().map(String::as_str));
    let mut text = header(&columns);
    let Some(ours) = measured.iter().find(|one| one.peer == Peer::Ping) else { return text };
    for theirs in measured.iter().filter(|one| one.peer != Peer::Ping) {
        let mut cells = vec![theirs.peer.name().to_owned()];
        cells.extend(SCENARIOS.map(|scenario| spread(ratio(ours, theirs, scenario, Figures::per_second))));
        line(&mut text, &cells);
    }
    text
}

/// What a second thread brings.
pub(super) fn scaling(scaling: &Scaling) -> String {
    let mut text = header(&["`--threads 2` by `--threads 1`", "median (least–greatest)"]);
    line(&mut text, &["requests/s".to_owned(), spread(Some(scaling.requests))]);
    line(&mut text, &["requests for the same processor time".to_owned(), spread(Some(scaling.by_core))]);
    line(&mut text, &["cores that the server had the time of".to_owned(), spread(Some(scaling.used))]);
    text
}

/// What is demanded, and whether it is so.
pub(super) fn demands(measured: &[Measured], scaling: Option<&Scaling>) -> String {
    let mut text = header(&["bar", "wanted", "got", "met"]);
    for Bar { what, wanted, got, is_met } in bars::all(measured, scaling) {
        line(&mut text, &[what, wanted, got, if is_met { "yes" } else { "**no**" }.to_owned()]);
    }
    text
}

fn header(names: &[&str]) -> String {
    let mut text = String::new();
    line(&mut text, names);
    line(&mut text, &names.iter().map(|_| "---").collect::<Vec<_>>());
    text
}

fn line(text: &mut String, cells: &[impl AsRef<str>]) {
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(text, "| {} ", cell.as_ref());
    }
    text.push_str("|\n");
}

fn number(figures: impl IntoIterator<Item = f64>, digits: usize) -> String {
    Spread::of(figures).map_or("–".to_owned(), |spread| format!("{:.digits$}", spread.median))
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or("–".to_owned(), |Spread { median, least, greatest }| {
        format!("{median:.2} ({least:.2}–{greatest:.2})")
    })
}

/// The median of the requests/s, such as `204,770`.
fn thousands(figures: &[Figures]) -> String {
    let plain = number(figures.iter().map(Figures::per_second), 0);
    let mut text = String::new();
    for (place, digit) in plain.chars().enumerate() {
        if place > 0 && (plain.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::measure::tests::measured;
    use super::*;

    #[test]
    fn a_row_has_a_server_with_its_medians() {
        let text = load(&[measured(Peer::Go, 123_456)], CROWD);
        let row = text.lines().last().unwrap();
        assert_eq!(row, "| Go net/http | 123,456 | 100 | 200 | 300 | 2.00 | 1 |");
    }

    #[test]
    fn ratios_are_ours_by_theirs() {
        let text = ratios(&[measured(Peer::Ping, 300_000), measured(Peer::Nginx, 200_000)]);
        let ratio = "1.50 (1.50–1.50)";
        assert_eq!(
            text.lines().last().unwrap(),
            format!("| nginx `return 200` | {ratio} | {ratio} | {ratio} |")
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        for (rate, shown) in [(7, "7"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(measured(Peer::Go, rate).load(CROWD)), shown);
        }
        assert_eq!(thousands(&[]), "–");
    }
}
