//! Invariant 10: what is pure stays so. Read off the source, since the compiler does not tell.

use std::fs;
use std::path::{Path, PathBuf};

/// What does I/O or reads a clock.
const IMPURE: [&str; 9] = [
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::net::{Tcp",
    "std::net::Tcp",
    "std::env",
    "std::process",
    "tokio",
    "tracing",
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let below = fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path()));
    below.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn protocol_registry_routers_and_rendering_do_no_io_and_read_no_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sidecar");
    let pure = [
        "protocol/src",
        "hub/src/registry.rs",
        "hub/src/routers.rs",
        "hub/src/specs.rs",
        "traefik/src",
        "agent/src/node",
        "agent/src/container.rs",
        "agent/src/network.rs",
        "agent/src/services.rs",
        "agent/src/ledger.rs",
    ];
    let mut lines = 0;
    for source in pure.iter().flat_map(|path| sources(&root.join(path))) {
        let text = fs::read_to_string(&source).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        lines += code.lines().count();
        for word in IMPURE {
            assert!(!code.contains(word), "{} has {word}", source.display());
        }
    }
    assert!(lines > 500, "only {lines} lines were looked at");
}
