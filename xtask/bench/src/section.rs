//! A bench's part of docs/BENCHMARKS.md.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};
use xtask::build::root;

const FILE: &str = "docs/BENCHMARKS.md";

const TITLE: &str = "# Benchmarks\n\n";

/// Puts the section of `cargo xtask bench NAME` into the file, in place of an older one.
pub(super) fn write(name: &str, section: &str) -> Result<()> {
    let path = root().join(FILE);
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => TITLE.to_owned(),
        read => read.with_context(|| format!("reading {FILE}"))?,
    };
    fs::write(&path, placed(&before, name, section)?).with_context(|| format!("writing {FILE}"))
}

/// What is between these is the command's; all else in the file is left as it is.
fn marks(name: &str) -> [String; 2] {
    ["begin", "end"].map(|which| format!("<!-- cargo xtask bench {name}: {which} -->\n"))
}

/// `document` with the section between its marks; without marks it becomes the last one.
fn placed(document: &str, name: &str, section: &str) -> Result<String> {
    let [begin, end] = marks(name);
    match (document.split_once(&begin), document.split_once(&end)) {
        (None, None) => {
            let gap = if document.is_empty() || document.ends_with("\n\n") { "" } else { "\n" };
            Ok(format!("{document}{gap}{begin}{section}{end}"))
        }
        (Some((before, rest)), _) if rest.contains(&end) => {
            let (_, after) = rest.split_once(&end).unwrap_or_default();
            Ok(format!("{before}{begin}{section}{end}{after}"))
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
        let [begin, end] = marks("services");
        let place = |document: &str, section| placed(document, "services", section).unwrap();
        let first = place(TITLE, "one\n");
        assert_eq!(first, format!("{TITLE}{begin}one\n{end}"));
        let others = format!("{first}\n## Sizes\n");
        assert_eq!(place(&others, "two\n"), others.replace("one", "two"));
        assert_eq!(place("# Sizes\n", "one\n"), format!("# Sizes\n\n{begin}one\n{end}"));
        let [other, _] = marks("load");
        let both = placed(&first, "load", "three\n").unwrap();
        assert!(both.starts_with(&first) && both.contains(&other), "{both}");
    }

    #[test]
    fn half_a_pair_of_marks_is_an_error() {
        let [begin, end] = marks("load");
        for broken in [&begin, &end, &format!("{end}{begin}")] {
            assert!(placed(broken, "load", "one\n").is_err(), "{broken:?}");
        }
    }
}
