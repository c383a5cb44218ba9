//! What was measured, as tables in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use swarmlings_harness::load::Failure;

use super::{loss, update};

pub(super) fn updates(rows: &[update::Row]) -> String {
    let mut text = header(&[
        "set-up",
        "change",
        "load",
        "rounds",
        "requests",
        "refused",
        "reset",
        "time-out",
        "5xx",
        "other",
        "longest gap, ms",
        "started → first request, ms",
        "healthy → first request, ms",
        "sent after stop began",
    ]);
    for row in rows {
        let cells = [row.set_up, row.change, row.load].map(str::to_owned);
        let counts = [row.rounds.to_string(), row.requests.to_string()];
        let figures = [
            row.longest_gap.as_millis().to_string(),
            median(&row.start_to_first),
            median(&row.healthy_to_first),
            median_and_max(&row.after_stop),
        ];
        line(&mut text, cells.into_iter().chain(counts).chain(classes(&row.failed)).chain(figures));
    }
    text
}

pub(super) fn losses(rows: &[loss::Row]) -> String {
    let mut text = header(&[
        "set-up",
        "loss",
        "rounds",
        "requests",
        "refused",
        "reset",
        "time-out",
        "5xx",
        "other",
        "longest gap, ms",
        "unrouted after, ms",
        "another one routed after, ms",
    ]);
    for row in rows {
        let cells = [row.set_up, row.loss].map(str::to_owned);
        let counts = [row.rounds.to_string(), row.requests.to_string()];
        let figures = [
            row.longest_gap.as_millis().to_string(),
            median_and_max(&row.unrouted),
            median_and_max(&row.replaced),
        ];
        line(&mut text, cells.into_iter().chain(counts).chain(classes(&row.failed)).chain(figures));
    }
    text
}

fn header(names: &[&str]) -> String {
    let mut text = String::new();
    line(&mut text, names.iter().map(|name| (*name).to_owned()));
    line(&mut text, names.iter().map(|_| "---".to_owned()));
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
}

/// Refused, reset, timed out, 5xx, and all others.
fn classes(failed: &BTreeMap<Failure, u64>) -> [String; 5] {
    let mut counts = [0; 5];
    for (class, count) in failed {
        let column = match class {
            Failure::Refused => 0,
            Failure::Cut => 1,
            Failure::TimedOut => 2,
            Failure::Status(500..=599) => 3,
            Failure::Status(_) | Failure::Wrong | Failure::Other => 4,
        };
        counts[column] += count;
    }
    counts.map(|count: u64| count.to_string())
}

fn median(figures: &[f64]) -> String {
    sorted(figures).map_or("–".to_owned(), |sorted| format!("{:.0}", sorted[sorted.len() / 2]))
}

fn median_and_max(figures: &[f64]) -> String {
    sorted(figures).map_or("–".to_owned(), |sorted| {
        format!("{:.0}, at most {:.0}", sorted[sorted.len() / 2], sorted[sorted.len() - 1])
    })
}

fn sorted(figures: &[f64]) -> Option<Vec<f64>> {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    (!figures.is_empty()).then_some(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_failure_has_its_column() {
        let failed = [
            (Failure::Refused, 1),
            (Failure::Cut, 2),
            (Failure::TimedOut, 3),
            (Failure::Status(502), 4),
            (Failure::Status(504), 5),
            (Failure::Status(404), 6),
            (Failure::Wrong, 7),
        ];
        assert_eq!(classes(&failed.into()), ["1", "2", "3", "9", "13"]);
    }

    #[test]
    fn figures_are_shown_by_median_and_greatest() {
        assert_eq!(median(&[3.0, 1.0, 2.4]), "2");
        assert_eq!(median_and_max(&[3.0, 1.0, 2.4]), "2, at most 3");
        assert_eq!(median(&[]), "–");
    }
}
