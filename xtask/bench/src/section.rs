//! Flags of the benches that compare programs, and their sections of docs/BENCHMARKS.md.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xtask::build::root;

const FILE: &str = "docs/BENCHMARKS.md";

/// Flags of `cargo xtask bench services` and `cargo xtask bench load`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of rounds; each round measures every program once
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) rounds: u16,
    /// Duration of each load, in whole seconds
    #[arg(long = "duration", value_name = "DURATION", default_value = "3s", value_parser = whole_seconds)]
    pub(super) seconds: u16,
    /// Also write the result into docs/BENCHMARKS.md
    #[arg(long)]
    write: bool,
}

impl Args {
    /// Prints the section of `cargo xtask bench NAME`, and writes it into the file if `--write` was given.
    pub(super) fn publish(&self, name: &str, section: &str) -> Result<()> {
        print!("{section}");
        if self.write { write(name, section) } else { Ok(()) }
    }
}

/// Writes the section of `cargo xtask bench NAME` into the file.
pub(super) fn write(name: &str, section: &str) -> Result<()> {
    let path = root().join(FILE);
    let document = fs::read_to_string(&path).with_context(|| format!("reading {FILE}"))?;
    let document = replace(&document, name, section)?;
    fs::write(&path, document).with_context(|| format!("writing {FILE}"))
}

/// Parses a duration of whole seconds, the only kind that wrk takes.
fn whole_seconds(text: &str) -> Result<u16, String> {
    let duration = parse::duration(text).map_err(|error| error.to_string())?;
    let seconds = u16::try_from(duration.as_secs()).unwrap_or_default();
    if seconds > 0 && duration == Duration::from_secs(seconds.into()) {
        Ok(seconds)
    } else {
        Err("expected whole seconds, such as 3s".to_owned())
    }
}

/// Replaces the text between the two marks of `name` in `document`; without marks, appends it at the end.
fn replace(document: &str, name: &str, section: &str) -> Result<String> {
    let [begin, end] = marks(name);
    match (document.split_once(&begin), document.split_once(&end)) {
        (None, None) => {
            let gap = if document.ends_with("\n\n") { "" } else { "\n" };
            Ok(format!("{document}{gap}{begin}{section}{end}"))
        }
        (Some((before, _)), Some((until_end, after))) if until_end.contains(&begin) => {
            Ok(format!("{before}{begin}{section}{end}{after}"))
        }
        _ => bail!("replacing a section of {FILE}: expected the line {begin:?} and, after it, {end:?}"),
    }
}

fn marks(name: &str) -> [String; 2] {
    ["begin", "end"].map(|mark| format!("<!-- cargo xtask bench {name}: {mark} -->\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: &str = "# Benchmarks\n\n";

    #[test]
    fn replaces_only_the_text_between_the_marks() {
        let [begin, end] = marks("services");
        let replace_services = |document: &str, section| replace(document, "services", section).unwrap();
        let first = replace_services(TITLE, "one\n");
        assert_eq!(first, format!("{TITLE}{begin}one\n{end}"));
        let with_text = format!("{first}\n## Sizes\n");
        assert_eq!(replace_services(&with_text, "two\n"), with_text.replace("one", "two"));
        assert_eq!(replace_services("# Sizes\n", "one\n"), format!("# Sizes\n\n{begin}one\n{end}"));
        let [load_begin, _] = marks("load");
        let both = replace(&first, "load", "three\n").unwrap();
        assert!(both.starts_with(&first) && both.contains(&load_begin), "{both}");
    }

    #[test]
    fn missing_or_swapped_marks_are_an_error() {
        let [begin, end] = marks("load");
        for broken in [&begin, &end, &format!("{end}{begin}")] {
            assert!(replace(broken, "load", "one\n").is_err(), "{broken:?}");
        }
    }

    #[test]
    fn load_lasts_whole_seconds() {
        assert_eq!(whole_seconds("3s"), Ok(3));
        assert_eq!(whole_seconds("1m"), Ok(60));
        for bad in ["3", "0s", "1.5s", "1500ms", "-1s", ""] {
            assert!(whole_seconds(bad).is_err(), "{bad:?}");
        }
    }
}
