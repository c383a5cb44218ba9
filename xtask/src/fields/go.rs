//! As much of Go as declares Traefik's configuration: structs, their tags, and names for other types.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A type's declaration.
#[derive(Debug)]
pub(super) enum Declaration {
    Struct(Vec<Field>),
    /// Another name for this type.
    Named(String),
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name; of an embedded struct, empty.
    pub(super) name: String,
    /// Its type, as it is written.
    pub(super) kind: String,
    /// What stands between backticks after it.
    tag: String,
}

impl Field {
    /// The part of the tag that is called `key`, without options after a comma.
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        let at = format!(" {}", self.tag).find(&format!(" {key}:\""))?;
        let value = &self.tag[at + key.len() + 2..];
        value.split(['"', ',']).next()
    }
}

/// The types that the packages declare which have been read, each under PACKAGE.NAME.
#[derive(Debug, Default)]
pub(super) struct Packages(BTreeMap<String, Declaration>);

impl Packages {
    /// Reads all files of the package `name` that lie in `directory`.
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

    /// What `text`, a file of the package `name`, declares.
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

    /// What `kind` is called everywhere, where `package` calls it so.
    pub(super) fn full_name(package: &str, kind: &str) -> String {
        match kind.split_once('.') {
            // The names under which Traefik's files import packages.
            Some(("traefiktls", name)) => format!("tls.{name}"),
            Some(_) => kind.to_owned(),
            None => format!("{package}.{kind}"),
        }
    }

    /// The declaration of the type with this full name.
    pub(super) fn get(&self, name: &str) -> Option<&Declaration> {
        self.0.get(name)
    }
}

/// A field, if `line` is one and not a comment or empty.
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
