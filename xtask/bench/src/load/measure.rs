//! The measurements, round by round.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::proc::children_cpu;
use harness::{Loopback, Process, SpawnOptions, http};

use super::Programs;
use super::generator::{Generator, Sample};
use crate::machine::{Core, server_and_load};
use crate::section::Args;

/// Samples of each generator, in the order of the rounds.
pub(super) type Samples = BTreeMap<Generator, Vec<Sample>>;

/// All figures.
#[derive(Default)]
pub(super) struct Results {
    pub(super) closed_loop: Samples,
    pub(super) open_loop: Samples,
    /// Both generators at the same time on the same core, each at a quarter of the open loop's rate.
    pub(super) side_by_side: Samples,
    /// Rate of the open loop in each round.
    pub(super) rates: Vec<u32>,
}

/// Limit for the start of ping; reaching it means an error.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Measures all generators, in short turns: a disturbance of the machine affects all of them.
pub(super) fn all(programs: &Programs, args: &Args) -> Result<Results> {
    let (server_core, core) = server_and_load();
    let (_server, server) = start_ping(programs, server_core)?;
    let send = |generator: Generator, rate| {
        let sample = generator.send(programs, core, server, args.seconds, rate);
        sample.with_context(|| format!("sending load with {}", generator.name()))
    };
    let send_alone = |generator: Generator, rate| {
        let cpu_before = children_cpu()?;
        let mut sample = send(generator, rate)?;
        let cpu = children_cpu()?.saturating_sub(cpu_before);
        sample.cpu_micros = cpu.as_secs_f64() * 1e6 / (sample.rate * f64::from(args.seconds));
        anyhow::Ok(sample)
    };
    let mut results = Results::default();
    for round in 0..usize::from(args.rounds) {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for generator in rotated(&Generator::CLOSED_LOOP, round) {
            results.closed_loop.entry(generator).or_default().push(send_alone(generator, None)?);
        }
        let fastest = results.closed_loop[&Generator::Load][round].rate;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests")]
        let rate = (fastest / 2.0).round() as u32;
        results.rates.push(rate);
        for generator in rotated(&Generator::OPEN_LOOP, round) {
            results.open_loop.entry(generator).or_default().push(send_alone(generator, Some(rate))?);
        }
        let pair = thread::scope(|scope| {
            let start = |generator| (generator, scope.spawn(move || send(generator, Some(rate / 4))));
            // All are started before the first is joined.
            let threads: Vec<_> = rotated(&Generator::SIDE_BY_SIDE, round).into_iter().map(start).collect();
            threads.into_iter().map(|(generator, thread)| (generator, thread.join())).collect::<Vec<_>>()
        });
        for (generator, sample) in pair {
            let sample = sample.expect("sending load does not panic");
            results.side_by_side.entry(generator).or_default().push(sample?);
        }
    }
    Ok(results)
}

/// Begins each round with another generator.
fn rotated(generators: &[Generator], round: usize) -> Vec<Generator> {
    let mut generators = generators.to_vec();
    let count = generators.len();
    generators.rotate_left(round % count);
    generators
}

fn start_ping(programs: &Programs, core: Core) -> Result<(Process, SocketAddr)> {
    let address = Loopback::new().free()?;
    let mut command = core.command(&programs.ping);
    command.args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--admin-port", "0", "--host", "ping-1"]);
    let mut process = Process::spawn("ping", &mut command, SpawnOptions::default())?;
    process.wait_until(TIMEOUT, || http::get_ok(&format!("http://{address}/")))?;
    Ok((process, address))
}
