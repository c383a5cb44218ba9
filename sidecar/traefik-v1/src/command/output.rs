//! Output of a translation.

use std::fmt::Write;

use super::Format;
use super::input::Placement;
use super::translate::TranslatedSet;

/// Writes the labels, with diagnostics as comments above them. Writing to a string cannot fail.
pub(crate) fn write(sets: &[TranslatedSet], format: Format) -> String {
    let mut text = String::new();
    match format {
        Format::List => sets.iter().for_each(|set| write_lines(set, &mut text)),
        Format::Yaml => write_yaml(sets, &mut text),
    }
    text
}

/// Returns the diagnostics of a set as lines for stderr, with its place in the stack file.
pub(crate) fn diagnostics(set: &TranslatedSet) -> impl Iterator<Item = String> {
    let place = match set.placement {
        Placement::Labels => format!("services.{}.labels: ", set.service),
        Placement::DeployLabels => format!("services.{}.deploy.labels: ", set.service),
        Placement::Bare => String::new(),
    };
    let errors = set.errors.iter().map(|error| ("error", error));
    let warnings = set.warnings.iter().map(|warning| ("warning", warning));
    errors.chain(warnings).map(move |(level, diagnostic)| format!("{place}{level}: {diagnostic}"))
}

fn write_lines(set: &TranslatedSet, text: &mut String) {
    let is_in_stack = set.placement != Placement::Bare;
    if is_in_stack {
        write_comment(0, &set.service, text);
    }
    write_diagnostics(0, set, text);
    for (key, value) in &set.labels.0 {
        // Outside of a stack file, a dollar is not doubled.
        let value = if is_in_stack { value.replace("$$", "$") } else { value.clone() };
        let _ = writeln!(text, "{key}={}", value.replace('\n', "\\n"));
    }
}

fn write_yaml(sets: &[TranslatedSet], text: &mut String) {
    let mut previous: Option<&str> = None;
    for set in sets {
        if set.placement == Placement::Bare {
            write_map(0, set, text);
            continue;
        }
        if previous.is_none() {
            text.push_str("services:\n");
        }
        if previous != Some(&set.service) {
            let _ = writeln!(text, "  {}:", quote(&set.service));
        }
        previous = Some(&set.service);
        if set.placement == Placement::DeployLabels {
            text.push_str("    deploy:\n");
        }
        write_map(if set.placement == Placement::DeployLabels { 6 } else { 4 }, set, text);
    }
}

fn write_map(indent: usize, set: &TranslatedSet, text: &mut String) {
    let spaces = " ".repeat(indent);
    let _ = writeln!(text, "{spaces}labels:{}", if set.labels.0.is_empty() { " {}" } else { "" });
    write_diagnostics(indent + 2, set, text);
    for (key, value) in &set.labels.0 {
        let _ = writeln!(text, "{spaces}  {}: {}", quote(key), quote(value));
    }
}

fn write_diagnostics(indent: usize, set: &TranslatedSet, text: &mut String) {
    for error in &set.errors {
        write_comment(indent, &format!("ERROR: {error}"), text);
    }
    for warning in &set.warnings {
        write_comment(indent, &warning.to_string(), text);
    }
}

fn write_comment(indent: usize, message: &str, text: &mut String) {
    let message: String = message
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    let _ = writeln!(text, "{}# {message}", " ".repeat(indent));
}

/// Quotes text where YAML would otherwise parse it as something else than this string.
fn quote(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if !text.contains(needs_escape) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if needs_escape(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether the text needs no quotes in any version of YAML: a word or a path that is neither a number nor a boolean.
fn is_plain(text: &str) -> bool {
    let reserved = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        && !reserved.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use yaml_rust2::YamlLoader;

    use super::*;

    #[test]
    fn quoted_text_parses_to_the_same_text() {
        for text in [
            "",
            "a",
            "/ping",
            "80",
            "true",
            "No",
            "~",
            "null",
            "1e3",
            "0x1",
            "a: b",
            "a #b",
            "it's",
            "`a`",
            "$$1",
            "\"a\"",
            "a\nb",
            "\t",
            "\\d",
            "- a",
            "{a}",
            "[a]",
            "*a",
            "&a",
            "!a",
            "a b ",
            "é",
            "\u{85}",
            "\u{feff}a",
            "Host(`a`) || Host(`b`)",
            "=",
            "<<",
            ".5",
            "demo-ping--stripprefix",
        ] {
            let written = format!("{}: {}\n", quote(text), quote(text));
            let read =
                YamlLoader::load_from_str(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
            let (key, value) = read[0].as_hash().unwrap().front().unwrap();
            assert_eq!((key.as_str(), value.as_str()), (Some(text), Some(text)), "{written}");
        }
    }
}
