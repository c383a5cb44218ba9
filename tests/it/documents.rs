//! Links and paths in documents.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories of documents.
const DIRECTORIES: [&str; 6] = ["", "docs", "load", "services/echo", "tests", "xtask"];

/// Beginnings of paths from the root of the repository.
const TOP_LEVEL: [&str; 9] =
    ["docs/", "fuzz/", "lib/", "load/", "services/", "sidecar/", "stacks/", "tests/", "xtask/"];

/// Targets of Markdown links, relative to the document.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Paths in code spans, relative to the root.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |span: &&str| {
        TOP_LEVEL.iter().any(|directory| span.starts_with(directory))
            && span.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
            // The example of `cargo xtask new`.
            && !span.contains("weather")
    };
    line.split('`').skip(1).step_by(2).filter(is_path)
}

fn documents(root: &Path) -> impl Iterator<Item = PathBuf> {
    let files = DIRECTORIES.iter().flat_map(|directory| fs::read_dir(root.join(directory)).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
}

#[test]
fn documents_name_only_paths_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut checked, mut missing) = (0, Vec::new());
    for document in documents(&root) {
        let directory = document.parent().unwrap();
        for line in fs::read_to_string(&document).unwrap().lines() {
            let links = links(line).map(|link| directory.join(link));
            for path in links.chain(paths(line).map(|path| root.join(path))) {
                checked += 1;
                if !path.exists() {
                    missing.push(format!("{}: {}", document.display(), path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(checked > 100, "only {checked} links and paths were found");
}
