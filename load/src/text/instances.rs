//! Table of instances, and charts of their successful responses.

use super::{NAME_WIDTH, WIDTH};
use crate::format::{count, moment, percent, rest, time};
use crate::printable::{fit, shorten, width};
use crate::report::{Instance, Report};
use crate::statistics::float;

/// Maximum number of instances that are shown.
const MAX_SHOWN: usize = 20;

/// Maximum width of a chart over time.
const CHART_WIDTH: usize = 56;

/// Formats all instances. Those without room are summed up.
pub(super) fn instances(report: &Report, columns: usize) -> Vec<String> {
    let (shown, hidden) = select(&report.instances);
    let is_wide = columns >= WIDTH;
    let layout = Layout {
        is_wide,
        name: shown
            .iter()
            .map(|one| width(&shorten(name(one), NAME_WIDTH)))
            .max()
            .unwrap_or(0)
            .max("instance".len())
            .min(if is_wide { NAME_WIDTH } else { columns - NARROW_FIGURES }),
    };
    let mut lines = vec![layout.row("instance", ["share", "p50", "p99", "failed", "first", "last"], ' ', "")];
    lines.extend(shown.iter().map(|one| layout.instance(one)));
    if !hidden.is_empty() {
        let failed = hidden.iter().map(|one| one.failed).sum();
        lines.push(rest(hidden.iter().map(|one| one.share), failed));
    }
    let spans = report.timeline.ok.len();
    if spans > 2 {
        let bars = CHART_WIDTH.min(columns - layout.name - 1);
        let per_bar = spans.div_ceil(bars);
        let seconds = report.timeline.width * float(per_bar as u64);
        let heading = format!("successful responses per {seconds:.0} s");
        let indent = (layout.name + 1).min(columns - heading.len());
        lines.extend([String::new(), " ".repeat(indent) + &heading]);
        lines.extend(charts(&shown, per_bar, layout.name));
    }
    lines.push(String::new());
    lines
}

/// Selects the instances that are shown: all, or first those with failures and those that joined or left. Returns the others
/// as well.
fn select(instances: &[Instance]) -> (Vec<&Instance>, Vec<&Instance>) {
    let mut order: Vec<_> = (0..instances.len()).collect();
    order.sort_by_key(|index| {
        let one = &instances[*index];
        !(one.failed > 0 || one.joined || one.left)
    });
    let (shown, hidden) = order.split_at_mut(instances.len().min(MAX_SHOWN));
    [shown, hidden]
        .map(|part| {
            part.sort_unstable();
            part.iter().map(|index| &instances[*index]).collect()
        })
        .into()
}

fn name(one: &Instance) -> &str {
    one.name.as_deref().unwrap_or("(unnamed)")
}

/// Width of a row of a narrow table without the name.
const NARROW_FIGURES: usize = 2 + 3 * 8;

/// Layout of the table.
struct Layout {
    /// Whether there is room for all figures.
    is_wide: bool,
    /// Width of the names.
    name: usize,
}

impl Layout {
    fn row(&self, name: &str, figures: [&str; 6], sign: char, mark: &str) -> String {
        let name = fit(name, self.name);
        let [share, p50, p99, failed, first, last] = figures;
        if self.is_wide {
            format!("{name} {share:>7} {p50:>7} {p99:>7} {failed:>7} {first:>7} {last:>7}{mark}")
        } else {
            format!("{sign} {name} {share:>7} {p99:>7} {failed:>7}")
        }
    }

    fn instance(&self, one: &Instance) -> String {
        // A narrow table has the signs of the live view.
        let (sign, mark) = match (one.joined, one.left) {
            (false, false) => (' ', ""),
            (true, false) => ('+', " ← joined"),
            (false, true) => ('–', " ← left"),
            (true, true) => ('±', " ← transient"),
        };
        let quantile = |seconds| if one.ok > 0 { time(seconds) } else { "–".to_owned() };
        let figures = [
            &percent(one.share),
            &quantile(one.latency.p50),
            &quantile(one.latency.p99),
            &count(one.failed),
            &moment(one.first),
            &moment(one.last),
        ];
        self.row(name(one), figures.map(String::as_str), sign, mark)
    }
}

/// Bar charts of successful responses, all to the same scale.
fn charts(instances: &[&Instance], spans_per_bar: usize, name_width: usize) -> Vec<String> {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let sums = |one: &Instance| {
        one.ok_over_time.chunks(spans_per_bar).map(|spans| spans.iter().sum()).collect::<Vec<u64>>()
    };
    let highest = instances.iter().flat_map(|one| sums(one)).max().unwrap_or(0).max(1);
    let bar = |sum: u64| HEIGHTS[usize::try_from((sum * 8).div_ceil(highest)).unwrap_or(0).min(8)];
    let chart = |one: &&Instance| {
        let bars: String = sums(one).into_iter().map(bar).collect();
        format!("{} {}", fit(name(one), name_width), bars).trim_end().to_owned()
    };
    instances.iter().map(chart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;
    use crate::text::text_within;

    /// A report with this number of instances.
    fn many(number: u32) -> Report {
        let mut report = sample();
        let one = report.instances[0].clone();
        let instance = |index: u32| Instance {
            name: Some(format!("ping.{index}@worker")),
            share: f64::from(1000 + index) / 100_000.0,
            ..one.clone()
        };
        report.instances = (0..number).map(instance).collect();
        report
    }

    #[test]
    fn more_than_twenty_instances_are_summed_up() {
        assert!(!text_within(&many(20), 80).contains(" more: "));
        let mut report = many(55);
        for columns in [40, 80] {
            let text = text_within(&report, columns);
            assert!(text.contains("\nand 35 more: 1.0 % to 1.1 % each\n"), "{text}");
            assert_eq!(text.matches("ping.").count(), 40, "in the table and in the chart: {text}");
        }
        // Instances with events are shown first, in the order of the report.
        report.instances[50].joined = true;
        report.instances[52].failed = 3;
        let text = text_within(&report, 80);
        let (before, after) = text.split_once("ping.50@worker").unwrap();
        assert!(before.contains("ping.17@worker") && !text.contains("ping.18@worker"), "{text}");
        assert!(after.contains("ping.52@worker") && text.contains("and 35 more: "), "{text}");
    }

    #[test]
    fn columns_are_aligned_for_any_name() {
        let mut report = many(4);
        let names = [
            "名前の長いサービス.1@ホスト",
            "a-service-with-a-long-name.2@worker-17",
            "x\u{202e}\u{200b}y",
            "p",
        ];
        for (one, name) in report.instances.iter_mut().zip(names) {
            one.name = Some(name.to_owned());
        }
        let text = text_within(&report, 80);
        let rows: Vec<_> = text.lines().filter(|line| line.contains(" % ")).collect();
        assert_eq!(rows.len(), 4, "{text}");
        for row in &rows {
            assert_eq!(width(row), width(rows[0]), "{text}");
        }
        assert!(rows[1].starts_with("a-service-…worker-17 "), "{text}");
        assert!(rows[2].starts_with("x\u{fffd}\u{fffd}y "), "{text}");
    }
}
