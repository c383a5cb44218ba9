//! The section of docs/BENCHMARKS.md.

use super::measure::{MOST_CONNECTIONS, Results, SCENARIOS, Sample, Scaling};
use super::server::Kind;
use crate::section::Args;
use crate::statistics::{Spread, float};
use crate::table::{Table, median, range, thousands, times};
use crate::wrk::Scenario;

/// Required requests/s of ping, as multiples of another server's.
const MIN_RATIOS: [(Kind, f64); 3] = [(Kind::Nginx, 1.0), (Kind::Go, 1.6), (Kind::Loop, 0.95)];

/// Highest resident memory of ping after the first answer, in KiB.
const MAX_IDLE_KIB: f64 = 1536.0;

/// Highest resident memory of ping with [`MOST_CONNECTIONS`], in KiB.
const MAX_LOADED_KIB: f64 = 6.0 * 1024.0;

/// Longest time from start to first answer, in milliseconds.
const MAX_START_MS: f64 = 2.0;

/// Required requests/s of two threads, as a multiple of those of one.
const MIN_SCALING: f64 = 1.7;

/// Writes the whole section; `machine` is the list that describes the run.
pub(super) fn section(machine: &str, args: &Args, results: &[Results], scaling: Option<&Scaling>) -> String {
    let Args { rounds, seconds, .. } = args;
    let mut parts = vec![
        "## Speed and memory of a service\n".to_owned(),
        format!(
            "Ping as it is in images, with limits, drain, metrics and admin port, compared with servers that give the \
             same response:\nstatus 200 and `Pong from HOST` as plain text. Each figure is the median of {rounds} rounds, each \
             with {seconds} s of load.\nIn a round, all servers take turns with one kind of load before the next kind \
             begins, so a disturbance of the machine\naffects all of them. Trust ratios, not absolute figures.\n"
        ),
        machine.to_owned(),
        "### Bars\n".to_owned(),
        bars(results, scaling).to_string(),
        "### Ratios\n".to_owned(),
        "Median of the rounds' ratios, with minimum and maximum.\n".to_owned(),
        ratios(results).to_string(),
    ];
    for scenario in SCENARIOS {
        let name = scenario.name();
        let (first, rest) = name.split_at(1);
        parts.push(format!("### {}{rest}\n", first.to_uppercase()));
        parts.push(load(results, scenario).to_string());
    }
    parts.push("### Memory and start\n".to_owned());
    parts.push(
        "Memory is the resident memory (`VmRSS`) of the largest process of a server. The start time is from spawning the\n\
         process to the first bytes of an answer; the client is on another core and polls without a pause.\n"
            .to_owned(),
    );
    parts.push(footprint(results).to_string());
    parts.push("### Threads\n".to_owned());
    match scaling {
        Some(scaling) => {
            parts.push(
                "Server and load are not pinned to cores. Where they share the cores, the requests per processor time show\n\
                 whether threads slow each other down.\n"
                    .to_owned(),
            );
            parts.push(threads(scaling).to_string());
        }
        None => parts.push("Not measured: this machine has only one core.\n".to_owned()),
    }
    parts.join("\n")
}

/// Throughput, latency and processor time of all servers in one scenario.
fn load(results: &[Results], scenario: Scenario) -> Table {
    let mut table =
        Table::new(&["server", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/request", "errors"]);
    for result in results {
        let samples = result.samples(scenario);
        let spread = |figure: fn(&Sample) -> f64| Spread::of(samples.iter().map(figure));
        let errors: f64 = samples.iter().map(|sample| sample.report.errors).sum();
        table.row(&[
            result.kind.name(),
            &thousands(spread(|sample| sample.report.rate())),
            &median(spread(|sample| sample.report.p50), 0),
            &median(spread(|sample| sample.report.p99), 0),
            &median(spread(|sample| sample.report.p99_9), 0),
            &median(spread(Sample::cpu_micros), 2),
            &errors.to_string(),
        ]);
    }
    table
}

/// Memory and start time of all servers.
fn footprint(results: &[Results]) -> Table {
    let loaded = format!("KiB with {} connections", MOST_CONNECTIONS.connections);
    let mut table = Table::new(&["server", "KiB idle", &loaded, "start to first answer, ms"]);
    for result in results {
        table.row(&[
            result.kind.name(),
            &median(idle_kib(result), 0),
            &median(loaded_kib(result), 0),
            &median(start_ms(result), 2),
        ]);
    }
    table
}

/// Ping's requests/s divided by those of each other server.
fn ratios(results: &[Results]) -> Table {
    let columns = ["ping's requests/s divided by those of".to_owned()];
    let columns: Vec<_> = columns.into_iter().chain(SCENARIOS.map(Scenario::name)).collect();
    let mut table = Table::new(&columns);
    for theirs in results.iter().filter(|one| one.kind != Kind::Ping) {
        let ratios = SCENARIOS.map(|scenario| {
            let ours = of(results, Kind::Ping)?;
            ratio(ours, theirs, scenario, |sample| sample.report.rate())
        });
        let cells = [theirs.kind.name().to_owned()];
        table.row(&cells.into_iter().chain(ratios.map(range)).collect::<Vec<_>>());
    }
    table
}

fn threads(scaling: &Scaling) -> Table {
    let mut table = Table::new(&["`--threads 2` divided by `--threads 1`", "median (minimum–maximum)"]);
    table.row(&["requests/s", &range(Some(scaling.requests))]);
    table.row(&["requests per processor time", &range(Some(scaling.efficiency))]);
    table.row(&["cores used by the server with two threads", &range(Some(scaling.cores))]);
    table
}

fn bars(results: &[Results], scaling: Option<&Scaling>) -> Table {
    let mut bars = Table::of_bars();
    let Some(ours) = of(results, Kind::Ping) else { return bars };
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    for scenario in SCENARIOS {
        for (kind, minimum) in MIN_RATIOS {
            let Some(theirs) = of(results, kind) else { continue };
            let name = format!("requests/s, {}", scenario.name());
            let required = format!("≥ {minimum:.2} × {}", kind.name());
            let rate = ratio(ours, theirs, scenario, |sample| sample.report.rate());
            bars.bar(&name, &required, median(rate), times, |rate| rate >= minimum);
        }
        if let Some(theirs) = of(results, Kind::Nginx) {
            let p99 = ratio(ours, theirs, scenario, |sample| sample.report.p99);
            let (name, required) =
                (format!("p99, {}", scenario.name()), format!("≤ {}'s", Kind::Nginx.name()));
            bars.bar(&name, &required, median(p99), times, |ratio| ratio <= 1.0);
        }
    }
    let kib = |kib: f64| format!("{kib:.0} KiB");
    let mut memory = |name: &str, used, limit: f64| {
        bars.bar(name, &format!("≤ {limit:.0} KiB"), median(used), kib, |used| used <= limit);
    };
    memory("memory after the first answer", idle_kib(ours), MAX_IDLE_KIB);
    let name = format!("memory with {} connections", MOST_CONNECTIONS.connections);
    memory(&name, loaded_kib(ours), MAX_LOADED_KIB);
    let (required, shown) = (format!("≤ {MAX_START_MS:.1} ms"), |start| format!("{start:.2} ms"));
    bars.bar("start to first answer", &required, median(start_ms(ours)), shown, |start| {
        start <= MAX_START_MS
    });
    if let Some(scaling) = scaling {
        let figure = if scaling.has_two_cores() { "requests/s" } else { "2 × requests per processor time" };
        let (name, required) =
            (format!("two threads compared with one, {figure}"), format!("≥ {MIN_SCALING:.2} ×"));
        bars.bar(&name, &required, Some(scaling.factor()), times, |factor| factor >= MIN_SCALING);
    }
    bars
}

fn of(results: &[Results], kind: Kind) -> Option<&Results> {
    results.iter().find(|one| one.kind == kind)
}

fn ratio(
    ours: &Results,
    theirs: &Results,
    scenario: Scenario,
    figure: impl Fn(&Sample) -> f64,
) -> Option<Spread> {
    Spread::of_ratios(ours.samples(scenario), theirs.samples(scenario), figure)
}

fn idle_kib(results: &Results) -> Option<Spread> {
    Spread::of(results.idle.iter().copied().map(float))
}

fn loaded_kib(results: &Results) -> Option<Spread> {
    Spread::of(results.samples(MOST_CONNECTIONS).iter().map(|sample| float(sample.resident)))
}

fn start_ms(results: &Results) -> Option<Spread> {
    Spread::of(results.starts.iter().map(|start| start.as_secs_f64() * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::super::measure::tests::results;
    use super::*;

    #[test]
    fn row_of_a_server_shows_its_medians() {
        let text = load(&[results(Kind::Go, 123_456)], MOST_CONNECTIONS).to_string();
        assert_eq!(text.lines().last(), Some("| Go net/http | 123,456 | 100 | 200 | 300 | 2.00 | 1 |"));
    }

    #[test]
    fn ratios_divide_ping_by_the_other_server() {
        let text = ratios(&[results(Kind::Ping, 300_000), results(Kind::Nginx, 200_000)]).to_string();
        let ratio = "1.50 (1.50–1.50)";
        let row = format!("| nginx `return 200` | {ratio} | {ratio} | {ratio} |");
        assert_eq!(text.lines().last(), Some(row.as_str()));
    }

    #[test]
    fn bar_is_met_at_its_limit_and_not_below_it() {
        let throughput = |ping, nginx, go| {
            let all = [results(Kind::Ping, ping), results(Kind::Nginx, nginx), results(Kind::Go, go)];
            let text = bars(&all, None).to_string();
            assert!(!text.contains("C epoll loop"), "a bar without a measured server: {text}");
            let rows = text.lines().filter(|row| row.starts_with("| requests/s"));
            rows.map(|row| row.ends_with("| yes |")).collect::<Vec<_>>()
        };
        assert_eq!(throughput(160_000, 160_000, 100_000), [true; 6]);
        assert_eq!(throughput(159_000, 160_000, 100_000), [false; 6]);
    }

    #[test]
    fn scaling_uses_processor_time_where_the_load_takes_a_core() {
        let spread = |median| Spread { median, min: median, max: median };
        let is_met = |requests, cores, efficiency| {
            let scaling =
                Scaling { requests: spread(requests), cores: spread(cores), efficiency: spread(efficiency) };
            let text = bars(&[results(Kind::Ping, 1)], Some(&scaling)).to_string();
            text.lines().last().unwrap().ends_with("| yes |")
        };
        assert!(is_met(1.1, 1.2, 0.9));
        assert!(!is_met(1.1, 1.2, 0.8));
        assert!(!is_met(1.6, 1.99, 1.0));
        assert!(is_met(1.8, 1.99, 0.8));
    }
}
