//! What was measured, as tables in Markdown.

use std::fmt::Write;

use super::sum::Sum;
use super::{loss, update};

pub(super) fn updates(rows: &[update::Row]) -> String {
    let figures =
        ["started → first request, ms", "healthy → first request, ms", "stop began → last request, ms"];
    let mut text = header(&["set-up", "change", "load", "rounds"], &figures);
    for row in rows {
        let cells = [row.set_up, row.change, row.load].map(str::to_owned);
        let figures =
            [median(&row.start_to_first), median(&row.healthy_to_first), median_and_max(&row.after_stop)];
        line(
            &mut text,
            cells.into_iter().chain([row.rounds.to_string()]).chain(row.sum.cells()).chain(figures),
        );
    }
    text
}

pub(super) fn losses(rows: &[loss::Row]) -> String {
    let figures = ["unrouted after, ms", "another one routed after, ms"];
    let mut text = header(&["set-up", "loss", "rounds"], &figures);
    for row in rows {
        let cells = [row.set_up, row.loss].map(str::to_owned);
        let figures = [median_and_max(&row.unrouted), median_and_max(&row.replaced)];
        line(
            &mut text,
            cells.into_iter().chain([row.rounds.to_string()]).chain(row.sum.cells()).chain(figures),
        );
    }
    text
}

fn header(before: &[&str], after: &[&str]) -> String {
    let names = || before.iter().chain(&Sum::COLUMNS).chain(after);
    let mut text = String::new();
    line(&mut text, names().map(|name| (*name).to_owned()));
    line(&mut text, names().map(|_| "---".to_owned()));
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for cell in cells {
        let _ = write!(text, "| {cell} ");
    }
    text.push_str("|\n");
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
    fn figures_are_shown_by_median_and_greatest() {
        assert_eq!(median(&[3.0, 1.0, 2.4]), "2");
        assert_eq!(median_and_max(&[3.0, 1.0, 2.4]), "2, at most 3");
        assert_eq!(median(&[]), "–");
    }
}
