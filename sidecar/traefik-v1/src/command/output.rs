//! A translation, to be pasted. Writing to a text cannot fail.

use std::fmt::Write;

use super::Format;
use super::translated::{Place, Translated};

/// Writes it. What is to be said of labels stands above those of its place, as comments.
pub(crate) fn write(translated: &[Translated], format: Format) -> String {
    let mut text = String::new();
    match format {
        Format::List => list(translated, &mut text),
        Format::Yaml => yaml(translated, &mut text),
    }
    text
}

fn list(translated: &[Translated], text: &mut String) {
    for one in translated {
        if one.place != Place::Alone {
            comment(0, &one.service, text);
        }
        remarks(0, one, text);
        for (key, value) in &one.labels {
            // As a shell or `docker service update` wants it: not doubled.
            let value = if one.place == Place::Alone { value.clone() } else { value.replace("$$", "$") };
            let _ = writeln!(text, "{key}={}", value.replace('\n', "\\n"));
        }
    }
}

fn yaml(translated: &[Translated], text: &mut String) {
    let mut before: Option<&str> = None;
    for one in translated {
        if one.place == Place::Alone {
            map(0, one, text);
            continue;
        }
        if before.is_none() {
            text.push_str("services:\n");
        }
        if before != Some(&one.service) {
            let _ = writeln!(text, "  {}:", quoted(&one.service));
        }
        before = Some(&one.service);
        if one.place == Place::Deploy {
            text.push_str("    deploy:\n");
        }
        map(if one.place == Place::Deploy { 6 } else { 4 }, one, text);
    }
}

fn map(indent: usize, one: &Translated, text: &mut String) {
    let spaces = " ".repeat(indent);
    if one.labels.is_empty() {
        let _ = writeln!(text, "{spaces}labels: {{}}");
    } else {
        let _ = writeln!(text, "{spaces}labels:");
    }
    remarks(indent + 2, one, text);
    for (key, value) in &one.labels {
        let _ = writeln!(text, "{spaces}  {}: {}", quoted(key), quoted(value));
    }
}

fn remarks(indent: usize, one: &Translated, text: &mut String) {
    for fault in &one.faults {
        comment(indent, &format!("FAULTY: {fault}"), text);
    }
    for warning in &one.warnings {
        comment(indent, warning, text);
    }
}

fn comment(indent: usize, words: &str, text: &mut String) {
    let words: String = words
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    let _ = writeln!(text, "{}# {words}", " ".repeat(indent));
}

/// The text as YAML reads it as a text, and as nothing else.
fn quoted(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if !text
        .contains(|c: char| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
            format!("\\u{:04x}", u32::from(c))
        }
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// Whether it needs no quotes: words and paths that are neither a number nor a truth, in any YAML.
fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(is_inner)
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use yaml_rust2::YamlLoader;

    use super::*;

    #[test]
    fn what_is_quoted_is_read_as_the_same_text() {
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
            "demo_ping--stripprefix",
        ] {
            let written = format!("{}: {}\n", quoted(text), quoted(text));
            let read =
                YamlLoader::load_from_str(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
            let (key, value) = read[0].as_hash().unwrap().front().unwrap();
            assert_eq!((key.as_str(), value.as_str()), (Some(text), Some(text)), "{written}");
        }
    }
}
