//! `cargo xtask up`: the demo on this machine, without containers.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use harness::{Binaries, FleetOptions, Loopback, SpawnOptions, tools};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::build;
use crate::demo::Demo;
use crate::guest::Guest;

/// What is started, and all that is built for it.
const PROGRAMS: [&str; 4] = ["hub", "sidecar", "ping", "hello"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many pings
    #[arg(long, value_name = "N", default_value = "3", allow_negative_numbers = true, value_parser = instances)]
    ping: usize,
    /// How many hellos
    #[arg(long, value_name = "N", default_value = "2", allow_negative_numbers = true, value_parser = instances)]
    hello: usize,
    /// A service of yours as well, two of it: one that `cargo xtask new` has made here, or the directory of one
    #[arg(long, value_name = "SERVICE")]
    with: Vec<String>,
    /// Where Traefik answers, on 127.0.0.1; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    port: u16,
    /// Where Traefik's dashboard is, on 127.0.0.1; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    dashboard_port: u16,
    /// Show what all parts log
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    ensure!(
        args.ping + args.hello + args.with.len() > 0,
        "with --ping 0 and --hello 0 there is nothing to start"
    );
    let ports = Loopback::at(Ipv4Addr::LOCALHOST.into());
    let entry = available(&ports, "--port", args.port)?;
    let dashboard = available(&ports, "--dashboard-port", args.dashboard_port)?;
    ensure!(entry != dashboard, "--port and --dashboard-port are both {}", args.port);

    // What may be missing is said before a long build.
    let traefik = tools::traefik()?;
    let guests = args.with.iter().map(|guest| Guest::invite(guest)).collect::<Result<Vec<_>>>()?;
    let binaries = Binaries::from_environment()?.map_or_else(|| build::release_of(&PROGRAMS, None), Ok)?;
    let options = FleetOptions {
        binaries: Some(binaries),
        traefik: Some(traefik),
        entry: Some(entry),
        api: Some(dashboard),
        spawn: SpawnOptions { echo: args.verbose, own_group: true, ..SpawnOptions::default() },
        ..FleetOptions::default()
    };

    // From here on there are processes to be ended in order.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]).context("installing signal handlers")?;
    let mut demo = Demo::start(options, args.ping, args.hello, &guests)?;
    let outcome = demo.run(&mut signals, |urls| {
        let ready = began.elapsed().as_secs_f64();
        let urls = urls.join("   ");
        let line =
            format!("ready in {ready:.1} s   {urls}   Traefik's dashboard: http://{dashboard}/dashboard/");
        // Whoever reads this may have gone; the demo is still there for others.
        let _ = writeln!(io::stdout(), "{line}");
        eprintln!("Ctrl-C withdraws, drains and ends everything");
    });
    if let Err(error) = &outcome {
        // Ending the rest may take a while: said at once.
        eprintln!("{error:#}; ending the rest");
    }
    outcome.and(demo.stop(&mut signals))
}

/// The address to listen at, found to be free before anything is started.
fn available(ports: &Loopback, flag: &str, port: u16) -> Result<SocketAddr> {
    if port == 0 {
        return ports.free();
    }
    let address = SocketAddr::new(ports.ip(), port);
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(anyhow!("port {port} is in use; stop what listens there, or choose another with {flag}"))
        }
        Err(error) => Err(error).with_context(|| format!("listening at {address}, the port of {flag}")),
    }
}

fn instances(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 0..=50) => Ok(count),
        Ok(_) => Err("at most 50, as each is two processes on this machine".to_owned()),
        Err(_) => Err("a number from 0 to 50 is expected".to_owned()),
    }
}
