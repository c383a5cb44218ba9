//! Prometheus' text exposition format, and its translation to `OpenMetrics`.
//!
//! ```
//! let mut out = String::new();
//! runtime::exposition::family(&mut out, "jobs_total", "counter", "Jobs finished.");
//! runtime::exposition::sample(&mut out, "jobs_total", &[("queue", "mail")], 7);
//! assert!(out.ends_with("jobs_total{queue=\"mail\"} 7\n"));
//! ```

use std::fmt::{Display, Write};

/// Appends the `HELP` and `TYPE` lines of a metric family. `kind` is `counter`, `gauge` or `histogram`.
pub fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Appends one sample. Label values are escaped.
pub fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    out.push_str(name);
    for (index, (label, text)) in labels.iter().enumerate() {
        let separator = if index == 0 { '{' } else { ',' };
        let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let _ = write!(out, "{separator}{label}=\"{text}\"");
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// Appends a family of one sample without labels.
pub fn metric(out: &mut String, name: &str, kind: &str, help: &str, value: impl Display) {
    family(out, name, kind, help);
    sample(out, name, &[], value);
}

/// Translates Prometheus' format to `OpenMetrics`, where a counter's family is named without `_total` and the document
/// ends with `# EOF`.
pub(crate) fn to_openmetrics(prometheus: &str) -> String {
    let mut out = String::with_capacity(prometheus.len() + 6);
    for line in prometheus.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind @ ("HELP" | "TYPE")), Some(name), Some(rest)) => {
                let name = name.strip_suffix("_total").unwrap_or(name);
                let _ = writeln!(out, "# {kind} {name} {rest}");
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
    fn label_values_are_escaped() {
        let mut out = String::new();
        sample(&mut out, "a", &[("b", "\\\"\n"), ("c", "d")], 1);
        assert_eq!(out, "a{b=\"\\\\\\\"\\n\",c=\"d\"} 1\n");
    }

    #[test]
    fn openmetrics_drops_the_counter_suffix_of_families_and_ends_with_eof() {
        let mut out = String::new();
        family(&mut out, "requests_total", "counter", "Requests, in total.");
        sample(&mut out, "requests_total", &[("route", "/")], 7);
        assert_eq!(
            to_openmetrics(&out),
            "# HELP requests Requests, in total.\n# TYPE requests counter\nrequests_total{route=\"/\"} 7\n# EOF\n"
        );
    }
}
