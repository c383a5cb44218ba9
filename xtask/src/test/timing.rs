//! The table at the end of a test run: where the time went.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// Number of slowest tests to show.
const SLOWEST: usize = 10;

/// The kernel's clock ticks per second, as `/proc` counts them on every architecture.
const TICKS: u64 = 100;

pub(super) struct Timing {
    steps: Vec<StepTime>,
    tests: Vec<TestTime>,
    /// Wall clock and processor time at the end of the last step.
    last: (Instant, Duration),
}

struct StepTime {
    name: String,
    elapsed: Duration,
    processor: Duration,
}

/// The time that one test took.
pub(super) struct TestTime {
    name: String,
    elapsed: Duration,
}

impl Timing {
    pub(super) fn start() -> Self {
        Self { steps: Vec::new(), tests: Vec::new(), last: (Instant::now(), processor_time()) }
    }

    /// Records a step that began when the previous one ended.
    pub(super) fn finish(&mut self, name: String) {
        let now = (Instant::now(), processor_time());
        let (elapsed, processor) = (now.0 - self.last.0, now.1.saturating_sub(self.last.1));
        self.last = now;
        self.steps.push(StepTime { name, elapsed, processor });
    }

    pub(super) fn add_tests(&mut self, tests: Vec<TestTime>) {
        self.tests.extend(tests);
        self.tests.sort_by_key(|test| std::cmp::Reverse(test.elapsed));
        self.tests.truncate(SLOWEST);
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, elapsed: Duration, processor: Duration| {
            writeln!(f, "{name:<16} {:>8.1} s {:>8.1} s", elapsed.as_secs_f64(), processor.as_secs_f64())
        };
        writeln!(f, "\n{:<16} {:>10} {:>10}", "step", "elapsed", "processor")?;
        for step in &self.steps {
            row(f, &step.name, step.elapsed, step.processor)?;
        }
        let elapsed = self.steps.iter().map(|step| step.elapsed).sum();
        row(f, "all", elapsed, self.steps.iter().map(|step| step.processor).sum())?;
        if !self.tests.is_empty() {
            writeln!(f, "\nslowest tests")?;
        }
        self.tests
            .iter()
            .try_for_each(|test| writeln!(f, "{:>8.1} s  {}", test.elapsed.as_secs_f64(), test.name))
    }
}

impl TestTime {
    /// Parses a line of libtest's log, such as `ok labels::a_typo_is_reported <1.234s>`.
    pub(super) fn parse(line: &str, program: &str) -> Option<Self> {
        let (rest, time) = line.strip_suffix("s>")?.rsplit_once(" <")?;
        let name = rest.rsplit(' ').next()?;
        let elapsed = Duration::try_from_secs_f64(time.parse().ok()?).ok()?;
        Some(Self { name: format!("{program} {name}"), elapsed })
    }
}

/// Processor time of all child processes that have ended, and of theirs.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may contain spaces.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slowest_tests_come_first() {
        let mut timing = Timing::start();
        for (name, time) in [("quick", "0.010"), ("slow", "12.500")] {
            let line = format!("ok area::{name} <{time}s>");
            timing.add_tests(TestTime::parse(&line, "tests (it)").into_iter().collect());
        }
        timing.finish("unit".to_owned());
        let table = timing.to_string();
        let slow = table.find("    12.5 s  tests (it) area::slow\n").unwrap();
        assert!(table.find("0.0 s  tests (it) area::quick\n").unwrap() > slow, "{table}");
        assert!(table.contains("\nunit "), "{table}");
    }

    #[test]
    fn processor_time_includes_child_processes() {
        let before = processor_time();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"]);
        assert!(shell.status().unwrap().success());
        assert!(processor_time() > before);
    }
}
