//! The report as text, of at most 80 columns.

use std::fmt::Write;

use crate::figures::{count, moment, percent, rate, time};
use crate::headline::headline;
use crate::report::{Ended, Instance, Report};
use crate::statistics::float;

/// The widest that a name may be.
const NAME: usize = 20;

/// The widest that a course may be.
const COURSE: usize = 56;

/// How many gaps and failures are shown.
const SHOWN: usize = 10;

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut lines = vec![first(report)];
    lines.extend(latency(report));
    if !report.instances.is_empty() {
        lines.push(String::new());
        lines.extend(instances(report));
    }
    lines.extend(evenness(report));
    lines.extend(report.handovers.iter().map(|handover| {
        let how = if handover.overlap < 0.0 { "nobody of the two for" } else { "overlap" };
        format!(
            "handover {} → {}: {} → {} ({how} {})",
            short(handover.left.as_deref()),
            short(handover.joined.as_deref()),
            moment(handover.left_at),
            moment(handover.joined_at),
            time(handover.overlap.abs())
        )
    }));
    lines.extend(gaps(report));
    lines.extend(failures(report));
    lines.extend(report.warnings.iter().map(|warning| wrapped("warning: ", warning)));
    lines.extend(report.demands.iter().map(|demand| {
        let verdict = if demand.met { "met" } else { "NOT MET" };
        format!("--{} {}: {}: {verdict}", demand.name, demand.wanted, demand.got)
    }));
    lines.join("\n") + "\n"
}

/// What there is to say first, how fast it was, and whether it was ended.
fn first(report: &Report) -> String {
    let mut parts = vec![headline(report), rate(report.rate)];
    if report.abandoned > 0 {
        parts.push(format!("{} abandoned", count(report.abandoned)));
    }
    match report.ended {
        Ended::Interrupted => parts.push("interrupted".to_owned()),
        Ended::Running => parts.push("still running".to_owned()),
        Ended::Duration | Ended::Requests => {}
    }
    wrapped("", &parts.join(" · "))
}

fn latency(report: &Report) -> Option<String> {
    let latency = &report.latency;
    let [p50, p90, p99, p999, max] =
        [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(time);
    (latency.count > 0)
        .then(|| format!("latency p50 {p50} · p90 {p90} · p99 {p99} · p99.9 {p999} · max {max}"))
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
            (true, true) => " ← guest",
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
    if report.timeline.ok.len() > 2 {
        lines.push(String::new());
        lines.push(format!("{:<width$} good answers over time, {}", "", span(report)));
        lines.extend(report.instances.iter().map(|one| course(one, width, report)));
    }
    lines.push(String::new());
    lines
}

fn span(report: &Report) -> String {
    let together = report.timeline.ok.len().div_ceil(COURSE);
    let seconds = report.timeline.width * float(together as u64);
    format!("{seconds:.0} s each")
}

/// How often an instance answered well over time, as heights.
fn course(instance: &Instance, width: usize, report: &Report) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let together = report.timeline.ok.len().div_ceil(COURSE);
    let sums = |one: &Instance| {
        one.ok_over_time.chunks(together).map(|spans| spans.iter().sum()).collect::<Vec<u64>>()
    };
    let highest = report.instances.iter().flat_map(&sums).max().unwrap_or(0).max(1);
    let heights: String = sums(instance)
        .into_iter()
        .map(|sum| HEIGHTS[usize::try_from((sum * 8).div_ceil(highest)).unwrap_or(0).min(8)])
        .collect();
    format!("{:<width$} {}", short(instance.name.as_deref()), heights.trim_end())
}

fn evenness(report: &Report) -> Option<String> {
    let even = report.evenness?;
    let p = if even.p < 0.0001 { "< 0.0001".to_owned() } else { format!("= {:.2}", even.p) };
    let (chi_squared, degrees) = (even.chi_squared, even.degrees);
    Some(format!("evenness χ² {chi_squared:.2} ({degrees} df), p {p} · skew {}", percent(even.skew)))
}

fn gaps(report: &Report) -> Vec<String> {
    let gaps = &report.gaps;
    if gaps.count == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "{} of {} or more, {} in all:",
        plural(gaps.count, "gap"),
        time(gaps.threshold),
        time(gaps.total)
    )];
    lines.extend(
        gaps.listed.iter().take(SHOWN).map(|gap| {
            format!("  {} from {} to {}", time(gap.to - gap.from), moment(gap.from), moment(gap.to))
        }),
    );
    lines.extend(more(gaps.count));
    lines
}

fn failures(report: &Report) -> Vec<String> {
    let failures = &report.failures;
    if report.failed == 0 {
        return Vec::new();
    }
    let classes: Vec<_> = failures
        .by_class
        .iter()
        .map(|(class, number)| format!("{} {}", count(*number), class.name()))
        .collect();
    let mut lines = vec![format!("failed: {}", classes.join(", "))];
    lines.extend(failures.listed.iter().take(SHOWN).map(|failed| {
        let by =
            failed.instance.as_deref().map(|name| format!(" from {}", short(Some(name)))).unwrap_or_default();
        format!("  at {:.3} s: {}{by}", failed.at, failed.text)
    }));
    lines.extend(more(report.failed));
    lines
}

fn more(all: u64) -> Option<String> {
    let hidden = all.checked_sub(SHOWN as u64).filter(|hidden| *hidden > 0)?;
    Some(format!("  and {} more", count(hidden)))
}

/// A name that fits.
fn short(name: Option<&str>) -> String {
    let name = name.unwrap_or("(unnamed)");
    // What would move the cursor is no part of a name.
    let mut letters: Vec<char> =
        name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    if letters.len() > NAME {
        letters.truncate(NAME - 1);
        letters.push('…');
    }
    letters.into_iter().collect()
}

fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Text in lines of 80 columns.
fn wrapped(begin: &str, text: &str) -> String {
    let mut wrapped = begin.to_owned();
    let mut column = begin.chars().count();
    for (place, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if place > 0 && column + 1 + length > 80 {
            wrapped.push_str("\n  ");
            column = 2;
        } else if place > 0 {
            wrapped.push(' ');
            column += 1;
        }
        // Into a string it never fails.
        let _ = write!(wrapped, "{word}");
        column += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn the_first_line_says_how_fast_it_was_and_whether_it_was_ended() {
        let first_line = |report: &Report| text(report).lines().next().unwrap_or_default().to_owned();
        let mut report = sample();
        let sentence = headline(&report);
        assert_eq!(first_line(&report), format!("{sentence} · 2,000/s"));
        report.ended = Ended::Interrupted;
        assert_eq!(first_line(&report), format!("{sentence} · 2,000/s · interrupted"));
        // As long as it may be on a terminal, and the rest in the next line.
        report.abandoned = 1234;
        assert_eq!(first_line(&report), format!("{sentence} · 2,000/s · 1,234"));
        assert!(text(&report).contains("\n  abandoned · interrupted\n"));
    }
}
