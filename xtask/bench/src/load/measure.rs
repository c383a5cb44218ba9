//! What is measured, round by round.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use harness::proc::children_cpu;
use harness::{Loopback, Process, SpawnOptions, http};

use super::generator::{Figures, Generator};
use super::programs::Programs;
use crate::cores::{self, Core};
use crate::plan::Plan;

/// What all rounds made of each generator, in their order.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) closed: BTreeMap<Generator, Vec<Figures>>,
    pub(super) open: BTreeMap<Generator, Vec<Figures>>,
    /// At a quarter of the open loop's rate each, from the same core at the same time.
    pub(super) paired: BTreeMap<Generator, Vec<Figures>>,
    /// The rate of each round's open loop.
    pub(super) rates: Vec<u32>,
}

/// Nothing here takes that long unless something is wrong.
const SOON: Duration = Duration::from_secs(10);

/// Measures all, in turns that are short enough for what disturbs one to disturb all.
pub(super) fn all(programs: &Programs, plan: Plan) -> Result<Measured> {
    let (server_core, core) = cores::server_and_load();
    let (_server, address) = serve(programs, server_core)?;
    let mut measured = Measured::default();
    for round in 0..usize::from(plan.rounds) {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        let send = |generator: Generator, rate| {
            let before = children_cpu()?;
            let sent = generator.send(programs, core, address, plan.seconds, rate);
            let mut figures = sent.with_context(|| format!("sending load by {}", generator.name()))?;
            let requests = figures.per_second * f64::from(plan.seconds);
            figures.cpu_micros = children_cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / requests;
            anyhow::Ok(figures)
        };
        for generator in turned(&Generator::CLOSED, round) {
            measured.closed.entry(generator).or_default().push(send(generator, None)?);
        }
        let fastest = measured.closed[&Generator::Load][round].per_second;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a number of requests"
        )]
        let rate = (fastest / 2.0).round() as u32;
        measured.rates.push(rate);
        for generator in turned(&Generator::OPEN, round) {
            measured.open.entry(generator).or_default().push(send(generator, Some(rate))?);
        }
        let pair = thread::scope(|scope| {
            let send = |generator: Generator| {
                scope.spawn(move || generator.send(programs, core, address, plan.seconds, Some(rate / 4)))
            };
            // All have begun before one is waited for.
            let sending = turned(&Generator::PAIRED, round);
            let sending: Vec<_> = sending.into_iter().map(|one| (one, send(one))).collect();
            sending.into_iter().map(|(generator, sent)| (generator, sent.join())).collect::<Vec<_>>()
        });
        for (generator, sent) in pair {
            let outcome =
                sent.map_err(|_| anyhow!("the thread that waits for {} panicked", generator.name()))?;
            let figures = outcome.with_context(|| format!("sending load by {}", generator.name()))?;
            measured.paired.entry(generator).or_default().push(figures);
        }
    }
    Ok(measured)
}

/// Nobody is always the first.
fn turned(generators: &[Generator], round: usize) -> Vec<Generator> {
    let mut generators = generators.to_vec();
    let count = generators.len();
    generators.rotate_left(round % count);
    generators
}

fn serve(programs: &Programs, core: Core) -> Result<(Process, SocketAddr)> {
    let address = Loopback::new().free()?;
    let mut command = core.command(&programs.ping);
    command.args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--admin-port", "0", "--host", "ping-1"]);
    let mut process = Process::spawn("ping", &mut command, SpawnOptions::default())?;
    process.wait_until(SOON, || http::well(&format!("http://{address}/")))?;
    Ok((process, address))
}
