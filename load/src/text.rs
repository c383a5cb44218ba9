//! The report as text.

use crate::format::{brief, bytes, count, moment, percent, rate, time};
use crate::printable::{printable, shorten, width};
use crate::report::{Choice, EndReason, ErrorClass, Report, Verdict};
use crate::statistics::float;

mod instances;

/// Width of the text, unless the terminal is narrower.
pub(crate) const WIDTH: usize = 80;

/// Width of the narrowest text. On a narrower terminal lines wrap.
const MIN_WIDTH: usize = 40;

/// Maximum width of the name of an instance.
const NAME_WIDTH: usize = 20;

/// Maximum number of outages and of failures that are shown.
const MAX_SHOWN: usize = 10;

/// Formats the whole report for 80 columns.
pub fn text(report: &Report) -> String {
    text_within(report, WIDTH)
}

/// Formats the whole report for this number of columns, from 40 to 80.
pub fn text_within(report: &Report, columns: usize) -> String {
    let columns = columns.clamp(MIN_WIDTH, WIDTH);
    let wrap = |prefix: &str, text: &str| wrap(prefix, text, columns);
    let mut lines = vec![first_line(report, columns)];
    lines.extend(latency(report, columns));
    lines.extend(phases(report, columns));
    if report.bytes > 0 {
        let rate = bytes(float(report.bytes) / float(report.ok.max(1)) * report.ok_rate);
        let received = format!("{} in successful responses, {rate}/s", bytes(float(report.bytes)));
        lines.push(wrap("received ", &received));
    }
    lines.extend(urls(report, columns));
    if !report.instances.is_empty() {
        lines.push(String::new());
        lines.extend(instances::instances(report, columns));
    }
    lines.extend(evenness(report).map(|(prefix, text)| wrap(prefix, &text)));
    lines.extend(report.handovers.iter().map(|handover| {
        let kind = if handover.overlap < 0.0 { "gap" } else { "overlap" };
        let text = format!(
            "{} → {}: {} → {} ({kind} {})",
            short(handover.left.as_deref()),
            short(handover.joined.as_deref()),
            moment(handover.left_at),
            moment(handover.joined_at),
            time(handover.overlap.abs())
        );
        wrap("handover ", &text)
    }));
    lines.extend(statuses(report).map(|list| wrap_list("statuses: ", &list, ", ", columns)));
    lines.extend(outages(report, columns));
    lines.extend(failures(report, columns));
    lines.extend(report.warnings.iter().map(|warning| wrap("warning: ", &printable(warning))));
    lines.extend(report.assertions.iter().map(|assertion| {
        let verdict = match assertion.verdict {
            Verdict::Met => "met",
            Verdict::NotMet => "NOT MET",
            Verdict::NotAssessable => "NOT ASSESSABLE",
        };
        wrap(
            &format!("--{} ", assertion.name),
            &format!("{}: {verdict} ({})", assertion.wanted, assertion.got),
        )
    }));
    lines.join("\n") + "\n"
}

/// Summarises the report in one sentence: `60 s · 120,000 requests · 0 failed · longest gap 3 ms`.
fn headline(report: &Report) -> String {
    let requests = if report.requests == 1 { "request" } else { "requests" };
    let failed = count(report.failed);
    let gap = if report.ok == 0 {
        "no successful response".to_owned()
    } else {
        format!("longest gap {}", brief(report.outages.longest))
    };
    format!("{} · {} {requests} · {failed} failed · {gap}", brief(report.seconds), count(report.requests))
}

fn first_line(report: &Report, columns: usize) -> String {
    let mut parts: Vec<_> = headline(report).split(" · ").map(str::to_owned).collect();
    parts.push(rate(report.rate));
    if report.retried > 0 {
        parts.push(format!("{} retried", count(report.retried)));
    }
    if report.abandoned > 0 {
        parts.push(format!("{} abandoned", count(report.abandoned)));
    }
    match report.ended {
        EndReason::Interrupted => parts.push(progress(report)),
        EndReason::Running => parts.push("still running".to_owned()),
        EndReason::Duration | EndReason::Requests => {}
    }
    wrap_parts("", &parts, columns)
}

/// Part of an interrupted run that took place: `interrupted after 3 s of 10 s`.
pub(crate) fn progress(report: &Report) -> String {
    let settings = &report.settings;
    let of = |limit: Option<String>| limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let time = format!("{}{}", brief(report.seconds), of(settings.duration.map(brief)));
    let requests =
        settings.requests.map(|limit| format!(", {} of {} requests", count(report.requests), count(limit)));
    format!("interrupted after {time}{}", requests.unwrap_or_default())
}

fn latency(report: &Report, columns: usize) -> Option<String> {
    let latency = &report.latency;
    let [p50, p90, p95, p99, p999, max] =
        [latency.p50, latency.p90, latency.p95, latency.p99, latency.p999, latency.max].map(time);
    (latency.count > 0).then(|| {
        let names = ["p50", "p90", "p95", "p99", "p99.9", "max"];
        let values = [p50, p90, p95, p99, p999, max];
        let parts: Vec<_> = names.iter().zip(values).map(|(name, value)| format!("{name} {value}")).collect();
        wrap_parts("latency ", &parts, columns)
    })
}

/// Medians and 99th percentiles of the phases.
fn phases(report: &Report, columns: usize) -> Option<String> {
    let phases = &report.phases;
    let all = [("connect", &phases.connect), ("TLS", &phases.tls), ("first byte", &phases.first_byte)];
    let shown = all.iter().filter(|(_, latency)| latency.count > 0);
    let texts: Vec<_> =
        shown.map(|(name, latency)| format!("{name} {}, {}", time(latency.p50), time(latency.p99))).collect();
    (!texts.is_empty()).then(|| wrap_parts("phases (p50, p99) ", &texts, columns))
}

/// Table of results by URL, if there are several.
fn urls(report: &Report, columns: usize) -> Vec<String> {
    if report.urls.len() < 2 {
        return Vec::new();
    }
    let row = |[ok, failed, p50, p99]: [&str; 4], url: &str| {
        let p50 = if columns < WIDTH { String::new() } else { format!(" {p50:>7}") };
        let figures = format!("{ok:>9} {failed:>7}{p50} {p99:>7}  ");
        let url = shorten(url, columns - figures.chars().count());
        figures + &url
    };
    let mut lines = vec![String::new(), row(["ok", "failed", "p50", "p99"], "URL")];
    for (result, target) in report.urls.iter().zip(&report.settings.urls).take(MAX_SHOWN) {
        let quantile = |seconds| if result.ok > 0 { time(seconds) } else { "–".to_owned() };
        let [p50, p99] = [result.latency.p50, result.latency.p99].map(quantile);
        lines.push(row([&count(result.ok), &count(result.failed), &p50, &p99], &target.url));
    }
    lines.extend(more(report.settings.urls.len() as u64));
    lines
}

fn evenness(report: &Report) -> Option<(&'static str, String)> {
    let Some(even) = report.evenness else {
        let reason = report.no_evenness.as_ref().filter(|_| report.instances.len() > 1)?;
        return Some(("evenness: ", format!("not assessable, since {reason}")));
    };
    let p = if even.p < 0.0001 { "< 0.0001".to_owned() } else { format!("= {:.2}", even.p) };
    let (chi_squared, degrees) = (even.chi_squared, even.degrees);
    let of = if even.of == Choice::Connections { "of connections " } else { "" };
    let skew = percent(even.imbalance);
    Some(("evenness ", format!("{of}χ² {chi_squared:.2} ({degrees} df), p {p} · skew {skew}")))
}

/// Statuses of all responses, unless they are all 200.
fn statuses(report: &Report) -> Option<Vec<String>> {
    let mut all = report.ok_by_status.clone();
    report.failures.by_status.iter().for_each(|(status, number)| *all.entry(*status).or_default() += number);
    let list: Vec<_> = all.iter().map(|(status, number)| format!("{status} × {}", count(*number))).collect();
    all.keys().any(|status| *status != 200).then_some(list)
}

fn outages(report: &Report, columns: usize) -> Vec<String> {
    let outages = &report.outages;
    if outages.count == 0 {
        return Vec::new();
    }
    let plural = if outages.count == 1 { "" } else { "s" };
    let summary = format!(
        "{} outage{plural} of {} or more, {} in total:",
        count(outages.count),
        time(outages.threshold),
        time(outages.total)
    );
    let mut lines = vec![wrap("", &summary, columns)];
    lines.extend(outages.listed.iter().take(MAX_SHOWN).map(|outage| {
        let length = time(outage.to - outage.from);
        format!("  {length} from {} to {}", moment(outage.from), moment(outage.to))
    }));
    lines.extend(more(outages.count));
    lines
}

fn failures(report: &Report, columns: usize) -> Vec<String> {
    let failures = &report.failures;
    if report.failed == 0 {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let is_unsent = |class: &ErrorClass| *class == ErrorClass::Unsent;
    let classes = failures.by_class.iter().filter(|(class, _)| !is_unsent(class));
    let classes: Vec<_> =
        classes.map(|(class, number)| format!("{} {}", count(*number), class.name())).collect();
    if !classes.is_empty() {
        lines.push(wrap_list("failed: ", &classes, ", ", columns));
    }
    if let Some(unsent) = failures.by_class.get(&ErrorClass::Unsent) {
        let share = percent(float(*unsent) / float(report.requests));
        let unsent = format!("{} requests ({share}) were due, but not sent", count(*unsent));
        lines.push(wrap("unsent: ", &unsent, columns));
    }
    lines.extend(failures.listed.iter().take(MAX_SHOWN).map(|failed| {
        let from =
            failed.instance.as_deref().map(|name| format!(" from {}", short(Some(name)))).unwrap_or_default();
        wrap(&format!("  at {:.3} s: ", failed.at), &format!("{}{from}", printable(&failed.text)), columns)
    }));
    lines.extend(more(failures.listed.len() as u64 + failures.unlisted));
    lines
}

fn more(total: u64) -> Option<String> {
    let hidden = total.checked_sub(MAX_SHOWN as u64).filter(|hidden| *hidden > 0)?;
    Some(format!("  and {} more", count(hidden)))
}

/// The name of an instance in at most [`NAME_WIDTH`] columns.
fn short(name: Option<&str>) -> String {
    shorten(name.unwrap_or("(unnamed)"), NAME_WIDTH)
}

/// Wraps parts, between which there are dots, after a prefix. A part stays in one line.
fn wrap_parts(prefix: &str, parts: &[String], columns: usize) -> String {
    wrap_list(prefix, parts, " · ", columns)
}

/// Wraps parts with separators after a prefix. A part stays in one line. Lines are broken at the last space of a separator.
fn wrap_list(prefix: &str, parts: &[String], separator: &str, columns: usize) -> String {
    const UNBROKEN: &str = "\u{a0}";
    let unbroken = |text: &str| text.replace(' ', UNBROKEN);
    let parts: Vec<_> = parts.iter().map(|part| unbroken(part)).collect();
    let separator = unbroken(separator.trim_end()) + " ";
    wrap(prefix, &parts.join(&separator), columns).replace(UNBROKEN, " ")
}

/// Wraps text at this number of columns, after a prefix. Further lines are indented.
fn wrap(prefix: &str, text: &str, columns: usize) -> String {
    let mut wrapped = prefix.to_owned();
    let mut column = width(prefix);
    for (index, word) in text.split(' ').enumerate() {
        let length = width(word);
        // The prefix ends with a space.
        let space = usize::from(index > 0);
        if column > 2 && column + space + length > columns {
            wrapped.truncate(wrapped.trim_end().len());
            wrapped.push_str("\n  ");
            column = 2;
        } else if space > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::{Handover, UrlResult, WeightedUrl};
    use crate::sample::sample;

    #[test]
    fn first_line_has_rate_and_reason_of_an_early_end() {
        let first_line = |report: &Report| text(report).lines().next().unwrap_or_default().to_owned();
        let mut report = sample();
        let sentence = headline(&report);
        assert_eq!(first_line(&report), format!("{sentence} · 2,000/s"));
        report.ended = EndReason::Interrupted;
        report.seconds = 3.1;
        let sentence = headline(&report);
        assert_eq!(first_line(&report), format!("{sentence} · 2,000/s ·"));
        assert!(text(&report).contains("\n  interrupted after 3.1 s of 10 s\n"), "{}", text(&report));
        // The rest continues in the second line.
        report.abandoned = 1234;
        assert_eq!(first_line(&report), format!("{sentence} · 2,000/s ·"));
        assert!(text(&report).contains("\n  1,234 abandoned · interrupted after 3.1 s of 10 s\n"));
    }

    #[test]
    fn headline_without_success_has_no_gap() {
        let mut report = sample();
        assert_eq!(headline(&report), "10 s · 20,000 requests · 1 failed · longest gap 300 ms");
        (report.ok, report.requests) = (0, 1);
        assert_eq!(headline(&report), "10 s · 1 request · 1 failed · no successful response");
    }

    /// A report with much of everything, from servers that choose difficult names.
    fn full() -> Report {
        let mut report = sample();
        let long = "名前の長いサービス.2@\u{202e}a-host-with-a-very-long-name.example";
        report.instances[0].name = Some(long.to_owned());
        (report.instances[0].left, report.instances[1].joined) = (true, true);
        report.instances[1].failed = 12_345;
        report.failed = 12_346;
        report.failures.by_class = BTreeMap::from([
            (ErrorClass::Refused, 5),
            (ErrorClass::Timeout, 1000),
            (ErrorClass::Unsent, 1234),
            (ErrorClass::Status5xx, 12_000),
        ]);
        report.failures.by_status = BTreeMap::from([(500, 4000), (502, 4000), (503, 4000)]);
        report.failures.listed[0].instance = Some(long.to_owned());
        report.failures.listed[0].text = "connecting to 127.0.0.1:80: connection\u{200b} refused".to_owned();
        report.handovers = vec![Handover {
            left: Some(long.to_owned()),
            left_at: 123.4,
            joined: Some("ping.2@worker-1".to_owned()),
            joined_at: 124.5,
            overlap: -1.1,
        }];
        report.bytes = 123_456_789;
        report.phases.connect = report.latency.clone();
        report.phases.first_byte = report.latency.clone();
        let url = WeightedUrl { url: format!("http://swarm/{}/ping", "long/".repeat(30)), weight: 1 };
        report.settings.urls.push(url);
        report.urls = vec![UrlResult { ok: 5, failed: 1, latency: report.latency.clone() }; 2];
        report.warnings = vec!["the load generator did not run for 500 ms in total".to_owned()];
        report
    }

    #[test]
    fn text_fits_the_terminal() {
        for columns in [40, 60, 79, 80] {
            let text = text_within(&full(), columns);
            for line in text.lines() {
                assert!(width(line) <= columns, "{line:?} has more than {columns} columns:\n{text}");
            }
            for part in ["ping.2@worker-1", "12,345", "…", "handover", "/ping", "503 × 4,000"] {
                assert!(text.contains(part), "{part} is not in\n{text}");
            }
        }
        assert_eq!(text_within(&full(), 10), text_within(&full(), 40));
        assert_eq!(text_within(&full(), 500), text(&full()));
    }

    #[test]
    fn invisible_and_bidirectional_characters_are_replaced() {
        let text = text(&full());
        assert!(text.contains("connection\u{fffd} refused"), "{text}");
        assert!(!text.contains(['\u{202e}', '\u{200b}']), "{text}");
    }
}
