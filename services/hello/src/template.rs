//! The text of a greeting, with places for the name and the host.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// Maximum size of a file in bytes. Docker limits a config to 1 MB, which each response would carry.
const MAX_SIZE: usize = 16 << 10;

/// The text of a greeting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name,
    Host,
}

impl Template {
    /// Reads a template from a file. The error names the file.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let failed = |cause: &dyn Display| format!("greeting file {}: {cause}", file.display());
        let bytes = fs::read(file).map_err(|error| failed(&error))?;
        if bytes.len() > MAX_SIZE {
            return Err(failed(&format_args!("{} bytes, the maximum is {MAX_SIZE}", bytes.len())));
        }
        let text = String::from_utf8(bytes).map_err(|error| failed(&error.utf8_error()))?;
        text.parse().map_err(|error: String| failed(&error))
    }

    /// Returns the greeting of `name` from `host`.
    pub(crate) fn fill(&self, name: &str, host: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Name => name,
            Part::Host => host,
        });
        parts.collect()
    }
}

impl Default for Template {
    fn default() -> Self {
        let text = |text: &str| Part::Text(text.to_owned());
        // The article's.
        Self(vec![text("Hello, "), Part::Name, text("! (from "), Part::Host, text(")\n")])
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (before, found) = rest.split_at(start);
            let line = || 1 + text[..text.len() - found.len()].matches('\n').count();
            let (part, length) = if found.starts_with("{{") || found.starts_with("}}") {
                (Part::Text(found[..1].to_owned()), 2)
            } else if found.starts_with("{name}") {
                (Part::Name, 6)
            } else if found.starts_with("{host}") {
                (Part::Host, 6)
            } else {
                let shown: String = found.chars().take_while(|&c| c != '\n').take(20).collect();
                return Err(format!(
                    "line {}: expected {{name}}, {{host}}, {{{{ or }}}}, found `{shown}`",
                    line()
                ));
            };
            parts.extend([Part::Text(before.to_owned()), part]);
            rest = &found[length..];
        }
        parts.push(Part::Text(rest.to_owned()));
        if !text.ends_with('\n') {
            parts.push(Part::Text("\n".to_owned()));
        }
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        text.parse::<Template>().unwrap().fill("Viktor", "hello-1")
    }

    #[test]
    fn default_is_the_articles_text() {
        assert_eq!(Template::default(), "Hello, {name}! (from {host})\n".parse().unwrap());
        assert_eq!(Template::default().fill("Viktor", "hello-1"), "Hello, Viktor! (from hello-1)\n");
    }

    #[test]
    fn name_and_host_are_filled_in_wherever_they_occur() {
        assert_eq!(filled("{host}: {name}, {name}"), "hello-1: Viktor, Viktor\n");
        assert_eq!(filled("Grüezi,\n{name}\n"), "Grüezi,\nViktor\n");
        assert_eq!(filled("{{name}} {{{name}}}"), "{name} {Viktor}\n");
        assert_eq!(filled(""), "\n");
        // What a name contains is no template.
        assert_eq!("{name}".parse::<Template>().unwrap().fill("{host}", "hello-1"), "{host}\n");
    }

    #[test]
    fn other_braces_are_rejected_with_their_line() {
        for (text, found) in [
            ("a\n{nam}", "line 2: expected {name}, {host}, {{ or }}, found `{nam}`"),
            ("{", "line 1: expected {name}, {host}, {{ or }}, found `{`"),
            ("\n\n} b\nc", "line 3: expected {name}, {host}, {{ or }}, found `} b`"),
        ] {
            assert_eq!(text.parse::<Template>().unwrap_err(), found);
        }
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("greeting");
        let failure = |content: &[u8]| {
            fs::write(&file, content).unwrap();
            let error = Template::read(&file).unwrap_err();
            error.strip_prefix(&format!("greeting file {}: ", file.display())).unwrap().to_owned()
        };
        assert_eq!(failure(&vec![b'a'; MAX_SIZE + 1]), "16385 bytes, the maximum is 16384");
        assert!(failure(b"a\xff").contains("invalid utf-8 sequence of 1 bytes from index 1"));
        assert!(failure(b"{x}").starts_with("line 1: "));
        fs::remove_file(&file).unwrap();
        assert!(Template::read(&file).unwrap_err().contains("No such file"));
    }
}
