//! `cargo xtask bench rollout`: rolling updates and losses under load, in three setups one after the other on the same swarm
//! of three hosts.

use anyhow::Result;
use clap::ValueEnum;
use harness::stack::SETTLE_TIMEOUT;
use harness::{Binaries, Lab, LabOptions, Master, Secrets, images, tools};
use xtask::build;

use crate::statistics::Spread;
use crate::table::{Table, median, median_and_max};

mod deployment;
mod events;
mod faults;
mod hubs;
mod loss;
mod totals;
mod update;

use deployment::{Deployment, Setup};
use totals::Totals;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds of planned changes (updates, scaling) with the hub
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: u16,
    /// Number of rounds of planned changes with Traefik's swarm provider, in each setup
    #[arg(long, value_name = "N", default_value_t = 3)]
    peer_rounds: u16,
    /// Number of rounds of losses (of tasks, hosts, the hub and Traefik) in each setup
    #[arg(long, value_name = "N", default_value_t = 3)]
    loss_rounds: u16,
    /// Number of rounds of losses of one of three hubs
    #[arg(long, value_name = "N", default_value_t = 3)]
    hub_rounds: u16,
    /// Number of rounds of updates under faults (to versions that cannot be routed, or while hub or Traefik fail) in each setup
    #[arg(long, value_name = "N", default_value_t = 3)]
    fault_rounds: u16,
    /// Setup to measure: the hub (ours), or Traefik's swarm provider, either polling every second (tuned) or with its
    /// defaults (shipped); repeatable [default: all]
    #[arg(long = "setup", value_name = "SETUP", value_enum)]
    setups: Vec<Setup>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binaries =
        Binaries::from_environment()?.map_or_else(|| build::release(Some(&build::musl_target())), Ok)?;
    let slow = build::example(&build::musl_target(), "runtime", "slow")?;
    eprintln!("creating a lab of three hosts");
    let lab = Lab::create(&LabOptions::owned(3))?;
    let (images, traefik) = lab.provide_images(&binaries, &tools::traefik()?)?;
    let name = images::build_with_sidecar(lab.docker(), &images, &slow)?;
    images::push(lab.docker(), &name)?;
    let secrets = Secrets::new("bench", Master::random()?);
    let _inside = lab.enter()?;

    let (mut updates, mut faults, mut losses, mut hubs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let wanted = |setup: &&Setup| args.setups.is_empty() || args.setups.contains(setup);
    let outcome = Setup::value_variants().iter().filter(wanted).try_for_each(|setup| {
        let deployment = Deployment::new(&lab, *setup, &images, &traefik, &secrets)?;
        let rounds = if *setup == Setup::Ours { args.rounds } else { args.peer_rounds };
        update::measure(&deployment, rounds, &mut updates)?;
        faults::measure(&deployment, args.fault_rounds, &mut faults)?;
        loss::measure(&deployment, args.loss_rounds, &mut losses)?;
        if *setup == Setup::Ours {
            hubs::measure(&deployment, args.hub_rounds, &mut hubs)?;
        }
        deployment.stack.remove(SETTLE_TIMEOUT * 2)
    });
    // Printed after an error too: the figures took hours to measure.
    for table in [updates_table(&updates), faults_table(&faults), losses_table(&losses), hubs_table(&hubs)] {
        println!("{table}");
    }
    outcome
}

fn updates_table(rows: &[update::Row]) -> Table {
    let delays = ["started → first request, ms", "healthy → first request, ms", "SIGTERM → last request, ms"];
    let mut table = Table::new(&columns(&["setup", "change", "load", "rounds"], &delays));
    for row in rows {
        let delays = [
            median(spread(&row.start_to_first), 0),
            median(spread(&row.healthy_to_first), 0),
            median_and_max(spread(&row.stop_to_last)),
        ];
        let names = [row.setup, row.change, row.load, &row.rounds.to_string()];
        table.row(&cells(&names, &row.totals, &delays));
    }
    table
}

/// Under faults.
fn faults_table(rows: &[faults::Row]) -> Table {
    let mut table =
        Table::new(&columns(&["setup", "fault during an update", "rounds"], &["update ended as"]));
    for row in rows {
        let names = [row.setup, row.fault, &row.rounds.to_string()];
        table.row(&cells(&names, &row.totals, std::slice::from_ref(&row.ended)));
    }
    table
}

fn losses_table(rows: &[loss::Row]) -> Table {
    let delays = ["loss → unrouted, ms", "loss → replacement routed, ms"];
    let mut table = Table::new(&columns(&["setup", "loss", "rounds"], &delays));
    for row in rows {
        let delays = [&row.unrouted, &row.replaced].map(|delays| median_and_max(spread(delays)));
        table.row(&cells(&[row.setup, row.loss, &row.rounds.to_string()], &row.totals, &delays));
    }
    table
}

fn hubs_table(rows: &[hubs::Row]) -> Table {
    let figures = [
        "failed, sent within 5 s",
        "failed later",
        "loss → Traefiks poll another hub, ms",
        "loss → first new task healthy, ms",
        "start → healthy, ms",
    ];
    let mut table = Table::new(&columns(&["loss of one of three hubs", "rounds"], &figures));
    for row in rows {
        let [early, late] = row.failed.map(|count| count.to_string());
        let [moved, first, green] =
            [&row.moved, &row.first_green, &row.green].map(|delays| median_and_max(spread(delays)));
        let names = [row.loss, &row.rounds.to_string()];
        table.row(&cells(&names, &row.totals, &[early, late, moved, first, green]));
    }
    table
}

fn columns<'a>(names: &[&'a str], delays: &[&'a str]) -> Vec<&'a str> {
    [names, &Totals::COLUMNS, delays].concat()
}

fn cells(names: &[&str], totals: &Totals, delays: &[String]) -> Vec<String> {
    let names = names.iter().map(|name| (*name).to_owned());
    names.chain(totals.cells()).chain(delays.iter().cloned()).collect()
}

fn spread(figures: &[f64]) -> Option<Spread> {
    Spread::of(figures.iter().copied())
}
