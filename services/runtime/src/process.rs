//! Metrics of the process, under the names that Prometheus' client libraries use. What the system does not tell is left out.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::exposition::metric;

/// Appends the metrics.
#[expect(clippy::cast_precision_loss, reason = "seconds since the start of a process")]
pub(crate) fn render(out: &mut String) {
    if let Some((ticks, bytes, pages)) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(parse)
    {
        let seconds = ticks as f64 / clock_ticks_per_second() as f64;
        metric(out, "process_cpu_seconds_total", "counter", "Processor time, of user and system.", seconds);
        metric(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", bytes);
        let resident = pages * page_size() as u64;
        metric(out, "process_resident_memory_bytes", "gauge", "Resident memory.", resident);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is that of the directory.
        let open = descriptors.count().saturating_sub(1);
        metric(out, "process_open_fds", "gauge", "Open file descriptors.", open);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        metric(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.", max);
    }
}

/// Returns processor time in ticks, virtual memory in bytes and resident memory in pages.
fn parse(stat: &str) -> Option<(u64, u64, u64)> {
    // The name of the program may contain spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut numbers = fields.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let (user, system) = (numbers.nth(11)??, numbers.next()??);
    let (bytes, pages) = (numbers.nth(7)??, numbers.next()??);
    Some((user + system, bytes, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_any_program_name_is_parsed() {
        let stat = "7 (a) b) S 1 2 3 0 -1 4194560 100 0 0 0 40 2 0 0 20 0 1 0 99 12288000 250 18446744073709551615 1";
        assert_eq!(parse(stat), Some((42, 12_288_000, 250)));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn this_process_has_all_metrics() {
        let mut text = String::new();
        render(&mut text);
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        for name in ["process_virtual_memory_bytes", "process_resident_memory_bytes", "process_open_fds"] {
            assert!(value(name) > 0.0, "{text}");
        }
        assert!(
            value("process_cpu_seconds_total") >= 0.0
                && value("process_max_fds") >= value("process_open_fds")
        );
    }
}
