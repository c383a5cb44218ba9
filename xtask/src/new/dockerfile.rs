//! Stages of the Dockerfile: one is put in, or taken out, and nothing else changes.

use std::ops::Range;

use anyhow::{Context, Result};

/// What services' stages begin with.
const SERVICE: &str = "FROM service AS ";

/// The names of all stages.
pub(crate) fn stages(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(name)
}

/// `text` with `stage` behind the last service's.
pub(crate) fn with(text: &str, stage: &str) -> Result<String> {
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with(SERVICE));
    let last = last.with_context(|| format!("the Dockerfile has no stage that begins `{SERVICE}`"))?;
    let (before, after) = lines.split_at(extent(&lines, last).end);
    let added: Vec<_> = [""].into_iter().chain(stage.lines()).collect();
    Ok(joined(&[before, &added, after].concat()))
}

/// `text` without the stage `name`, unless there is none.
pub(crate) fn without(text: &str, name: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().collect();
    let first = lines.iter().position(|line| self::name(line) == Some(name))?;
    let stage = extent(&lines, first);
    // The blank line above goes with it.
    let start = stage.start.saturating_sub(usize::from(stage.start > 0 && lines[stage.start - 1].is_empty()));
    Some(joined(&[&lines[..start], &lines[stage.end..]].concat()))
}

fn name(line: &str) -> Option<&str> {
    line.strip_prefix("FROM ")?.rsplit_once(" AS ").map(|(_image, name)| name)
}

/// The lines of the stage whose FROM is at `first`, with the comment above it, and without that of the next.
fn extent(lines: &[&str], first: usize) -> Range<usize> {
    let comment = lines[..first].iter().rev().take_while(|line| line.starts_with('#')).count();
    let next = lines[first + 1..].iter().position(|line| line.starts_with("FROM "));
    let next = next.map_or(lines.len(), |next| first + 1 + next);
    let is_between = |line: &&&str| line.is_empty() || line.starts_with('#');
    let between = lines[..next].iter().rev().take_while(is_between).count();
    first - comment..next - between
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: &str = "FROM service AS weather\nCOPY weather /weather\n";

    #[test]
    fn a_stage_goes_behind_the_last_service_and_comes_out_again() {
        let text = "FROM scratch AS service\n\n# This is ping.\nFROM service AS ping\nCOPY ping /ping\n\n\
                    USER 1\n\n# This is the hub.\nFROM scratch AS hub\nCOPY hub /hub\n";
        let added = with(text, STAGE).unwrap();
        let expected = "USER 1\n\nFROM service AS weather\nCOPY weather /weather\n\n# This is the hub.\nFROM";
        assert!(added.contains(expected), "{added}");
        assert_eq!(stages(&added).collect::<Vec<_>>(), ["service", "ping", "weather", "hub"]);
        assert_eq!(without(&added, "weather").unwrap(), text);
        assert_eq!(without(text, "weather"), None);
        let rest = without(text, "ping").unwrap();
        assert_eq!(
            rest,
            "FROM scratch AS service\n\n# This is the hub.\nFROM scratch AS hub\nCOPY hub /hub\n"
        );
    }

    #[test]
    fn at_the_end_it_is_the_last() {
        let text = "FROM service AS ping\nCOPY ping /ping\n";
        let added = with(text, STAGE).unwrap();
        assert_eq!(added, format!("{text}\n{STAGE}"));
        assert_eq!(without(&added, "weather").unwrap(), text);
    }

    #[test]
    fn of_the_projects_own_dockerfile_nothing_else_changes() {
        let text = include_str!("../../../Dockerfile");
        assert_eq!(without(&with(text, STAGE).unwrap(), "weather").unwrap(), text);
    }

    #[test]
    fn without_any_service_there_is_no_place_for_one() {
        let error = with("FROM scratch AS hub\n", STAGE).unwrap_err().to_string();
        assert_eq!(error, "the Dockerfile has no stage that begins `FROM service AS `");
    }
}
