//! `cargo xtask bench checks`: the hub's checks of labels, compared with what a real Traefik makes of the same labels.
//!
//! A false acceptance is a label set that the hub accepts and Traefik disables: its task would turn green without a route. A
//! false refusal is one that the hub refuses and Traefik enables. Rules that Traefik enables although they never match, and
//! TCP routers that would take over every entry point, are refused on purpose and counted apart.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use protocol::Labels;
use traefik::{Exposure, ServiceConfig};

use crate::table::Table;

mod corpus;
mod generator;
mod oracle;
mod random;

/// Label sets in one document.
const BATCH: usize = 1500;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of label sets
    #[arg(long, value_name = "N", default_value = "12000")]
    cases: usize,
    /// Seed of the generator
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Maximum number of wrong verdicts to print
    #[arg(long, value_name = "N", default_value = "20")]
    show: usize,
}

/// A label set of one service.
struct Case {
    /// Row of the result.
    kind: &'static str,
    /// Keys below `traefik.`, and values.
    labels: Vec<(String, String)>,
}

#[derive(Default)]
struct Counts {
    cases: usize,
    disabled: usize,
    false_acceptances: usize,
    on_purpose: usize,
    false_refusals: usize,
}

/// Parts of the errors for label sets that Traefik enables and the hub refuses on purpose.
const ON_PURPOSE: [&str; 4] = [
    "never match",
    "no request matches both",
    "connections of all services",
    "nested parentheses or negations",
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut oracle = oracle::Oracle::start()?;
    let mut generator = generator::Generator::new(args.seed, corpus::rules()?);
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut shown = 0;
    let mut left = args.cases;
    while left > 0 {
        let cases: Vec<_> = (0..left.min(BATCH)).map(|number| generator.case(number)).collect();
        left -= cases.len();
        let disabled = oracle.disabled(&cases)?;
        for (number, case) in cases.iter().enumerate() {
            let verdict = read(number, case);
            let reason = disabled.get(&number);
            let counts = kinds.entry(case.kind).or_default();
            counts.cases += 1;
            counts.disabled += usize::from(reason.is_some());
            let wrong = match (&verdict, reason) {
                (Ok(()), Some(_)) => &mut counts.false_acceptances,
                (Err(error), None) if ON_PURPOSE.iter().any(|part| error.contains(part)) => {
                    counts.on_purpose += 1;
                    continue;
                }
                (Err(_), None) => &mut counts.false_refusals,
                _ => continue,
            };
            *wrong += 1;
            if shown < args.show {
                shown += 1;
                eprintln!("{:?}\n  hub: {verdict:?}\n  Traefik: {reason:?}", case.labels);
            }
        }
    }
    print!("{}", table(&kinds));
    let false_acceptances: usize = kinds.values().map(|counts| counts.false_acceptances).sum();
    ensure!(
        false_acceptances == 0,
        "{false_acceptances} label sets are accepted although Traefik disables them"
    );
    Ok(())
}

/// The hub's own verdict.
fn read(number: usize, case: &Case) -> Result<(), String> {
    let labels = case.labels.iter().map(|(key, value)| (format!("traefik.{key}"), value.clone())).collect();
    let config = ServiceConfig::read(&oracle::service(number), &Labels(labels), &Exposure::default());
    config.map(drop).map_err(|errors| errors.to_string())
}

fn table(kinds: &BTreeMap<&str, Counts>) -> Table {
    let mut table = Table::new(&[
        "kind",
        "label sets",
        "disabled by Traefik",
        "false acceptances",
        "refused on purpose",
        "false refusals",
    ]);
    let mut total = Counts::default();
    let mut row = |kind: &str, counts: &Counts| {
        let counts = [
            counts.cases,
            counts.disabled,
            counts.false_acceptances,
            counts.on_purpose,
            counts.false_refusals,
        ];
        let cells: Vec<_> =
            std::iter::once(kind.to_owned()).chain(counts.iter().map(usize::to_string)).collect();
        table.row(&cells);
    };
    for (kind, counts) in kinds {
        row(kind, counts);
        total.cases += counts.cases;
        total.disabled += counts.disabled;
        total.false_acceptances += counts.false_acceptances;
        total.on_purpose += counts.on_purpose;
        total.false_refusals += counts.false_refusals;
    }
    row("all", &total);
    table
}

impl Case {
    /// Returns the number of the case to which the router `name` belongs.
    fn number_of(name: &str) -> Result<usize> {
        let digits = name.trim_start_matches('c').split('@').next().unwrap_or_default();
        digits.parse().with_context(|| format!("reading the name of router {name}"))
    }
}
