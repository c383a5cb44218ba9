//! Comparison of two reports.

use serde_json::Value;

use crate::format::{percent, rate, time};
use crate::report::VERSION;

/// The comparison of two reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Lines of text.
    pub text: String,
    /// Whether a figure is worse by more than the threshold.
    pub is_regression: bool,
}

/// A figure of a report.
struct Figure {
    name: &'static str,
    /// JSON pointer.
    path: &'static str,
    format: fn(f64) -> String,
    /// Whether more is better.
    more_is_better: bool,
    /// Whether the threshold applies. Extreme values vary too much between runs.
    is_checked: bool,
}

const FIGURES: [Figure; 9] = [
    Figure { name: "ok rate", path: "/ok_rate", format: rate, more_is_better: true, is_checked: true },
    latency("p50", "/latency/p50", true),
    latency("p90", "/latency/p90", true),
    latency("p95", "/latency/p95", true),
    latency("p99", "/latency/p99", true),
    latency("p99.9", "/latency/p999", false),
    latency("max", "/latency/max", false),
    latency("first byte p50", "/phases/first_byte/p50", false),
    latency("longest gap", "/gaps/longest", false),
];

const fn latency(name: &'static str, path: &'static str, is_checked: bool) -> Figure {
    Figure { name, path, format: time, more_is_better: false, is_checked }
}

/// Settings that have to be the same for a meaningful comparison.
const SETTINGS: [&str; 9] =
    ["urls", "method", "http", "keep_alive", "connections", "streams", "threads", "rate", "expect"];

/// Checks that JSON is a report of this version.
pub fn parse(json: &[u8]) -> Result<Value, String> {
    let report: Value = serde_json::from_slice(json).map_err(|error| format!("not valid JSON: {error}"))?;
    match report.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) && number(&report, "/ok_rate").is_some() => Ok(report),
        Some(version) if version != u64::from(VERSION) => {
            Err(format!("the report has version {version}, not {VERSION}; repeat the run with this load"))
        }
        _ => Err("not a report of load".to_owned()),
    }
}

/// Compares two reports. A figure that is worse by more than the fraction `threshold` is a regression, and so is a greater
/// share of failed requests.
pub fn compare(old: &Value, new: &Value, threshold: f64) -> Comparison {
    let mut is_regression = false;
    let row = |[name, old, new, ratio]: [&str; 4], mark: &str| {
        format!("{name:<15} {old:>10} {new:>10} {ratio:>7}{mark}")
    };
    let mut lines = vec![row(["", "old", "new", "ratio"], "")];
    for figure in &FIGURES {
        let (Some(before), Some(after)) = (number(old, figure.path), number(new, figure.path)) else {
            continue;
        };
        let ratio = if before > 0.0 { after / before } else { f64::INFINITY };
        let is_worse = if figure.more_is_better {
            ratio < 1.0 / (1.0 + threshold)
        } else {
            // A latency of 0 is that of a run without a successful response.
            before > 0.0 && ratio > 1.0 + threshold
        };
        let is_worse = is_worse && figure.is_checked;
        is_regression |= is_worse;
        let shown = if before > 0.0 { format!("{ratio:.3}") } else { "–".to_owned() };
        let cells = [figure.name, &(figure.format)(before), &(figure.format)(after), &shown];
        lines.push(row(cells, if is_worse { " ← worse" } else { "" }));
    }
    let failed = |report| {
        number(report, "/failed").unwrap_or(0.0) / number(report, "/requests").unwrap_or(0.0).max(1.0)
    };
    let (before, after) = (failed(old), failed(new));
    // Also if none failed before: there is no tolerance for failures.
    let has_more_failures = after > before * (1.0 + threshold);
    is_regression |= has_more_failures;
    let mark = if has_more_failures { " ← worse" } else { "" };
    lines.push(row(["failed", &percent(before), &percent(after), ""], mark));
    for name in SETTINGS {
        let setting = |report: &Value| report.pointer(&format!("/asked/{name}")).cloned().unwrap_or_default();
        let (before, after) = (setting(old), setting(new));
        if before != after {
            lines.push(format!("warning: the runs differ in {name}: {before} and {after}"));
        }
    }
    for (name, report) in [("old", old), ("new", new)] {
        if number(report, "/ok").unwrap_or(0.0) <= 0.0 {
            lines.push(format!(
                "warning: latency is not compared, since the {name} run has no successful response"
            ));
        }
        if report.get("ended") == Some(&Value::from("interrupted")) {
            lines.push(format!("warning: the {name} run was interrupted"));
        }
    }
    let verdict = if is_regression { "REGRESSION" } else { "no regression" };
    lines.push(format!("{verdict} (threshold {})", percent(threshold)));
    Comparison { text: lines.join("\n") + "\n", is_regression }
}

fn number(report: &Value, path: &str) -> Option<f64> {
    report.pointer(path).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Latency, Report};
    use crate::sample::sample;

    fn compared(change: impl FnOnce(&mut Report)) -> Comparison {
        let mut new = sample();
        change(&mut new);
        let [old, new] = [sample(), new].map(|report| parse(&serde_json::to_vec(&report).unwrap()).unwrap());
        compare(&old, &new, 0.1)
    }

    #[test]
    fn figure_worse_than_the_threshold_is_a_regression() {
        for (change, is_regression) in [
            ((|_| {}) as fn(&mut Report), false),
            (|new| new.latency.p99 *= 1.09, false),
            (|new| new.latency.p99 *= 1.11, true),
            (|new| new.latency.p50 *= 0.5, false),
            (|new| new.latency.max *= 9.0, false),
            (|new| new.ok_rate *= 0.92, false),
            (|new| new.ok_rate *= 0.90, true),
            (|new| new.ok_rate *= 2.0, false),
            (|new| new.failed = 2, true),
            (|new| new.failed = 0, false),
        ] {
            let compared = compared(change);
            assert_eq!(compared.is_regression, is_regression, "{}", compared.text);
            assert_eq!(compared.text.contains(" ← worse"), is_regression, "{}", compared.text);
        }
    }

    #[test]
    fn latency_is_not_compared_with_that_of_a_run_without_success() {
        let fail = |report: &mut Report| {
            (report.ok, report.ok_rate, report.failed) = (0, 0.0, report.requests);
            report.latency = Latency::default();
        };
        let json = |report: &Report| parse(&serde_json::to_vec(report).unwrap()).unwrap();
        let (good, mut failed) = (sample(), sample());
        fail(&mut failed);
        let warning = |name| {
            format!("\nwarning: latency is not compared, since the {name} run has no successful response\n")
        };
        let compared = compare(&json(&failed), &json(&good), 0.1);
        assert!(!compared.is_regression && compared.text.contains(&warning("old")), "{}", compared.text);
        assert!(
            compared.text.contains("\np99                   0 µs     4.0 ms       –\n"),
            "{}",
            compared.text
        );
        let compared = compare(&json(&good), &json(&failed), 0.1);
        assert!(compared.is_regression && compared.text.contains(&warning("new")), "{}", compared.text);
        assert_eq!(compared.text.matches(" ← worse").count(), 2, "the rate, and failures: {}", compared.text);
        let compared = compare(&json(&failed), &json(&failed), 0.1);
        assert!(!compared.is_regression, "{}", compared.text);
    }

    #[test]
    fn ratio_and_differences_are_shown() {
        let text = compared(|new| {
            new.latency.p99 = 0.006;
            new.settings.connections = 5;
        });
        let text = text.text;
        assert!(text.contains("\np99                 4.0 ms     6.0 ms   1.500 ← worse\n"), "{text}");
        assert!(text.contains("warning: the runs differ in connections: 0 and 5\n"), "{text}");
        assert!(text.ends_with("\nREGRESSION (threshold 10.0 %)\n"), "{text}");
    }

    #[test]
    fn other_files_are_rejected() {
        for (json, reason) in [
            ("{", "not valid JSON: "),
            ("{}", "not a report of load"),
            (r#"{"version": 2}"#, "not a report of load"),
            (r#"{"version": 1, "rate": 5}"#, "the report has version 1, not 2"),
        ] {
            assert!(parse(json.as_bytes()).unwrap_err().starts_with(reason), "{json}");
        }
    }
}
