//! `cargo xtask bench hub`: cost and delays of a hub with many instances.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::hub::HubOptions;
use harness::loopback::free_at_source;
use harness::proc;
use harness::tokens::{Master, write_token};
use harness::traefik::TraefikOptions;
use harness::{Binaries, Hub, SpawnOptions, Traefik, tools};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use xtask::build;

use crate::machine::{SeparateCores, description};
use crate::programs::version;
use crate::section;
use crate::statistics::float;
use crate::table::{NO_FIGURE, Table};

use connection::Network;
use host::{GATEWAY, Host};
use router::Router;
use sidecars::{INSTANCES, Shared, Sidecar};

mod connection;
mod host;
mod router;
mod sidecars;

/// Tasks that are replaced per second during a rolling restart. Each is two changes.
const REPLACED: u32 = 25;
/// Single changes, one after the other.
const CHANGES: usize = 40;
/// Pause for timers and routers to settle.
const PAUSE: Duration = Duration::from_secs(3);
/// Maximum number of instances on the host that is cut off. The hub accepts 200 connections from an address.
const MAX_ON_HOST: usize = 150;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Numbers of instances to measure
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [100, 1000, 3000, 10_000])]
    sizes: Vec<usize>,
    /// Number of hubs. Traefik polls the first one, whose figures are shown
    #[arg(long, value_name = "N", default_value = "1")]
    hubs: NonZeroUsize,
    /// Duration of the measurement at rest, and of each rolling restart
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse::duration)]
    duration: Duration,
    /// Also write the result into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

/// Figures of one size.
#[derive(Default)]
struct Figures {
    registered: f64,
    confirmed: f64,
    hub_at_rest: f64,
    machine_at_rest: f64,
    softirq_at_rest: f64,
    memory: f64,
    polled: Delays,
    used: Delays,
    closed: f64,
    polled_in_restart: Delays,
    used_in_restart: Delays,
    hub_in_restart: f64,
    cut_off: Option<f64>,
    errors: usize,
}

/// Delays in milliseconds.
#[derive(Clone, Copy, Default)]
struct Delays {
    median: f64,
    p99: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    raise_file_limit()?;
    let binaries = Binaries::from_environment()?.map_or_else(|| build::release_of(&["hub"], None), Ok)?;
    let runtime = Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
    let mut columns = Vec::new();
    for size in &args.sizes {
        eprintln!("{size} instances");
        let figures = runtime.block_on(measure(&binaries, args.hubs.get(), *size, args.duration));
        columns.push((*size, figures.with_context(|| format!("measuring {size} instances"))?));
    }
    let section = report(&binaries, &columns)?;
    print!("{section}");
    if args.write { section::write("hub", &section) } else { Ok(()) }
}

/// Each instance is a connection here and in the hub, which inherits the limit.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Some(65_536).max(limit.maximum);
    // Only root may raise the maximum.
    setrlimit(Resource::Nofile, Rlimit { current: raised, maximum: raised })
        .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }))
        .context("raising the limit of open files")
}

async fn measure(binaries: &Binaries, hubs: usize, size: usize, duration: Duration) -> Result<Figures> {
    let mut figures = Figures::default();
    let directory = tempfile::tempdir().context("creating a directory for a token")?;
    let mut hubs = start_hubs(binaries, hubs, directory.path())?;
    let pids: Vec<_> = hubs.iter_mut().map(|hub| hub.process().pid()).collect();
    let ports: Vec<_> = hubs.iter().map(|hub| hub.options().address.port()).collect();
    let (hub, pid, port) = (&hubs[0], pids[0], ports[0]);
    let _cores = SeparateCores::pin(&pids)?;
    let empty = proc::resident_kib(pid)?;
    let url = format!("http://127.0.0.1:{port}");
    let mut traefik = TraefikOptions::new(tools::traefik()?, free_at_source()?, free_at_source()?, url);
    traefik.token = Some(hub.token()?);
    let mut traefik = Traefik::spawn(traefik, SpawnOptions::default())?;
    traefik.wait_ready()?;
    let traefik_pid = traefik.process().pid();
    let shared = Arc::new(Shared::new(at([127, 0, 0, 1].into(), &ports), hub.token()?));
    let network = Network::default();

    let began = Instant::now();
    let mut sidecars: Vec<_> = (0..size).map(|place| Sidecar::start(&shared, &network, place)).collect();
    for sidecar in &mut sidecars {
        figures.registered = seconds(sidecar.leased().await?, began).max(figures.registered);
    }
    for sidecar in &mut sidecars {
        figures.confirmed = seconds(sidecar.confirmed().await?, began).max(figures.confirmed);
    }
    eprintln!("  registered in {:.1} s, used by Traefik in {:.1} s", figures.registered, figures.confirmed);

    // Heartbeats become rarer as the hub tells the sidecars its number of instances.
    sleep(PAUSE * 2).await;
    let before = Usage::read(pid, traefik_pid)?;
    sleep(duration).await;
    let used = Usage::read(pid, traefik_pid)?;
    let percent = |after: Duration, before: Duration| {
        100.0 * after.saturating_sub(before).as_secs_f64() / duration.as_secs_f64()
    };
    figures.hub_at_rest = percent(used.hub, before.hub);
    figures.softirq_at_rest = percent(used.softirq, before.softirq);
    // The hub's own time and that of the kernel, as far as neither the simulated sidecars nor Traefik used it.
    figures.machine_at_rest = percent(used.machine, before.machine) - percent(used.others, before.others);
    figures.memory = float(proc::resident_kib(pid)?) / 1024.0;
    eprintln!(
        "  at rest: hub {:.1} %, machine {:.1} %, softirq {:.1} %; {:.1} MiB, {:.1} KiB each",
        figures.hub_at_rest,
        figures.machine_at_rest,
        figures.softirq_at_rest,
        figures.memory,
        (figures.memory * 1024.0 - float(empty)) / float(size as u64),
    );

    let mut delays = Vec::new();
    for change in 0..CHANGES {
        delays.push(replace(&shared, &network, &mut sidecars, change, None).await?);
        sleep(Duration::from_millis(300)).await;
    }
    figures.used = Delays::of(delays);
    let before = proc::usage(pid)?.cpu;
    let delays = restart(&shared, &network, &mut sidecars, duration, None).await?;
    figures.used_in_restart = Delays::of(delays);
    figures.hub_in_restart = percent(proc::usage(pid)?.cpu, before);
    eprintln!(
        "  used by Traefik after {:.0} ms (p99 {:.0}), in a rolling restart {:.0} ms (p99 {:.0}) with hub {:.1} %",
        figures.used.median,
        figures.used.p99,
        figures.used_in_restart.median,
        figures.used_in_restart.p99,
        figures.hub_in_restart,
    );

    let router = Router::start(&shared);
    sleep(PAUSE).await;
    let mut delays = Vec::new();
    for change in 0..CHANGES {
        delays.push(replace(&shared, &network, &mut sidecars, change, Some(&router)).await?);
        sleep(Duration::from_millis(100)).await;
    }
    figures.polled = Delays::of(delays);
    let delays = restart(&shared, &network, &mut sidecars, duration, Some(&router)).await?;
    figures.polled_in_restart = Delays::of(delays);
    eprintln!(
        "  in the answered poll after {:.1} ms (p99 {:.1}), in a rolling restart {:.1} ms (p99 {:.1})",
        figures.polled.median,
        figures.polled.p99,
        figures.polled_in_restart.median,
        figures.polled_in_restart.p99,
    );

    sleep(PAUSE).await;
    let closed = sidecars.split_off(size - size / 2);
    router.has_at_most(size).await?;
    let began = Instant::now();
    drop(closed);
    figures.closed = seconds(router.has_at_most(sidecars.len()).await?, began);
    eprintln!("  {} closed connections out after {:.2} s", size / 2, figures.closed);

    figures.errors = shared.errors.load(Ordering::Relaxed);
    match Host::new() {
        Ok(host) => figures.cut_off = Some(cut_off(&shared, &host, &router, sidecars.len(), size).await?),
        Err(error) => eprintln!("  no host to cut off: {error:#}"),
    }
    Ok(figures)
}

fn start_hubs(binaries: &Binaries, count: usize, directory: &Path) -> Result<Vec<Hub>> {
    let token_file = directory.join("token");
    write_token(&token_file, Master::random()?.as_str())?;
    let start = |_| {
        let options = HubOptions {
            program: binaries.path("hub"),
            address: ([0, 0, 0, 0], free_at_source()?.port()).into(),
            token_file: token_file.clone(),
            ca: None,
            arguments: ["--default-certificate", "--ttl", "3s"].map(str::to_owned).into(),
        };
        Hub::start(options, Some(Duration::from_millis(300)), SpawnOptions::default())
    };
    (0..count).map(start).collect()
}

/// Starts a task in place of another one, waits until routers use it, and withdraws the other one. Returns the delay until the
/// new one was in the response to a poll of `router`, or used by all routers.
async fn replace(
    shared: &Arc<Shared>,
    network: &Network,
    sidecars: &mut [Sidecar],
    change: usize,
    router: Option<&Router>,
) -> Result<Duration> {
    let index = change * 37 % sidecars.len();
    let began = Instant::now();
    let mut new = Sidecar::start(shared, network, sidecars[index].place);
    let arrived = match router {
        Some(router) => router.contains(new.url.clone()).await?,
        None => new.confirmed().await?,
    };
    std::mem::replace(&mut sidecars[index], new).withdraw().await?;
    Ok(arrived - began)
}

/// Replaces tasks at a fixed rate. Returns the delays as [`replace`] does.
async fn restart(
    shared: &Arc<Shared>,
    network: &Network,
    sidecars: &mut Vec<Sidecar>,
    duration: Duration,
    router: Option<&Router>,
) -> Result<Vec<Duration>> {
    let end = Instant::now() + duration;
    let mut ticks = interval(Duration::from_secs(1) / REPLACED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tasks = Vec::new();
    while Instant::now() < end {
        ticks.tick().await;
        // The oldest first.
        let old = sidecars.remove(0);
        let began = Instant::now();
        let mut new = Sidecar::start(shared, network, old.place);
        let polled = router.map(|router| router.contains(new.url.clone()));
        tasks.push(tokio::spawn(async move {
            let polled = match polled {
                Some(polled) => Some(polled.await?),
                None => None,
            };
            let confirmed = new.confirmed().await?;
            old.withdraw().await?;
            anyhow::Ok((polled.unwrap_or(confirmed) - began, new))
        }));
        // As many as there are may be in transition.
        if sidecars.is_empty() {
            let (_, new) = tasks.remove(0).await??;
            sidecars.push(new);
        }
    }
    let mut delays = Vec::new();
    for task in tasks {
        let (delay, new) = task.await??;
        delays.push(delay);
        sidecars.push(new);
    }
    Ok(delays)
}

/// Starts tasks on a host, cuts it off, and returns the seconds until none of them is in the configuration.
async fn cut_off(shared: &Shared, host: &Host, router: &Router, others: usize, size: usize) -> Result<f64> {
    let ports: Vec<_> = shared.hubs.iter().map(SocketAddr::port).collect();
    let away = Arc::new(Shared::new(at(GATEWAY.into(), &ports), shared.token.clone()));
    let network = host.network();
    let count = (size / 10).min(MAX_ON_HOST);
    away.started.store(shared.started.load(Ordering::Relaxed), Ordering::Relaxed);
    let mut sidecars: Vec<_> = (0..count).map(|place| Sidecar::start(&away, &network, place)).collect();
    for sidecar in &mut sidecars {
        sidecar.confirmed().await?;
    }
    sleep(PAUSE).await;
    let began = Instant::now();
    host.cut_off()?;
    let out = router.has_at_most(others).await?;
    Ok(seconds(out, began))
}

fn at(host: IpAddr, ports: &[u16]) -> Vec<SocketAddr> {
    ports.iter().map(|port| (host, *port).into()).collect()
}

fn seconds(later: Instant, earlier: Instant) -> f64 {
    (later - earlier).as_secs_f64()
}

impl Delays {
    fn of(mut delays: Vec<Duration>) -> Self {
        delays.sort();
        let at = |percent: usize| {
            let delay = delays.get((delays.len() * percent / 100).min(delays.len().saturating_sub(1)));
            delay.copied().unwrap_or_default().as_secs_f64() * 1000.0
        };
        Self { median: at(50), p99: at(99) }
    }
}

/// Processor time so far.
struct Usage {
    hub: Duration,
    /// Of this process, which simulates the sidecars, and of Traefik.
    others: Duration,
    machine: Duration,
    softirq: Duration,
}

impl Usage {
    fn read(hub: u32, traefik: u32) -> Result<Self> {
        const PATH: &str = "/proc/stat";
        let stat = fs::read_to_string(PATH).with_context(|| format!("reading {PATH}"))?;
        let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // In hundredths of a second: user, nice, system, idle, waiting for I/O, interrupts and soft interrupts.
        let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        ensure!(ticks.len() > 7, "reading {PATH}: expected more fields in its first line");
        let time = |ticks: u64| Duration::from_millis(ticks * 10);
        let others = proc::usage(std::process::id())?.cpu + proc::usage(traefik)?.cpu;
        Ok(Self {
            hub: proc::usage(hub)?.cpu,
            others,
            machine: time(ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]),
            softirq: time(ticks[5] + ticks[6]),
        })
    }
}

fn report(binaries: &Binaries, columns: &[(usize, Figures)]) -> Result<String> {
    let sizes = columns.iter().map(|(size, _)| format!("{size} instances"));
    let header = ["figure".to_owned(), "bar for 10,000".to_owned()].into_iter().chain(sizes);
    let mut table = Table::new(&header.collect::<Vec<_>>());
    let mut row = |name: &str, bar: &str, cell: &dyn Fn(&Figures) -> String| {
        let cells = columns.iter().map(|(_, figures)| cell(figures));
        table.row(&[name.to_owned(), bar.to_owned()].into_iter().chain(cells).collect::<Vec<_>>());
    };
    let delays =
        |delays: Delays, digits: usize| format!("{:.digits$}, p99 {:.digits$}", delays.median, delays.p99);
    row("all registered, s", "10", &|f| format!("{:.2}", f.registered));
    row("all used by Traefik, s", "", &|f| format!("{:.2}", f.confirmed));
    row("hub at rest, % of a core", "5", &|f| format!("{:.1}", f.hub_at_rest));
    row("hub and kernel at rest, % of a core", "", &|f| format!("{:.1}", f.machine_at_rest));
    row("of that in soft interrupts", "", &|f| format!("{:.1}", f.softirq_at_rest));
    row("hub's memory, MiB", "256", &|f| format!("{:.1}", f.memory));
    row("change → answered poll, ms", "10, p99 50", &|f| delays(f.polled, 1));
    row("change → used by Traefik, ms", "300", &|f| delays(f.used, 0));
    row("half of the connections closed → all out, s", "2", &|f| format!("{:.2}", f.closed));
    row("rolling restart: change → answered poll, ms", "3 ×", &|f| delays(f.polled_in_restart, 1));
    row("rolling restart: change → used by Traefik, ms", "3 ×", &|f| delays(f.used_in_restart, 0));
    row("rolling restart: hub, % of a core", "", &|f| format!("{:.1}", f.hub_in_restart));
    let cut_off = |f: &Figures| f.cut_off.map_or(NO_FIGURE.to_owned(), |seconds| format!("{seconds:.2}"));
    row("host cut off → all out, s", "5", &cut_off);
    row("lost leases and failed requests", "0", &|f| f.errors.to_string());
    let versions = [
        version(&binaries.path("hub"), &["--version"])?,
        version(&tools::traefik()?, &["version"])?.replace("Version:     ", "Traefik"),
    ];
    let description = description("the hub", &versions)?;
    Ok(format!(
        "## A hub with many instances\n\n\
         Simulated sidecars, each with a connection and heartbeats of its own, {INSTANCES} instances of each service, and a real \
         Traefik that polls. The hub has core 0; sidecars and Traefik share core 1. A change is a new task; the rolling restart \
         replaces {REPLACED} tasks per second, which is {} changes. A task is used by Traefik when the hub says so to its sidecar, \
         after Traefik's API has reported the configuration.\n\n{description}\n{table}",
        2 * REPLACED
    ))
}
