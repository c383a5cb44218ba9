//! The bench's part of docs/BENCHMARKS.md.

use super::measure::Measured;
use super::scaling::Scaling;
use super::table;
use super::wrk::SCENARIOS;
use crate::plan::Plan;

/// The whole section.
pub(super) fn section(machine: &str, plan: Plan, measured: &[Measured], scaling: Option<&Scaling>) -> String {
    let Plan { rounds, seconds } = plan;
    let mut parts = vec![
        "## Speed and memory of a service\n".to_owned(),
        format!(
            "Ping as it is in images, with limits, drain, metrics and admin port, beside servers that give the same\n\
             answer: status 200, `Pong from HOST` as plain text. Medians of {rounds} rounds with {seconds} s of load for \
             each figure; in a\nround all servers have their turn with one load before the next begins, so that what \
             disturbs one disturbs all.\nTrust ratios, not absolutes.\n"
        ),
        machine.to_owned(),
        "### Bars\n".to_owned(),
        table::demands(measured, scaling),
        "### Ratios\n".to_owned(),
        "Median of the rounds' ratios, with the least and the greatest.\n".to_owned(),
        table::ratios(measured),
    ];
    for scenario in SCENARIOS {
        let name = scenario.name();
        let mut letters = name.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
        parts.push(format!("### {}{}\n", capital.map(String::from).unwrap_or_default(), letters.as_str()));
        parts.push(table::load(measured, scenario));
    }
    parts.push("### Memory and start\n".to_owned());
    parts.push(
        "Memory is what is resident (`VmRSS`), of the largest process where there are several. The start is from spawning\n\
         the process to the first bytes of an answer, by a client on another core that tries to connect again and\n\
         again.\n"
            .to_owned(),
    );
    parts.push(table::footprint(measured));
    parts.push("### Threads\n".to_owned());
    match scaling {
        Some(scaling) => {
            parts.push(
                "Server and load are wherever the kernel puts them. Where they have to share the cores, it is the requests \
                 for the\nsame processor time that tell whether threads hinder each other.\n"
                    .to_owned(),
            );
            parts.push(table::scaling(scaling));
        }
        None => parts.push("Not measured: this machine has only one core.\n".to_owned()),
    }
    parts.join("\n")
}
