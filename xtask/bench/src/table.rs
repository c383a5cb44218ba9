//! Tables: Markdown for documents, plain columns for the terminal.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::statistics::Spread;

/// A Markdown table.
pub(super) struct Table(String);

impl Table {
    pub(super) fn new<S: AsRef<str>>(columns: &[S]) -> Self {
        let mut table = Self(String::new());
        table.row(columns);
        table.row(&vec!["---"; columns.len()]);
        table
    }

    /// A table of performance requirements, for [`Self::bar`].
    pub(super) fn of_bars() -> Self {
        Self::new(&["bar", "required", "measured", "met"])
    }

    pub(super) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for cell in cells {
            let _ = write!(self.0, "| {} ", cell.as_ref());
        }
        self.0.push_str("|\n");
    }

    /// Adds a requirement; a missing figure does not meet it.
    pub(super) fn bar(
        &mut self,
        name: &str,
        required: &str,
        figure: Option<f64>,
        shown: impl Fn(f64) -> String,
        is_met: impl Fn(f64) -> bool,
    ) {
        let met = if figure.is_some_and(is_met) { "yes" } else { "**no**" };
        self.row(&[name, required, &figure.map_or(NO_FIGURE.to_owned(), shown), met]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The cell of a figure that was not measured.
pub(super) const NO_FIGURE: &str = "–";

/// The median alone.
pub(super) fn median(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or(NO_FIGURE.to_owned(), |spread| format!("{:.digits$}", spread.median))
}

/// Median, minimum and maximum, such as `1.04 (0.76–1.11)`.
pub(super) fn range(spread: Option<Spread>) -> String {
    let range = |Spread { median, min, max }| format!("{median:.2} ({min:.2}–{max:.2})");
    spread.map_or(NO_FIGURE.to_owned(), range)
}

/// Median and maximum, such as `15, at most 93`.
pub(super) fn median_and_max(spread: Option<Spread>) -> String {
    spread.map_or(NO_FIGURE.to_owned(), |spread| format!("{:.0}, at most {:.0}", spread.median, spread.max))
}

/// The median as a whole number with separators, such as `204,770`.
pub(super) fn thousands(spread: Option<Spread>) -> String {
    let plain = median(spread, 0);
    let mut text = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio, such as `1.04 ×`.
pub(super) fn times(ratio: f64) -> String {
    format!("{ratio:.2} ×")
}

/// Prints minimum, median and maximum of each row in milliseconds.
pub(super) fn print_delays(rounds: u16, rows: &[(&str, Vec<Duration>)]) {
    println!("Milliseconds, {rounds} rounds each; Traefik polls every 100 ms and throttles to 100 ms");
    println!("{:34}{:>8}{:>8}{:>8}", "", "min", "median", "max");
    for (name, delays) in rows {
        let millis = delays.iter().map(|delay| delay.as_secs_f64() * 1000.0);
        if let Some(Spread { median, min, max }) = Spread::of(millis) {
            println!("{name:34}{min:>8.1}{median:>8.1}{max:>8.1}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (figure, shown) in [(7.0, "7"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(thousands(Spread::of([figure])), shown);
        }
        assert_eq!(thousands(None), "–");
    }

    #[test]
    fn cells_show_median_and_range() {
        let spread = Spread::of([3.0, 1.0, 2.4]);
        assert_eq!(median(spread, 0), "2");
        assert_eq!(median_and_max(spread), "2, at most 3");
        assert_eq!(range(spread), "2.40 (1.00–3.00)");
        assert_eq!([median(None, 0), median_and_max(None), range(None)], ["–"; 3]);
    }

    #[test]
    fn bar_without_a_figure_is_not_met() {
        let mut bars = Table::of_bars();
        bars.bar("requests/s", "≥ 1.00 × oha", Some(1.0), times, |ratio| ratio >= 1.0);
        bars.bar("requests/s", "≥ 1.00 × wrk", None, times, |_| true);
        let rows =
            "| requests/s | ≥ 1.00 × oha | 1.00 × | yes |\n| requests/s | ≥ 1.00 × wrk | – | **no** |\n";
        assert!(bars.to_string().ends_with(rows), "{bars}");
    }
}
