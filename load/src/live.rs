//! How load stands, on a terminal: as a screen that is drawn in place, or as a line.

use crate::figures::{brief, count, percent, rate};
use crate::printable::{self, fitted, printable};
use crate::snapshot::{Answering, Presence, Snapshot};
use crate::statistics::float;

mod line;

pub use line::{Line, Style};

/// How many failures are shown at most, beside their sums.
const FAILURES: usize = 3;

/// The narrowest that instances beside each other may be.
const ABREAST: usize = 38;

/// How it stands, in lines for a terminal that is so wide and so high: none is wider than that less one, and there is a
/// line less than it has, so that nothing wraps or scrolls.
pub fn screen(snapshot: &Snapshot, width: u16, height: u16) -> Vec<Line> {
    let (width, height) = (usize::from(width).saturating_sub(1), usize::from(height).saturating_sub(1));
    let mut lines = head(snapshot, width);
    // Instances come first: of failures their sums are enough.
    let rows = snapshot.instances.len().div_ceil((width / ABREAST).max(1));
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
        line.cut(width);
    }
    lines
}

/// How it stands, in one line.
pub fn line(snapshot: &Snapshot) -> String {
    let present = snapshot.instances.iter().filter(|one| !matches!(one.presence, Presence::Left(_))).count();
    let p99 = snapshot.p99.last().copied().unwrap_or(0.0);
    let gap = match snapshot.gap {
        Some(gap) => format!("no good answer for {}", brief(gap)),
        None => format!("longest gap {}", brief(snapshot.longest_gap)),
    };
    format!(
        "{:.1} s · {} · {} ok · {} failed · {} late · p50 {} · p99 {} · {gap} · {present} of {} instances there",
        snapshot.elapsed,
        rate(snapshot.rate()),
        count(snapshot.ok),
        count(snapshot.failed),
        count(snapshot.late),
        brief(snapshot.p50),
        brief(p99),
        snapshot.instances.len(),
    )
}

/// What there is to say of all instances together.
fn head(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    let mut done = format!("{:.1} s", snapshot.elapsed);
    if let Some(duration) = snapshot.duration {
        done.extend([" of ", &brief(duration)]);
    }
    if let (sent, Some(requests)) = snapshot.requests {
        done.extend([" · ", &count(sent), " of ", &count(requests), " requests"]);
    }
    let mut now = rate(snapshot.rate());
    if let Some(asked) = snapshot.asked_rate {
        now.extend([" of ", &rate(asked)]);
    }
    let title = Line::new().with(Style::Bold, done).right(Style::Plain, now, width);

    let failed = if snapshot.failed > 0 { Style::Bad } else { Style::Soft };
    let late = if snapshot.late > 0 { Style::Warn } else { Style::Soft };
    let sums = Line::new()
        .with(Style::Plain, format!("{} ok", count(snapshot.ok)))
        .with(Style::Soft, " · ")
        .with(failed, format!("{} failed", count(snapshot.failed)))
        .with(Style::Soft, " · ")
        .with(late, format!("{} late", count(snapshot.late)));
    let gap = match snapshot.gap {
        Some(gap) => (Style::Bad, format!("no good answer for {}", brief(gap))),
        None => (Style::Soft, format!("longest gap {}", brief(snapshot.longest_gap))),
    };

    let mut lines = vec![title];
    lines.extend(snapshot.progress().map(|progress| bar_of_progress(progress, width)));
    if sums.width() + 2 + Line::new().with(gap.0, &gap.1).width() <= width {
        lines.push(sums.right(gap.0, gap.1, width));
    } else {
        lines.extend([sums, Line::new().with(gap.0, gap.1)]);
    }
    let highest = snapshot.rates.iter().copied().fold(0.0, f64::max);
    lines.push(course("rate", &snapshot.rates, &format!("≤ {}", rate(highest)), width));
    let p99 = snapshot.p99.last().copied().unwrap_or(0.0);
    let latency =
        if width < 60 { brief(p99) } else { format!("p50 {} · p99 {}", brief(snapshot.p50), brief(p99)) };
    lines.push(course("p99", &snapshot.p99, &latency, width));
    lines
}

fn bar_of_progress(progress: f64, width: usize) -> Line {
    let done = portion(progress, width);
    Line::new().with(Style::Good, "━".repeat(done)).with(Style::Soft, "─".repeat(width - done))
}

/// The latest figures as heights, after what they are called and before what they come to.
fn course(name: &str, figures: &[f64], words: &str, width: usize) -> Line {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let begin = Line::new().with(Style::Soft, format!("{name:<5}"));
    let room = width.saturating_sub(begin.width() + 1 + Line::new().with(Style::Plain, words).width());
    let shown = &figures[figures.len().saturating_sub(room)..];
    let highest = shown.iter().copied().fold(0.0, f64::max);
    let height = |figure: &f64| {
        if *figure > 0.0 { HEIGHTS[portion(figure / highest, 7)] } else { ' ' }
    };
    begin.with(Style::Bar(0), shown.iter().map(height).collect::<String>()).right(
        Style::Plain,
        words.to_owned(),
        width,
    )
}

/// What all instances have in common.
struct All {
    /// The width of the widest name.
    widest: usize,
    /// The highest share.
    highest: f64,
    /// Whether any has answered badly.
    failed: bool,
}

/// As many instances as there is room for, beside each other where they are many; the others as a sum.
fn instances(instances: &[Answering], width: usize, height: usize) -> Vec<Line> {
    let place = |one: &Answering| instances.iter().position(|other| std::ptr::eq(one, other)).unwrap_or(0);
    if height == 0 {
        return Vec::new();
    }
    let abreast = instances.len().div_ceil(height).clamp(1, (width / ABREAST).max(1));
    let mut shown: Vec<&Answering> = instances.iter().collect();
    let mut hidden = Vec::new();
    if shown.len() > height * abreast {
        // Whoever has left goes first, and of the others whoever came last.
        shown.sort_by_key(|one| matches!(one.presence, Presence::Left(_)));
        hidden = shown.split_off((height - 1) * abreast);
        shown.sort_by_key(|one| place(one));
    }
    let each = (width + 2) / abreast - 2;
    let all = All {
        widest: instances.iter().map(|one| printable::width(&name(one))).max().unwrap_or(0),
        highest: instances.iter().map(|one| one.share).fold(0.0, f64::max),
        failed: instances.iter().any(|one| one.failed > 0),
    };
    let rows = shown.len().div_ceil(abreast);
    let mut lines: Vec<Line> = (0..rows)
        .map(|row| {
            let mut line = Line::new();
            for column in 0..abreast {
                // Downwards first, as a list is read.
                let Some(one) = shown.get(column * rows + row) else { continue };
                line.fill(column * (each + 2));
                line.append(instance(one, place(one), each, &all));
            }
            line
        })
        .collect();
    if !hidden.is_empty() {
        let share = hidden.iter().map(|one| one.share).sum();
        let words = format!("  and {} more, {}", count(hidden.len() as u64), percent(share));
        lines.push(Line::new().with(Style::Soft, words));
    }
    lines
}

fn name(one: &Answering) -> String {
    printable(one.name.as_deref().unwrap_or("(no name)"))
}

/// A line for one of them: whether it is there, its name, its share as a bar and as a figure, and more where there is room.
fn instance(one: &Answering, place: usize, width: usize, all: &All) -> Line {
    let (sign, style) = match one.presence {
        Presence::There => ('●', Style::Bar(place)),
        Presence::JustCame(_) => ('+', Style::Good),
        Presence::Left(_) => ('–', Style::Soft),
    };
    let named = all.widest.min(width * 3 / 8).max(4);
    let mut end = Line::new();
    if let Presence::Left(ago) = one.presence {
        end = end.with(Style::Soft, format!("left {} ago", brief(rounded(ago))));
    } else {
        end = end.with(Style::Plain, format!("{:>8}", percent(one.share)));
        if width >= 56 {
            end = end
                .with(Style::Soft, format!("{:>9}{:>13}", rate(one.rate), format!("p99 {}", brief(one.p99))));
        }
    }
    if width >= 66 && all.failed {
        let failed = if one.failed > 0 { format!("{:>6} ✕", count(one.failed)) } else { " ".repeat(8) };
        end = end.with(Style::Bad, failed);
    }
    let mut line = Line::new()
        .with(style, format!("{sign} "))
        .with(Style::Plain, fitted(&name(one), named))
        .with(Style::Plain, " ");
    let room = width.saturating_sub(line.width() + end.width());
    if let Presence::JustCame(ago) = one.presence
        && width >= 56
    {
        let words = format!(" joined {} ago", brief(rounded(ago)));
        line = line.with(Style::Bar(place), bar(one.share, all.highest, room.saturating_sub(words.len())));
        line = line.with(Style::Good, words);
    } else {
        line = line.with(Style::Bar(place), bar(one.share, all.highest, room));
    }
    line.fill(width.saturating_sub(end.width()));
    line.append(end);
    line
}

/// A part of the highest, in eighths of a column.
fn bar(share: f64, highest: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = portion(if highest > 0.0 { share / highest } else { 0.0 }, room * 8);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Sums, and the latest of them, each in a line that is cut where it does not fit.
fn failures(snapshot: &Snapshot, room: usize) -> Vec<Line> {
    if snapshot.failed == 0 {
        return Vec::new();
    }
    let classes: Vec<_> = snapshot
        .by_class
        .iter()
        .map(|(class, number)| format!("{} {}", class.name(), count(*number)))
        .collect();
    let mut lines =
        vec![Line::new(), Line::new().with(Style::Bad, format!("failed  {}", classes.join(" · ")))];
    let latest = &snapshot.failures[snapshot.failures.len().saturating_sub(room.min(FAILURES))..];
    lines.extend(latest.iter().map(|failed| {
        let by =
            failed.instance.as_deref().map(|name| format!(" from {}", printable(name))).unwrap_or_default();
        Line::new()
            .with(Style::Soft, format!("{:>9.3} s  ", failed.at))
            .with(Style::Plain, printable(&failed.text) + &by)
    }));
    lines
}

/// Whole seconds, once there are some.
fn rounded(seconds: f64) -> f64 {
    if seconds < 1.0 { (seconds * 10.0).round() / 10.0 } else { seconds.round() }
}

/// A part of `all`, as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to `all`")]
fn portion(part: f64, all: usize) -> usize {
    (part.clamp(0.0, 1.0) * float(all as u64)).round() as usize
}

#[cfg(test)]
mod tests;
