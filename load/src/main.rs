//! Sends load, and says which instance answered, how evenly, and for how long nobody did.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cli::{Failure, exit_with, parse};
use load::args::Args;
use load::engine::{self, Stopper};
use load::plan::{Http, Plan};
use load::terminal::Live;
use load::{descriptors, output, signals};

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
    let live = Arc::new(Mutex::new((!args.quiet).then(Live::on_stderr)));
    let heard = {
        let live = Arc::clone(&live);
        let said = "no more is sent; Ctrl-C again does not wait for answers either";
        move || {
            if let Some(live) = lock(&live).as_mut() {
                live.say(said);
            }
        }
    };
    signals::end_by_signals(&stopper, heard)
        .map_err(|error| Failure::new(format_args!("catching signals: {error}")))?;
    let show = |report: &_| {
        if let Some(live) = lock(&live).as_mut() {
            live.show(report);
        }
    };
    let report = engine::run(plan, spoken, &stopper, args.every, show);
    // Takes away what was drawn.
    drop(lock(&live).take());
    let mut report = report.map_err(Failure::new)?;
    report.demands = args.demands().check(&report);
    output.write(&report)?;
    let met = report.demands.iter().all(|demand| demand.met);
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lock<T>(live: &Mutex<T>) -> MutexGuard<'_, T> {
    // What was drawn half is drawn anew the next time.
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How hosts are spoken to that have not been asked.
fn assumed(plan: &Plan) -> Vec<Http> {
    plan.origins.iter().map(|_| plan.http.unwrap_or(Http::One)).collect()
}
