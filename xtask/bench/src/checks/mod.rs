//! `cargo xtask bench checks`: the hub's checks of labels, compared with what a real Traefik makes of the same labels.
//!
//! A false acceptance is a label set that the hub accepts and Traefik disables: its task would turn green without a route. A
//! false refusal is one that the hub refuses and Traefik enables. Counted apart are references to definitions of other
//! providers, which only Traefik knows, and refusals on purpose: of rules that never match, of TCP routers that would take
//! over every entry point, of routers that answer each request with an error, and of values out of bounds.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, ensure};
use protocol::Labels;
use traefik::{Exposure, LabelErrors, Reference, ServiceConfig};

use crate::table::Table;

mod corpus;
mod cost;
mod generator;
mod labels;
mod oracle;
mod random;
mod values;

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
    other_providers: usize,
    false_acceptances: usize,
    on_purpose: usize,
    false_refusals: usize,
}

/// Parts of the errors for label sets that Traefik enables and the hub refuses on purpose.
const ON_PURPOSE: [&str; 18] = [
    "never match",
    "no request matches both",
    "connections of all services",
    "nested parentheses or negations",
    // Requests or connections fail, or health checks, or responses while the circuit is open.
    "which forwardauth needs",
    "which inflightreq needs",
    "a scheme such as",
    "inflightconn.amount: ",
    "headerfield: ",
    "dialtimeout: ",
    "healthcheck.scheme: ",
    "healthcheck.method: ",
    "healthcheck.status: ",
    "circuitbreaker.responsecode: ",
    // The middleware has no effect.
    "status: expected a status code",
    // Bounds: timers that fire without a pause.
    "expected a duration of at least 1ms",
    // Weaker TLS than the label says.
    "expected one of \"VersionTLS10\"",
    "expected one of \"TLS_RSA",
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut oracle = oracle::Oracle::start()?;
    let mut generator = generator::Generator::new(args.seed, corpus::rules()?, labels::Sets::read()?);
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    let mut shown = 0;
    let mut left = args.cases;
    while left > 0 {
        let cases: Vec<_> = (0..left.min(BATCH)).map(|number| (number, generator.case(number))).collect();
        left -= cases.len();
        let disabled = oracle.disabled(&cases.iter().collect::<Vec<_>>())?;
        let verdicts = verdicts(&cases);
        let suspects = cases.iter().zip(&verdicts);
        let suspects =
            suspects.filter(|((number, _), verdict)| verdict.is_err() && !disabled.contains_key(number));
        let failing = oracle.failing(&suspects.map(|(case, _)| case).collect::<Vec<_>>())?;
        for ((number, case), verdict) in cases.iter().zip(&verdicts) {
            let reason = disabled.get(number);
            let counts = kinds.entry(case.kind).or_default();
            counts.cases += 1;
            counts.disabled += usize::from(reason.is_some());
            let contains = |text: &str, parts: &[&str]| parts.iter().any(|part| text.contains(part));
            match (verdict, reason) {
                (Ok(()), Some(reason)) if reason.contains('@') && !reason.contains("@http") => {
                    counts.other_providers += 1;
                    continue;
                }
                (Ok(()), Some(_)) => counts.false_acceptances += 1,
                (Err(error), None) if contains(error, &ON_PURPOSE) || failing.contains(number) => {
                    counts.on_purpose += 1;
                    continue;
                }
                (Err(error), None) => {
                    counts.false_refusals += 1;
                    *refusals.entry(reason_of(*number, error)).or_default() += 1;
                }
                _ => continue,
            }
            if shown < args.show {
                shown += 1;
                eprintln!("{:?}\n  hub: {verdict:?}\n  Traefik: {reason:?}", case.labels);
            }
        }
    }
    print!("{}", table(&kinds));
    for (reason, count) in refusals {
        println!("- {count} × {reason}");
    }
    let false_acceptances: usize = kinds.values().map(|counts| counts.false_acceptances).sum();
    ensure!(
        false_acceptances == 0,
        "{false_acceptances} label sets are accepted although Traefik disables them"
    );
    println!();
    cost::run()
}

/// The hub's verdicts. References lead to definitions of all accepted label sets.
fn verdicts(cases: &[(usize, Case)]) -> Vec<Result<(), String>> {
    let read = |(number, case): &(usize, Case)| {
        let labels = case.labels.iter().map(|(key, value)| (format!("traefik.{key}"), value.clone()));
        let labels = Labels(labels.collect());
        ServiceConfig::read(&oracle::service(*number), &labels, &Exposure::default())
    };
    let configs: Vec<_> = cases.iter().map(read).collect();
    let claims = configs.iter().flatten().flat_map(ServiceConfig::claims);
    let defined: HashSet<_> = claims.map(|(protocol, kind, name, _)| (protocol, kind, name)).collect();
    let is_missing = |reference: &&Reference| {
        !defined.contains(&(reference.protocol.as_str(), reference.kind, reference.name.as_str()))
    };
    let verdict = |config: &Result<ServiceConfig, LabelErrors>| match config {
        Ok(config) => config
            .references()
            .iter()
            .find(is_missing)
            .map_or(Ok(()), |reference| Err(reference.unresolved())),
        Err(errors) => Err(errors.to_string()),
    };
    configs.iter().map(verdict).collect()
}

/// The first error, without the name of the service and the value.
fn reason_of(number: usize, errors: &str) -> String {
    let first = errors.split("; traefik.").next().unwrap_or_default().replace(&oracle::service(number), "*");
    first.split(", got").next().unwrap_or_default().to_owned()
}

fn table(kinds: &BTreeMap<&str, Counts>) -> Table {
    let mut table = Table::new(&[
        "kind",
        "label sets",
        "disabled by Traefik",
        "other providers",
        "false acceptances",
        "refused on purpose",
        "false refusals",
    ]);
    let mut total = Counts::default();
    let mut row = |kind: &str, counts: &Counts| {
        let counts = [
            counts.cases,
            counts.disabled,
            counts.other_providers,
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
        total.other_providers += counts.other_providers;
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
