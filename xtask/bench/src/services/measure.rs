//! What is measured, round by round.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::peer::Peer;
use super::programs::Programs;
use super::server::Server;
use super::wrk::{self, CROWD, Report, SCENARIOS, Scenario, Source};
use crate::cores;
use crate::plan::Plan;
use crate::statistics::float;

/// How often each server is started, in each round, to see how long that takes.
const STARTS: usize = 5;

/// How often its memory is looked at while load is sent.
const LOOK: Duration = Duration::from_millis(200);

/// What one load did to one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) report: Report,
    /// The server's processor time.
    pub(super) cpu: Duration,
    /// The server's memory, in KiB, at its most.
    pub(super) resident: u64,
}

impl Figures {
    pub(super) fn per_second(&self) -> f64 {
        float(self.report.requests) / self.report.duration.as_secs_f64()
    }

    /// Microseconds of the processor's time for each request.
    pub(super) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / float(self.report.requests)
    }
}

/// What all rounds made of one server. Each list has the rounds in their order.
pub(super) struct Measured {
    pub(super) peer: Peer,
    /// For each of [`SCENARIOS`].
    pub(super) loads: [Vec<Figures>; SCENARIOS.len()],
    /// Memory after the first answer, in KiB.
    pub(super) idle: Vec<u64>,
    /// From its start to its first answer.
    pub(super) starts: Vec<Duration>,
}

impl Measured {
    pub(super) fn load(&self, scenario: Scenario) -> &[Figures] {
        SCENARIOS.iter().position(|one| *one == scenario).map_or(&[], |place| &self.loads[place])
    }

    /// Memory with most connections, in KiB.
    pub(super) fn loaded(&self) -> impl Iterator<Item = u64> {
        self.load(CROWD).iter().map(|figures| figures.resident)
    }
}

/// Measures all servers, in turns that are short enough for what disturbs one to disturb all.
pub(super) fn all(programs: &Programs, plan: Plan) -> Result<Vec<Measured>> {
    let mut all = Peer::ALL.map(|peer| Measured {
        peer,
        loads: SCENARIOS.map(|_| Vec::new()),
        idle: Vec::new(),
        starts: Vec::new(),
    });
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        one_round(programs, plan, usize::from(round), &mut all)?;
    }
    Ok(all.into())
}

fn one_round(programs: &Programs, plan: Plan, round: usize, all: &mut [Measured]) -> Result<()> {
    let (core, load_core) = cores::server_and_load();
    for measured in &mut *all {
        for _ in 0..STARTS {
            measured.starts.push(Server::time_start(measured.peer, programs)?);
        }
    }
    let servers = all.iter().map(|measured| Server::start(measured.peer, programs, core, &[]));
    let servers = servers.collect::<Result<Vec<_>>>()?;
    for (measured, server) in all.iter_mut().zip(&servers) {
        measured.idle.push(server.resident_kib()?);
        server.check(&programs.host)?;
    }
    for (place, scenario) in SCENARIOS.into_iter().enumerate() {
        for turn in 0..servers.len() {
            // Nobody is always the first.
            let index = (turn + round) % servers.len();
            let figures = loaded(programs, &servers[index], Source::one(load_core), scenario, plan.seconds)?;
            all[index].loads[place].push(figures);
        }
    }
    Ok(())
}

/// Sends load to one server and looks at it meanwhile.
pub(super) fn loaded(
    programs: &Programs,
    server: &Server,
    source: Source,
    scenario: Scenario,
    seconds: u16,
) -> Result<Figures> {
    let before = server.cpu_time()?;
    let url = server.url();
    let (report, resident) = thread::scope(|scope| {
        let load = scope.spawn(|| wrk::load(&programs.wrk, source, &url, scenario, seconds));
        let mut resident = 0;
        while !load.is_finished() {
            resident = resident.max(server.resident_kib()?);
            thread::sleep(LOOK);
        }
        let report = load.join().map_err(|_| anyhow::anyhow!("the thread that waits for wrk panicked"))?;
        anyhow::Ok((report?, resident))
    })
    .with_context(|| format!("{}, {}", server.peer.name(), scenario.name()))?;
    Ok(Figures { report, cpu: server.cpu_time()?.saturating_sub(before), resident })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A server that has answered so many requests in each second, in the one round that there was.
    pub(in super::super) fn measured(peer: Peer, per_second: u64) -> Measured {
        let micros = Duration::from_micros;
        let report = Report {
            requests: per_second,
            duration: Duration::from_secs(1),
            errors: 1,
            p50: micros(100),
            p99: micros(200),
            p99_9: micros(300),
        };
        let figures = Figures { report, cpu: micros(2 * per_second), resident: 2048 };
        Measured {
            peer,
            loads: SCENARIOS.map(|_| vec![figures]),
            idle: vec![1024],
            starts: vec![Duration::from_millis(1)],
        }
    }

    #[test]
    fn figures_are_by_second_and_by_request() {
        let measured = measured(Peer::Ping, 1000);
        let figures = measured.load(CROWD)[0];
        assert!((figures.per_second() - 1000.0).abs() < 1e-9);
        assert!((figures.cpu_micros() - 2.0).abs() < 1e-9);
        assert_eq!(measured.loaded().collect::<Vec<_>>(), [2048]);
    }
}
