//! The bench's part of docs/BENCHMARKS.md.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};

use super::measure::{Measured, Plan};
use super::scaling::Scaling;
use super::table;
use super::wrk::SCENARIOS;
use crate::build::root;

const FILE: &str = "docs/BENCHMARKS.md";

/// What is between these is the command's; all else in the file is left as it is.
const BEGIN: &str = "<!-- cargo xtask bench services: begin -->\n";
const END: &str = "<!-- cargo xtask bench services: end -->\n";

const TITLE: &str = "# Benchmarks\n\n";

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

/// Puts the section into the file, in place of an older one.
pub(super) fn write(section: &str) -> Result<()> {
    let path = root().join(FILE);
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => TITLE.to_owned(),
        read => read.with_context(|| format!("reading {FILE}"))?,
    };
    fs::write(&path, placed(&before, section)?).with_context(|| format!("writing {FILE}"))
}

/// `document` with the section between its marks; without marks it becomes the last one.
fn placed(document: &str, section: &str) -> Result<String> {
    match (document.split_once(BEGIN), document.split_once(END)) {
        (None, None) => {
            let gap = if document.is_empty() || document.ends_with("\n\n") { "" } else { "\n" };
            Ok(format!("{document}{gap}{BEGIN}{section}{END}"))
        }
        (Some((before, rest)), _) if rest.contains(END) => {
            let (_, after) = rest.split_once(END).unwrap_or_default();
            Ok(format!("{before}{BEGIN}{section}{END}{after}"))
        }
        _ => bail!(
            "looking for a place in {FILE}: one of its marks is missing, or the end is before the beginning"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let first = placed(TITLE, "one\n").unwrap();
        assert_eq!(first, format!("{TITLE}{BEGIN}one\n{END}"));
        let others = format!("{first}\n## Sizes\n");
        assert_eq!(placed(&others, "two\n").unwrap(), others.replace("one", "two"));
        assert_eq!(placed("# Sizes\n", "one\n").unwrap(), format!("# Sizes\n\n{BEGIN}one\n{END}"));
    }

    #[test]
    fn half_a_pair_of_marks_is_an_error() {
        for broken in [BEGIN, END, &format!("{END}{BEGIN}")] {
            assert!(placed(broken, "one\n").is_err(), "{broken:?}");
        }
    }
}
