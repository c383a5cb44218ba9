//! Parser for the Go that declares Traefik's configuration: structs with tags, and named types.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Declaration of a type.
#[derive(Debug)]
pub(super) enum Declaration {
    Struct(Vec<Field>),
    /// A name for another type.
    Named(String),
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Name; empty for an embedded struct.
    pub(super) name: String,
    /// Type, as written.
    pub(super) kind: String,
    /// Text between backticks after the type.
    tag: String,
}

impl Field {
    /// Returns the value of `key` in the tag, without options after a comma.
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let at = format!(" {}", self.tag).find(&format!(" {key}:\""))?;
        let value = &self.tag[at + key.len() + 2..];
        value.split(['"', ',']).next()
    }
}

/// Declared types by PACKAGE.NAME.
#[derive(Debug, Default)]
pub(super) struct Packages(BTreeMap<String, Declaration>);

impl Packages {
    /// Reads all files of the package `name` in `directory`.
    pub(super) fn read(&mut self, name: &str, directory: &Path) -> Result<()> {
        let files = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
        for file in files {
            let path = file.with_context(|| format!("reading {}", directory.display()))?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_go = path.extension().is_some_and(|extension| extension == "go");
            if is_go && !stem.ends_with("_test") && !stem.starts_with("zz_") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                self.add(name, &text);
            }
        }
        Ok(())
    }

    /// Adds the declarations in `text`, a file of the package `name`.
    pub(super) fn add(&mut self, name: &str, text: &str) {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some((declared, kind)) = line.strip_prefix("type ").and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            let declaration = if kind == "struct {" {
                let fields = lines.by_ref().take_while(|line| *line != "}").filter_map(field);
                Declaration::Struct(fields.collect())
            } else if kind == "struct{}" {
                Declaration::Struct(Vec::new())
            } else {
                Declaration::Named(kind.to_owned())
            };
            self.0.insert(format!("{name}.{declared}"), declaration);
        }
    }

    /// Returns PACKAGE.NAME for `kind`, as named in `package`.
    pub(super) fn full_name(package: &str, kind: &str) -> String {
        match kind.split_once('.') {
            // Import aliases in Traefik's files.
            Some(("traefiktls", name)) => format!("tls.{name}"),
            Some(_) => kind.to_owned(),
            None => format!("{package}.{kind}"),
        }
    }

    /// Returns the declaration of PACKAGE.NAME.
    pub(super) fn get(&self, name: &str) -> Option<&Declaration> {
        self.0.get(name)
    }
}

/// Parses a field. Returns `None` for a comment or an empty line.
fn field(line: &str) -> Option<Field> {
    let line = line.trim();
    let (head, tag) = line.split_once('`').unwrap_or((line, ""));
    let tag = tag.trim_end_matches('`').to_owned();
    let words: Vec<_> = head.split_whitespace().collect();
    match words.as_slice() {
        [first, ..] if first.starts_with("//") => None,
        [kind] => Some(Field { name: String::new(), kind: (*kind).to_owned(), tag }),
        [name, kind, ..] => Some(Field { name: (*name).to_owned(), kind: (*kind).to_owned(), tag }),
        [] => None,
    }
}
