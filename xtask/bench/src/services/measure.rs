//! The measurements, round by round.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::programs::Programs;
use super::server::{Kind, Server};
use crate::machine::{Core, core_count, server_and_load};
use crate::section::Args;
use crate::statistics::Spread;
use crate::wrk::{self, Report, Scenario, Source};

/// The load with most connections, for which memory is measured.
pub(super) const MOST_CONNECTIONS: Scenario = Scenario { connections: 256, keep_alive: true };

/// All kinds of load, in this order.
pub(super) const SCENARIOS: [Scenario; 3] = [
    Scenario { connections: 32, keep_alive: true },
    MOST_CONNECTIONS,
    Scenario { connections: 32, keep_alive: false },
];

/// Timed starts of each server in each round.
const STARTS: usize = 5;

/// Interval between two readings of a server's memory under load.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// One load on one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) report: Report,
    /// The server's processor time.
    pub(super) cpu: Duration,
    /// The server's largest resident memory, in KiB.
    pub(super) resident: u64,
}

impl Sample {
    /// Processor time per request, in microseconds.
    pub(super) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.report.requests
    }

    /// Cores that the server used on average.
    fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.report.duration
    }
}

/// All figures of one server, in the order of the rounds.
pub(super) struct Results {
    pub(super) kind: Kind,
    /// One list per scenario, in the order of [`SCENARIOS`].
    pub(super) samples: [Vec<Sample>; SCENARIOS.len()],
    /// Memory after the first answer, in KiB.
    pub(super) idle: Vec<u64>,
    /// Times from start to first answer.
    pub(super) starts: Vec<Duration>,
}

impl Results {
    pub(super) fn samples(&self, scenario: Scenario) -> &[Sample] {
        SCENARIOS.iter().position(|one| *one == scenario).map_or(&[], |index| &self.samples[index])
    }
}

/// Measures all servers.
pub(super) fn all(programs: &Programs, args: &Args) -> Result<Vec<Results>> {
    let mut all = Kind::ALL.map(|kind| Results {
        kind,
        samples: SCENARIOS.map(|_| Vec::new()),
        idle: Vec::new(),
        starts: Vec::new(),
    });
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        measure_round(programs, args, usize::from(round), &mut all)?;
    }
    Ok(all.into())
}

/// Measures each server once per scenario, in short turns: a disturbance of the machine affects all servers.
fn measure_round(programs: &Programs, args: &Args, round: usize, all: &mut [Results]) -> Result<()> {
    let (core, load_core) = server_and_load();
    for results in &mut *all {
        for _ in 0..STARTS {
            results.starts.push(Server::time_start(results.kind, programs)?);
        }
    }
    let servers = all.iter().map(|results| Server::start(results.kind, programs, core, &[]));
    let servers = servers.collect::<Result<Vec<_>>>()?;
    for (results, server) in all.iter_mut().zip(&servers) {
        results.idle.push(server.resident_kib()?);
        server.check(&programs.host)?;
    }
    for (scenario_index, scenario) in SCENARIOS.into_iter().enumerate() {
        for turn in 0..servers.len() {
            // Each round begins with another server.
            let index = (turn + round) % servers.len();
            let from = Source::one_thread(load_core);
            let sample = sample(&servers[index], from, scenario, args.seconds)?;
            all[index].samples[scenario_index].push(sample);
        }
    }
    Ok(())
}

/// Sends load to one server and watches its processor time and memory.
fn sample(server: &Server, from: Source, scenario: Scenario, seconds: u16) -> Result<Sample> {
    let cpu_before = server.cpu_time()?;
    let url = server.url();
    let (report, resident) = thread::scope(|scope| {
        let load = scope.spawn(|| wrk::run(from, &url, scenario, seconds));
        let mut resident = 0;
        while !load.is_finished() {
            resident = resident.max(server.resident_kib()?);
            thread::sleep(MEMORY_INTERVAL);
        }
        let report = load.join().expect("running wrk does not panic");
        anyhow::Ok((report?, resident))
    })
    .with_context(|| format!("{}, {}", server.kind.name(), scenario.name()))?;
    Ok(Sample { report, cpu: server.cpu_time()?.saturating_sub(cpu_before), resident })
}

/// `ping --threads 2` compared with `ping --threads 1`.
pub(super) struct Scaling {
    /// Requests/s of two threads, divided by those of one.
    pub(super) requests: Spread,
    /// Cores that the server used with two threads. Below two, the load could not use the server fully.
    pub(super) cores: Spread,
    /// Requests per processor time of two threads, divided by those of one.
    pub(super) efficiency: Spread,
}

impl Scaling {
    /// Throughput of two cores as a multiple of one: measured where the server had two cores to itself, otherwise
    /// computed from the requests per processor time.
    pub(super) fn factor(&self) -> f64 {
        if self.has_two_cores() { self.requests.median } else { 2.0 * self.efficiency.median }
    }

    /// Whether the server had two cores to itself.
    pub(super) fn has_two_cores(&self) -> bool {
        self.cores.median > 1.9
    }
}

/// Measures ping with one and two threads, unpinned. `None` on a machine with one core.
pub(super) fn scaling(programs: &Programs, args: &Args) -> Result<Option<Scaling>> {
    if core_count() < 2 {
        return Ok(None);
    }
    let with_threads = |threads| {
        let server = Server::start(Kind::Ping, programs, Core::ANY, &["--threads", threads])?;
        sample(&server, Source::half_of_all_cores(), MOST_CONNECTIONS, args.seconds)
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        eprintln!("two threads, round {} of {}", round + 1, args.rounds);
        one.push(with_threads("1")?);
        two.push(with_threads("2")?);
    }
    let requests = Spread::of_ratios(&two, &one, |sample| sample.report.rate());
    let cores = Spread::of(two.iter().map(Sample::cores));
    let efficiency = Spread::of_ratios(&two, &one, |sample| sample.report.rate() / sample.cores());
    let (Some(requests), Some(cores), Some(efficiency)) = (requests, cores, efficiency) else {
        return Ok(None);
    };
    Ok(Some(Scaling { requests, cores, efficiency }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Results of one round in which a server answered `rate` requests per second.
    pub(in super::super) fn results(kind: Kind, rate: u32) -> Results {
        let report = Report {
            requests: rate.into(),
            duration: 1e6,
            errors: 1.0,
            p50: 100.0,
            p99: 200.0,
            p99_9: 300.0,
        };
        let sample = Sample { report, cpu: Duration::from_micros(2) * rate, resident: 2048 };
        Results {
            kind,
            samples: SCENARIOS.map(|_| vec![sample]),
            idle: vec![1024],
            starts: vec![Duration::from_millis(1)],
        }
    }

    #[test]
    fn figures_are_per_second_and_per_request() {
        let results = results(Kind::Ping, 1000);
        let sample = results.samples(MOST_CONNECTIONS)[0];
        assert!((sample.report.rate() - 1000.0).abs() < 1e-9);
        assert!((sample.cpu_micros() - 2.0).abs() < 1e-9);
    }
}
