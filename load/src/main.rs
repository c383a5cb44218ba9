//! Load tester for routers: throughput and latency, and the share, outages and handovers of each instance.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cli::{Failure, exit_with, parse};
use load::args::{Args, Command};
use load::engine::{self, Stopper};
use load::live::LiveView;
use load::output::{self, Output};
use load::plan::HttpVersion;
use load::report::Verdict;
use load::system;

fn main() -> ExitCode {
    match parse::<Args>() {
        Ok(args) => exit_with("load", run(&args)),
        Err(code) => code,
    }
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    if let Some(Command::Compare(args)) = &args.command {
        let compared = args.compare()?;
        output::print(&compared.text)?;
        return Ok(if compared.is_regression { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let plan = args.plan()?;
    system::raise_file_limit(u64::from(plan.connections) * plan.hosts() as u64)?;
    let output = Output::open(args)?;
    let versions = if args.unchecked {
        vec![plan.http.unwrap_or(HttpVersion::Http1); plan.hosts()]
    } else {
        engine::negotiate(&plan).map_err(|error| {
            Failure::usage(format_args!("{error}; use --unchecked to start without this check"))
        })?
    };
    let stopper = Stopper::new();
    let view = Arc::new(Mutex::new(LiveView::on_stderr(args.quiet)));
    let signal_view = Arc::clone(&view);
    system::stop_on_signals(&stopper, move || {
        lock(&signal_view).say("finishing requests in flight; press Ctrl-C again to abandon them");
    })
    .map_err(|error| Failure::new(format_args!("installing signal handlers: {error}")))?;
    let report = engine::run(plan, versions, &stopper, args.every, |report| lock(&view).show(report));
    lock(&view).close();
    let mut report = report.map_err(Failure::new)?;
    report.assertions = args.assertions.check(&report);
    output.write(&report)?;
    let is_met = report.assertions.iter().all(|assertion| assertion.verdict == Verdict::Met);
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
