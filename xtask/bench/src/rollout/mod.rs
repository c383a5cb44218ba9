//! `cargo xtask bench rollout`: rolling updates and abrupt losses, under load, with three set-ups one after the other on
//! the same swarm of three hosts.

use anyhow::Result;
use clap::ValueEnum;
use harness::stack::ensure_token;
use harness::{Lab, LabOptions, images, tools};
use xtask::build;

mod events;
mod loss;
mod setup;
mod sum;
mod table;
mod update;

use setup::{Deployed, SetUp, TOKEN};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often everything is updated in our set-up
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: u16,
    /// How often with each of Traefik's own
    #[arg(long, value_name = "N", default_value_t = 3)]
    peer_rounds: u16,
    /// How often each loss happens, in each set-up
    #[arg(long, value_name = "N", default_value_t = 3)]
    loss_rounds: u16,
    /// Which set-ups; all by default
    #[arg(long = "set-up", value_name = "SET-UP", value_enum)]
    set_ups: Vec<SetUp>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binaries = build::release(Some(&build::musl_target()))?;
    let slow = build::example(&build::musl_target(), "runtime", "slow")?;
    eprintln!("making a lab of three hosts");
    let lab = Lab::create(&LabOptions::owned(3))?;
    let (images, traefik) = lab.provide_images(&binaries, &tools::traefik()?)?;
    let name = images::build_wrapped(lab.docker(), &images, &slow)?;
    images::push(lab.docker(), &name)?;
    ensure_token(lab.docker(), TOKEN)?;
    let _inside = lab.enter()?;

    let (mut updates, mut losses) = (Vec::new(), Vec::new());
    let wanted = |set_up: &&SetUp| args.set_ups.is_empty() || args.set_ups.contains(set_up);
    let outcome = SetUp::value_variants().iter().filter(wanted).try_for_each(|set_up| {
        let deployed = Deployed::new(&lab, *set_up, &images, &traefik)?;
        let rounds = if *set_up == SetUp::Ours { args.rounds } else { args.peer_rounds };
        update::measure(&deployed, rounds, &mut updates)?;
        loss::measure(&deployed, args.loss_rounds, &mut losses)?;
        deployed.remove()
    });
    // What has been measured until something went wrong took its time.
    print!("{}", table::updates(&updates));
    println!();
    print!("{}", table::losses(&losses));
    outcome
}
