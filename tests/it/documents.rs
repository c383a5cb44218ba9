//! Links and paths in documents, and the versions of images.

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

/// Files below `path` whose names end in one of `endings`.
fn files(path: &Path, endings: &[&str]) -> Vec<PathBuf> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries.flat_map(|entry| files(&entry.unwrap().path(), endings)).collect();
    }
    let is_wanted = endings.iter().any(|ending| path.to_string_lossy().ends_with(ending));
    if is_wanted { vec![path.to_owned()] } else { Vec::new() }
}

/// The text after each name of an image of this project in `line`, such as `:0.2.0` or nothing.
fn image_tags(line: &str) -> impl Iterator<Item = &str> {
    let names = harness::binaries::names().into_iter().chain(["nginx", "weather"]);
    names.flat_map(move |name| {
        let pattern = format!("swarmlings/{name}");
        let tags = line.match_indices(&pattern).map(|(start, _)| &line[start + pattern.len()..]);
        // Another name, or a path.
        let tags = tags
            .filter(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || "-/.".contains(next)));
        tags.collect::<Vec<_>>()
    })
}

#[test]
fn images_have_the_version_of_this_checkout() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let version = env!("CARGO_PKG_VERSION");
    let places = [
        "Dockerfile",
        "stacks",
        "tests/stacks",
        "docs",
        "README.md",
        "load/README.md",
        "xtask/src/new/template",
    ];
    let files = places.iter().flat_map(|place| files(&root.join(place), &[".yml", ".md", "Dockerfile"]));
    let (mut checked, mut wrong) = (0, Vec::new());
    for file in files {
        // Files that other tests add for a moment.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in text.lines() {
            let mut tags = image_tags(line);
            let defaults = line.split("SWARMLINGS_TAG:-").skip(1);
            let is_right = !line.contains(":latest")
                && !line.contains(":-latest")
                // Examples of updates have the tag 2.
                && tags.all(|tag| tag.starts_with(&format!(":{version}")) || tag.starts_with(":2 "))
                && defaults.clone().all(|tag| tag.starts_with(&format!("{version}}}")));
            checked += defaults.count();
            if !is_right {
                wrong.push(format!("{}: {line}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "images without a version, or of another one:\n{}", wrong.join("\n"));
    assert!(checked > 20, "only {checked} images were found");
}
