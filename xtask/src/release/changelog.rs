//! CHANGELOG.md, in the format of Keep a Changelog.

use anyhow::{Context, Result, ensure};

use super::version::Version;

/// Heading of changes that are in no release.
const UNRELEASED: &str = "## [Unreleased]";

/// The notes on `version`: the text of its section, without its heading.
pub(crate) fn notes<'a>(text: &'a str, version: &str) -> Result<&'a str> {
    section(text, &format!("## [{version}] - "))
        .with_context(|| format!("CHANGELOG.md has no section `## [{version}] - DATE`"))
}

/// Moves what is unreleased to a section of its own.
pub(super) fn released(text: &str, version: Version, date: &str) -> Result<String> {
    let changes =
        section(text, UNRELEASED).with_context(|| format!("CHANGELOG.md has no section `{UNRELEASED}`"))?;
    ensure!(
        !changes.is_empty(),
        "CHANGELOG.md: the section `{UNRELEASED}` is empty; describe what users notice"
    );
    ensure!(notes(text, &version.to_string()).is_err(), "CHANGELOG.md already has a section for {version}");
    Ok(text.replacen(UNRELEASED, &format!("{UNRELEASED}\n\n## [{version}] - {date}"), 1))
}

fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let start = if text.starts_with(heading) { 0 } else { text.find(&format!("\n{heading}"))? + 1 };
    let (_heading, rest) = text[start..].split_once('\n')?;
    Some(rest.find("\n## ").map_or(rest, |end| &rest[..end]).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a\n\n## [0.1.0] - 2026-01-01\n\n- b\n";

    #[test]
    fn unreleased_changes_move_to_the_release() {
        let version: Version = "0.2.0".parse().unwrap();
        let text = released(TEXT, version, "2026-12-01").unwrap();
        assert!(text.contains("## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added"), "{text}");
        assert_eq!(notes(&text, "0.2.0").unwrap(), "### Added\n\n- a");
        assert_eq!(notes(&text, "0.1.0").unwrap(), "- b");
        let error = released(&text, version, "2026-12-01").unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
        let error = released(TEXT, "0.1.0".parse().unwrap(), "2026-12-01").unwrap_err().to_string();
        assert_eq!(error, "CHANGELOG.md already has a section for 0.1.0");
        let error = notes(TEXT, "0.2.0").unwrap_err().to_string();
        assert_eq!(error, "CHANGELOG.md has no section `## [0.2.0] - DATE`");
    }
}
