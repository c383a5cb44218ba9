//! Sends load, and says which instance answered, how evenly, and for how long nobody did.

use std::io::{self, Write};
use std::process::ExitCode;

use swarmlings_cli::{Failure, exit_with, parse};
use swarmlings_load::args::Args;
use swarmlings_load::engine::{self, Stopper};
use swarmlings_load::plan::{Http, Plan};
use swarmlings_load::{descriptors, output, signals, text};

fn main() -> ExitCode {
    match parse::<Args>() {
        Ok(args) => exit_with("load", run(&args)),
        Err(code) => code,
    }
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    let plan = args.plan()?;
    descriptors::allow(u64::from(plan.connections) * plan.origins.len() as u64)?;
    let output = output::Output::open(args)?;
    let spoken =
        if args.unchecked { assumed(&plan) } else { engine::check(&plan).map_err(Failure::usage)? };
    let stopper = Stopper::new();
    let is_quiet = args.quiet;
    let heard = move || say(is_quiet, "no more is sent; Ctrl-C again does not wait for answers either");
    signals::end_by_signals(&stopper, heard)
        .map_err(|error| Failure::new(format_args!("catching signals: {error}")))?;
    let show = |report: &_| say(args.quiet, &text::progress(report));
    let mut report = engine::run(plan, spoken, &stopper, args.every, show).map_err(Failure::new)?;
    report.demands = args.demands().check(&report);
    output.write(&report)?;
    let met = report.demands.iter().all(|demand| demand.met);
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say(is_quiet: bool, line: &str) {
    if !is_quiet {
        // Load goes on when nobody listens.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// How hosts are spoken to that have not been asked.
fn assumed(plan: &Plan) -> Vec<Http> {
    plan.origins.iter().map(|_| plan.http.unwrap_or(Http::One)).collect()
}
