//! The live view as lines of text.

use super::line::{Line, Style};
use super::snapshot::{Activity, InstanceState, Snapshot};
use crate::format::{brief, count, percent, rate, rest};
use crate::printable::{fit, printable, width};
use crate::statistics::float;

/// Maximum number of failures that are shown.
const MAX_FAILURES: usize = 3;

/// Minimum width of a column of instances.
const COLUMN_WIDTH: usize = 38;

/// Draws a snapshot for a terminal of this size. All lines are narrower than the terminal and there are fewer lines than
/// rows, so that nothing wraps or scrolls.
pub(super) fn screen(snapshot: &Snapshot, width: u16, height: u16) -> Vec<Line> {
    let (width, height) = (usize::from(width).saturating_sub(1), usize::from(height).saturating_sub(1));
    let mut lines = head(snapshot, width);
    // Instances take precedence over failures.
    let rows = snapshot.instances.len().div_ceil((width / COLUMN_WIDTH).max(1));
    let failures = failures(snapshot, height.saturating_sub(lines.len() + 1 + rows + 2));
    let left = height.saturating_sub(lines.len() + 1 + failures.len());
    let instances = instances(&snapshot.instances, width, left);
    if !instances.is_empty() {
        lines.push(Line::new());
        lines.extend(instances);
    }
    lines.extend(failures);
    lines.truncate(height);
    for line in &mut lines {
        line.truncate(width);
    }
    lines
}

/// Formats a snapshot as a single line.
pub(super) fn status_line(snapshot: &Snapshot) -> String {
    let active = snapshot.instances.iter().filter(|one| !matches!(one.activity, Activity::Left(_))).count();
    format!(
        "{:.1} s · {} · {} ok · {} failed · {} late · p50 {} · p99 {} · {} · {active} of {} instances active",
        snapshot.elapsed,
        rate(snapshot.rate()),
        count(snapshot.ok),
        count(snapshot.failed),
        count(snapshot.late),
        brief(snapshot.p50),
        brief(last(&snapshot.p99)),
        gap(snapshot),
        snapshot.instances.len(),
    )
}

fn gap(snapshot: &Snapshot) -> String {
    match snapshot.outage {
        Some(outage) => format!("outage for {}", brief(outage)),
        None => format!("longest gap {}", brief(snapshot.longest_gap)),
    }
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(0.0)
}

/// Draws the figures of all instances together.
fn head(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    let mut done = format!("{:.1} s", snapshot.elapsed);
    if let Some(duration) = snapshot.duration {
        done.extend([" of ", &brief(duration)]);
    }
    if let Some(requests) = snapshot.max_requests {
        done.extend([" · ", &count(snapshot.requests), " of ", &count(requests), " requests"]);
    }
    let mut current = rate(snapshot.rate());
    if let Some(target) = snapshot.target_rate {
        current.extend([" of ", &rate(target)]);
    }
    let mut lines = vec![Line::new().with(Style::Bold, done).right(Style::Plain, current, width)];
    lines.extend(snapshot.progress().map(|progress| {
        let done = part(progress, width);
        Line::new().with(Style::Good, "━".repeat(done)).with(Style::Dim, "─".repeat(width - done))
    }));

    let failed = if snapshot.failed > 0 { Style::Bad } else { Style::Dim };
    let late = if snapshot.late > 0 { Style::Warn } else { Style::Dim };
    let sums = Line::new()
        .with(Style::Plain, format!("{} ok", count(snapshot.ok)))
        .with(Style::Dim, " · ")
        .with(failed, format!("{} failed", count(snapshot.failed)))
        .with(Style::Dim, " · ")
        .with(late, format!("{} late", count(snapshot.late)));
    let gap_style = if snapshot.outage.is_some() { Style::Bad } else { Style::Dim };
    let gap = Line::new().with(gap_style, gap(snapshot));
    if sums.width() + 2 + gap.width() <= width {
        lines.push(sums.right(gap_style, gap.text(), width));
    } else {
        lines.extend([sums, gap]);
    }

    let highest = snapshot.rates.iter().copied().fold(0.0, f64::max);
    let highest = if highest > 0.0 { format!("≤ {}", rate(highest)) } else { "no response".to_owned() };
    lines.push(sparkline("rate", &snapshot.rates, highest, width));
    let p99 = brief(last(&snapshot.p99));
    let latency = if width < 60 { p99 } else { format!("p50 {} · p99 {p99}", brief(snapshot.p50)) };
    lines.push(sparkline("p99", &snapshot.p99, latency, width));
    lines
}

/// Draws the latest values as bars, between a name and a label.
fn sparkline(name: &str, values: &[f64], label: String, columns: usize) -> Line {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let name = Line::new().with(Style::Dim, format!("{name:<5}"));
    let room = columns.saturating_sub(name.width() + 1 + width(&label));
    let shown = &values[values.len().saturating_sub(room)..];
    let highest = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| if *value > 0.0 { HEIGHTS[part(value / highest, 7)] } else { ' ' };
    let bars: String = shown.iter().map(bar).collect();
    name.with(Style::Bar(0), bars).right(Style::Plain, label, columns)
}

/// Layout that all instances share.
struct Layout {
    /// Width of the widest name.
    name_width: usize,
    /// Highest share.
    highest_share: f64,
    /// Whether any instance has failed requests.
    has_failures: bool,
}

/// Draws instances, in several columns if they are many. Those without room are summed up.
fn instances(instances: &[InstanceState], width: usize, height: usize) -> Vec<Line> {
    if height == 0 {
        return Vec::new();
    }
    let columns = instances.len().div_ceil(height).clamp(1, (width / COLUMN_WIDTH).max(1));
    let mut shown: Vec<(usize, &InstanceState)> = instances.iter().enumerate().collect();
    let mut hidden = Vec::new();
    if shown.len() > height * columns {
        // Instances that left are hidden first, then those that joined last.
        shown.sort_by_key(|(_, one)| matches!(one.activity, Activity::Left(_)));
        hidden = shown.split_off((height - 1) * columns);
        shown.sort_by_key(|(index, _)| *index);
    }
    let column_width = (width + 2) / columns - 2;
    let layout = Layout {
        name_width: instances.iter().map(|one| crate::printable::width(&name(one))).max().unwrap_or(0),
        highest_share: instances.iter().map(|one| one.share).fold(0.0, f64::max),
        has_failures: instances.iter().any(|one| one.failed > 0),
    };
    let rows = shown.len().div_ceil(columns);
    let row = |row| {
        let mut line = Line::new();
        for column in 0..columns {
            let Some(&(index, one)) = shown.get(column * rows + row) else { continue };
            line.pad(column * (column_width + 2));
            line.append(instance(one, index, column_width, &layout));
        }
        line
    };
    let mut lines: Vec<Line> = (0..rows).map(row).collect();
    if !hidden.is_empty() {
        let failed = hidden.iter().map(|(_, one)| one.failed).sum();
        let text = rest(hidden.iter().map(|(_, one)| one.share), failed);
        lines.push(Line::new().with(Style::Dim, format!("  {text}")));
    }
    lines
}

fn name(one: &InstanceState) -> String {
    printable(one.name.as_deref().unwrap_or("(no name)"))
}

/// Draws an instance: activity, name, share as a bar and as a number, and more if there is room.
fn instance(one: &InstanceState, index: usize, width: usize, layout: &Layout) -> Line {
    let (sign, style) = match one.activity {
        Activity::Active => ('●', Style::Bar(index)),
        Activity::Joined(_) => ('+', Style::Good),
        Activity::Left(_) => ('–', Style::Dim),
    };
    let name_width = layout.name_width.min(width * 3 / 8).max(4);
    let mut end = Line::new();
    if let Activity::Left(ago) = one.activity {
        end = end.with(Style::Dim, format!("left {} ago", brief(rounded(ago))));
    } else {
        end = end.with(Style::Plain, format!("{:>8}", percent(one.share)));
        if width >= 56 {
            let p99 = format!("p99 {}", brief(one.p99));
            end = end.with(Style::Dim, format!("{:>9}{p99:>13}", rate(one.rate)));
        }
    }
    if width >= 66 && layout.has_failures {
        let failed = if one.failed > 0 { format!("{:>6} ✕", count(one.failed)) } else { " ".repeat(8) };
        end = end.with(Style::Bad, failed);
    }
    let mut line = Line::new()
        .with(style, format!("{sign} "))
        .with(Style::Plain, fit(&name(one), name_width))
        .with(Style::Plain, " ");
    let room = width.saturating_sub(line.width() + end.width());
    let joined = match one.activity {
        Activity::Joined(ago) if width >= 56 => format!(" joined {} ago", brief(rounded(ago))),
        _ => String::new(),
    };
    line = line
        .with(Style::Bar(index), bar(one.share, layout.highest_share, room.saturating_sub(joined.len())))
        .with(Style::Good, joined);
    line.pad(width.saturating_sub(end.width()));
    line.append(end);
    line
}

/// Horizontal bar in eighths of a column, relative to the highest share.
fn bar(share: f64, highest: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = part(if highest > 0.0 { share / highest } else { 0.0 }, room * 8);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Draws the number of failures by class and the latest failures.
fn failures(snapshot: &Snapshot, room: usize) -> Vec<Line> {
    if snapshot.failed == 0 {
        return Vec::new();
    }
    let classes = snapshot.by_class.iter();
    let classes: Vec<_> =
        classes.map(|(class, number)| format!("{} {}", class.name(), count(*number))).collect();
    let mut lines =
        vec![Line::new(), Line::new().with(Style::Bad, format!("failed  {}", classes.join(" · ")))];
    let latest = &snapshot.failures[snapshot.failures.len().saturating_sub(room.min(MAX_FAILURES))..];
    lines.extend(latest.iter().map(|failed| {
        let from =
            failed.instance.as_deref().map(|name| format!(" from {}", printable(name))).unwrap_or_default();
        Line::new()
            .with(Style::Dim, format!("{:>9.3} s  ", failed.at))
            .with(Style::Plain, printable(&failed.text) + &from)
    }));
    lines
}

/// Rounds to whole seconds, or to tenths below one second.
fn rounded(seconds: f64) -> f64 {
    if seconds < 1.0 { (seconds * 10.0).round() / 10.0 } else { seconds.round() }
}

/// Fraction of `whole`, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to `whole`")]
fn part(fraction: f64, whole: usize) -> usize {
    (fraction.clamp(0.0, 1.0) * float(whole as u64)).round() as usize
}

#[cfg(test)]
mod tests;
