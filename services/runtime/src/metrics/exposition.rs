//! Prometheus' text format, and `OpenMetrics`' that came of it.

use std::fmt::{Display, Write};

/// Begins a family of series.
pub(crate) fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Adds a series and its value.
pub(crate) fn sample(out: &mut String, series: &str, value: impl Display) {
    let _ = writeln!(out, "{series} {value}");
}

/// What is in Prometheus' text format in that of `OpenMetrics`: there the name of a counter's family is without `_total`,
/// and the end is said.
pub(crate) fn openmetrics(prometheus: &str) -> String {
    let mut out = String::with_capacity(prometheus.len() + 6);
    for line in prometheus.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(name), Some(rest)) => {
                let name = name.strip_suffix("_total").unwrap_or(name);
                let _ = writeln!(out, "# {what} {name} {rest}");
            }
            _ => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counters_family_loses_its_suffix_and_the_end_is_said() {
        let mut out = String::new();
        family(&mut out, "requests_total", "counter", "Requests, in total.");
        sample(&mut out, "requests_total{route=\"/\"}", 7);
        assert_eq!(
            openmetrics(&out),
            "# HELP requests Requests, in total.\n# TYPE requests counter\nrequests_total{route=\"/\"} 7\n# EOF\n"
        );
    }
}
