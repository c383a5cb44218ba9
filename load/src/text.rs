//! The report as text of at most 80 columns.

use crate::format::{brief, bytes, count, moment, percent, rate, time};
use crate::report::{Choice, EndReason, ErrorClass, Instance, Report, Verdict};
use crate::statistics::float;

/// Maximum width of the text.
const WIDTH: usize = 80;

/// Maximum width of the name of an instance.
const NAME_WIDTH: usize = 20;

/// Maximum width of a URL in a table.
const URL_WIDTH: usize = 44;

/// Maximum width of a chart over time.
const CHART_WIDTH: usize = 56;

/// Maximum number of outages and of failures that are shown.
const MAX_SHOWN: usize = 10;

/// Formats the whole report.
pub fn text(report: &Report) -> String {
    let mut lines = vec![first_line(report)];
    lines.extend(latency(report));
    lines.extend(phases(report));
    if report.bytes > 0 {
        let rate = bytes(float(report.bytes) / float(report.ok.max(1)) * report.ok_rate);
        lines.push(format!("received {} in successful responses, {rate}/s", bytes(float(report.bytes))));
    }
    lines.extend(urls(report));
    if !report.instances.is_empty() {
        lines.push(String::new());
        lines.extend(instances(report));
    }
    lines.extend(evenness(report));
    lines.extend(report.handovers.iter().map(|handover| {
        let kind = if handover.overlap < 0.0 { "gap" } else { "overlap" };
        format!(
            "handover {} → {}: {} → {} ({kind} {})",
            short(handover.left.as_deref()),
            short(handover.joined.as_deref()),
            moment(handover.left_at),
            moment(handover.joined_at),
            time(handover.overlap.abs())
        )
    }));
    lines.extend(statuses(report));
    lines.extend(outages(report));
    lines.extend(failures(report));
    lines.extend(report.warnings.iter().map(|warning| wrap("warning: ", warning)));
    lines.extend(report.assertions.iter().map(|assertion| {
        let verdict = match assertion.verdict {
            Verdict::Met => "met",
            Verdict::NotMet => "NOT MET",
            Verdict::NotAssessable => "NOT ASSESSABLE",
        };
        format!("--{} {}: {verdict} ({})", assertion.name, assertion.wanted, assertion.got)
    }));
    lines.join("\n") + "\n"
}

/// Summarises the report in one sentence: `60 s · 120,000 requests · 0 failed · longest gap 3 ms`.
pub fn headline(report: &Report) -> String {
    let requests = if report.requests == 1 { "request" } else { "requests" };
    let failed = count(report.failed);
    let gap = if report.ok == 0 {
        "no successful response".to_owned()
    } else {
        format!("longest gap {}", brief(report.outages.longest))
    };
    format!("{} · {} {requests} · {failed} failed · {gap}", brief(report.seconds), count(report.requests))
}

fn first_line(report: &Report) -> String {
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
    wrap_parts("", &parts)
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

fn latency(report: &Report) -> Option<String> {
    let latency = &report.latency;
    let [p50, p90, p95, p99, p999, max] =
        [latency.p50, latency.p90, latency.p95, latency.p99, latency.p999, latency.max].map(time);
    (latency.count > 0).then(|| {
        let names = ["p50", "p90", "p95", "p99", "p99.9", "max"];
        let values = [p50, p90, p95, p99, p999, max];
        let parts: Vec<_> = names.iter().zip(values).map(|(name, value)| format!("{name} {value}")).collect();
        wrap_parts("latency ", &parts)
    })
}

/// Medians and 99th percentiles of the phases.
fn phases(report: &Report) -> Option<String> {
    let phases = &report.phases;
    let all = [("connect", &phases.connect), ("TLS", &phases.tls), ("first byte", &phases.first_byte)];
    let shown = all.iter().filter(|(_, latency)| latency.count > 0);
    let texts: Vec<_> =
        shown.map(|(name, latency)| format!("{name} {}, {}", time(latency.p50), time(latency.p99))).collect();
    (!texts.is_empty()).then(|| wrap_parts("phases (p50, p99) ", &texts))
}

/// Table of results by URL, if there are several.
fn urls(report: &Report) -> Vec<String> {
    if report.urls.len() < 2 {
        return Vec::new();
    }
    let mut lines =
        vec![String::new(), format!("{:>9} {:>7} {:>7} {:>7}  URL", "ok", "failed", "p50", "p99")];
    for (result, target) in report.urls.iter().zip(&report.settings.urls).take(MAX_SHOWN) {
        let quantile = |seconds| if result.ok > 0 { time(seconds) } else { "–".to_owned() };
        let [p50, p99] = [result.latency.p50, result.latency.p99].map(quantile);
        let url = shorten(&target.url, URL_WIDTH);
        lines.push(format!("{:>9} {:>7} {p50:>7} {p99:>7}  {url}", count(result.ok), count(result.failed)));
    }
    lines.extend(more(report.settings.urls.len() as u64));
    lines
}

fn instances(report: &Report) -> Vec<String> {
    let widest = report.instances.iter().map(|one| short(one.name.as_deref()).chars().count()).max();
    let width = widest.unwrap_or(0).max("instance".len());
    let row = |cells: [&str; 7], mark: &str| {
        let [name, share, p50, p99, failed, first, last] = cells;
        format!("{name:<width$} {share:>7} {p50:>7} {p99:>7} {failed:>7} {first:>7} {last:>7}{mark}")
    };
    let mut lines = vec![row(["instance", "share", "p50", "p99", "failed", "first", "last"], "")];
    for one in &report.instances {
        let mark = match (one.joined, one.left) {
            (false, false) => "",
            (true, false) => " ← joined",
            (false, true) => " ← left",
            (true, true) => " ← transient",
        };
        let quantile = |seconds| if one.ok > 0 { time(seconds) } else { "–".to_owned() };
        let cells = [
            &short(one.name.as_deref()),
            &percent(one.share),
            &quantile(one.latency.p50),
            &quantile(one.latency.p99),
            &count(one.failed),
            &moment(one.first),
            &moment(one.last),
        ];
        lines.push(row(cells.map(String::as_str), mark));
    }
    let spans = report.timeline.ok.len();
    if spans > 2 {
        let seconds = report.timeline.width * float(spans.div_ceil(CHART_WIDTH) as u64);
        lines.push(String::new());
        lines.push(format!("{:<width$} successful responses per {seconds:.0} s", ""));
        lines.extend(report.instances.iter().map(|one| chart(one, width, report)));
    }
    lines.push(String::new());
    lines
}

/// Bar chart of the successful responses of an instance.
fn chart(instance: &Instance, width: usize, report: &Report) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let spans_per_bar = report.timeline.ok.len().div_ceil(CHART_WIDTH);
    let sums = |one: &Instance| {
        one.ok_over_time.chunks(spans_per_bar).map(|spans| spans.iter().sum()).collect::<Vec<u64>>()
    };
    let highest = report.instances.iter().flat_map(&sums).max().unwrap_or(0).max(1);
    let bars: String = sums(instance)
        .into_iter()
        .map(|sum| HEIGHTS[usize::try_from((sum * 8).div_ceil(highest)).unwrap_or(0).min(8)])
        .collect();
    format!("{:<width$} {}", short(instance.name.as_deref()), bars.trim_end())
}

fn evenness(report: &Report) -> Option<String> {
    let Some(even) = report.evenness else {
        let reason = report.no_evenness.as_ref().filter(|_| report.instances.len() > 1)?;
        return Some(wrap("evenness: ", &format!("not assessable, since {reason}")));
    };
    let p = if even.p < 0.0001 { "< 0.0001".to_owned() } else { format!("= {:.2}", even.p) };
    let (chi_squared, degrees) = (even.chi_squared, even.degrees);
    let of = if even.of == Choice::Connections { "of connections " } else { "" };
    Some(format!("evenness {of}χ² {chi_squared:.2} ({degrees} df), p {p} · skew {}", percent(even.imbalance)))
}

/// Statuses of all responses, unless they are all 200.
fn statuses(report: &Report) -> Option<String> {
    let mut all = report.ok_by_status.clone();
    report.failures.by_status.iter().for_each(|(status, number)| *all.entry(*status).or_default() += number);
    let list: Vec<_> = all.iter().map(|(status, number)| format!("{status} × {}", count(*number))).collect();
    all.keys().any(|status| *status != 200).then(|| wrap("statuses: ", &list.join(", ")))
}

fn outages(report: &Report) -> Vec<String> {
    let outages = &report.outages;
    if outages.count == 0 {
        return Vec::new();
    }
    let plural = if outages.count == 1 { "" } else { "s" };
    let mut lines = vec![format!(
        "{} outage{plural} of {} or more, {} in total:",
        count(outages.count),
        time(outages.threshold),
        time(outages.total)
    )];
    lines.extend(outages.listed.iter().take(MAX_SHOWN).map(|outage| {
        let length = time(outage.to - outage.from);
        format!("  {length} from {} to {}", moment(outage.from), moment(outage.to))
    }));
    lines.extend(more(outages.count));
    lines
}

fn failures(report: &Report) -> Vec<String> {
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
        lines.push(format!("failed: {}", classes.join(", ")));
    }
    if let Some(unsent) = failures.by_class.get(&ErrorClass::Unsent) {
        let share = percent(float(*unsent) / float(report.requests));
        lines.push(format!("unsent: {} requests ({share}) were due, but not sent", count(*unsent)));
    }
    lines.extend(failures.listed.iter().take(MAX_SHOWN).map(|failed| {
        let from =
            failed.instance.as_deref().map(|name| format!(" from {}", short(Some(name)))).unwrap_or_default();
        format!("  at {:.3} s: {}{from}", failed.at, failed.text)
    }));
    lines.extend(more(failures.listed.len() as u64 + failures.unlisted));
    lines
}

fn more(total: u64) -> Option<String> {
    let hidden = total.checked_sub(MAX_SHOWN as u64).filter(|hidden| *hidden > 0)?;
    Some(format!("  and {} more", count(hidden)))
}

/// The name of an instance in at most [`NAME_WIDTH`] characters, without control characters.
fn short(name: Option<&str>) -> String {
    shorten(name.unwrap_or("(unnamed)"), NAME_WIDTH)
}

/// Text in at most `width` characters, without control characters.
fn shorten(text: &str, width: usize) -> String {
    let safe = text.chars().map(|letter| if letter.is_control() { '?' } else { letter });
    let mut letters: Vec<char> = safe.collect();
    if letters.len() > width {
        letters.truncate(width - 1);
        letters.push('…');
    }
    letters.into_iter().collect()
}

/// Wraps parts, between which there are dots, after a prefix. A part stays in one line.
fn wrap_parts(prefix: &str, parts: &[String]) -> String {
    const UNBROKEN: &str = "\u{a0}";
    let parts: Vec<_> = parts.iter().map(|part| part.replace(' ', UNBROKEN)).collect();
    wrap(prefix, &parts.join(&format!("{UNBROKEN}· "))).replace(UNBROKEN, " ")
}

/// Wraps text at [`WIDTH`] columns, after a prefix. Further lines are indented.
fn wrap(prefix: &str, text: &str) -> String {
    let mut wrapped = prefix.to_owned();
    let mut column = prefix.chars().count();
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > WIDTH {
            wrapped.push_str("\n  ");
            column = 2;
        } else if index > 0 {
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
    use super::*;
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
}
