//! Adds stages to the text of a Dockerfile, and removes them.

use std::ops::Range;

use anyhow::{Context, Result};

/// Beginning of a service's stage.
const SERVICE: &str = "FROM service AS ";

/// The names of all stages.
pub(crate) fn stages(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(name)
}

/// Adds `stage` after the last service's stage.
pub(crate) fn with(text: &str, stage: &str) -> Result<String> {
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with(SERVICE));
    let last = last.with_context(|| format!("no stage of the Dockerfile starts with `{SERVICE}`"))?;
    let (before, after) = lines.split_at(extent(&lines, last).end);
    let added: Vec<_> = [""].into_iter().chain(stage.lines()).collect();
    Ok(joined(&[before, &added, after].concat()))
}

/// Removes the stage `name`; `None` if there is no such stage.
pub(crate) fn without(text: &str, name: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().collect();
    let first = lines.iter().position(|line| self::name(line) == Some(name))?;
    let stage = extent(&lines, first);
    // Including the blank line above it.
    let start = stage.start.saturating_sub(usize::from(stage.start > 0 && lines[stage.start - 1].is_empty()));
    Some(joined(&[&lines[..start], &lines[stage.end..]].concat()))
}

fn name(line: &str) -> Option<&str> {
    line.strip_prefix("FROM ")?.rsplit_once(" AS ").map(|(_image, name)| name)
}

/// The lines of the stage whose FROM is at `first`, including the comment above it, but not the next stage's comment.
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
    fn stage_is_added_after_the_last_service_and_removed_again() {
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
    fn stage_is_added_at_the_end() {
        let text = "FROM service AS ping\nCOPY ping /ping\n";
        let added = with(text, STAGE).unwrap();
        assert_eq!(added, format!("{text}\n{STAGE}"));
        assert_eq!(without(&added, "weather").unwrap(), text);
    }

    #[test]
    fn rest_of_the_projects_dockerfile_is_unchanged() {
        let text = include_str!("../../../Dockerfile");
        assert_eq!(without(&with(text, STAGE).unwrap(), "weather").unwrap(), text);
    }

    #[test]
    fn dockerfile_without_services_is_rejected() {
        let error = with("FROM scratch AS hub\n", STAGE).unwrap_err().to_string();
        assert_eq!(error, "no stage of the Dockerfile starts with `FROM service AS `");
    }
}
