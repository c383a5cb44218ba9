//! Invariant 11: pure modules do no I/O and read no clock. Checked in their source.

use std::fs;
use std::path::{Path, PathBuf};

/// Words of code that does I/O or reads a clock.
const IMPURE: [&str; 10] = [
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::net::{Tcp",
    "std::net::Tcp",
    "std::env",
    "std::process",
    "std::thread",
    "tokio",
    "tracing",
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let files = fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Checks the files and directories in `pure`, relative to `root`. They must have at least `at_least` lines.
fn assert_pure(root: &str, pure: &[&str], at_least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root);
    let mut lines = 0;
    for source in pure.iter().flat_map(|path| sources(&root.join(path))) {
        let text = fs::read_to_string(&source).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        lines += code.lines().count();
        for word in IMPURE {
            assert!(!code.contains(word), "{} has {word}", source.display());
        }
    }
    assert!(lines >= at_least, "only {lines} lines were checked");
}

#[test]
fn protocol_registry_and_rendering_are_pure() {
    let pure = [
        "protocol/src",
        "hub/src/address.rs",
        "hub/src/command/table.rs",
        "hub/src/explanation.rs",
        "hub/src/journal.rs",
        "hub/src/key.rs",
        "hub/src/leases.rs",
        "hub/src/rawdata.rs",
        "hub/src/plans.rs",
        "hub/src/prometheus.rs",
        "hub/src/questions.rs",
        "hub/src/registry.rs",
        "hub/src/reports.rs",
        "hub/src/routers.rs",
        "hub/src/specs.rs",
        "hub/src/ticket.rs",
        "traefik/src",
        "traefik-v1/src/headers.rs",
        "traefik-v1/src/keys.rs",
        "traefik-v1/src/lib.rs",
        "traefik-v1/src/middlewares.rs",
        "traefik-v1/src/names.rs",
        "traefik-v1/src/pattern.rs",
        "traefik-v1/src/redirect.rs",
        "traefik-v1/src/router.rs",
        "traefik-v1/src/rule.rs",
        "traefik-v1/src/segment.rs",
        "traefik-v1/src/service.rs",
        "traefik-v1/src/translator.rs",
        "traefik-v1/src/v2.rs",
        "traefik-v1/src/variables.rs",
        "traefik-v1/src/command/diff.rs",
        "traefik-v1/src/command/edit.rs",
        "traefik-v1/src/command/input.rs",
        "traefik-v1/src/command/report.rs",
        "traefik-v1/src/command/sharing.rs",
        "traefik-v1/src/command/translate.rs",
        "traefik-v1/src/command/yaml.rs",
        "agent/src/node",
        "agent/src/container.rs",
        "agent/src/services.rs",
        "agent/src/signal.rs",
        "agent/src/timestamp.rs",
        "agent/src/sync_state.rs",
    ];
    assert_pure("sidecar", &pure, 500);
}

#[test]
fn shared_parsers_are_pure() {
    assert_pure("lib", &["parse/src"], 200);
}

#[test]
fn statistics_and_reports_of_load_are_pure() {
    let pure = [
        "assertions.rs",
        "compare.rs",
        "engine/codec.rs",
        "error.rs",
        "format.rs",
        "instance.rs",
        "live/line.rs",
        "live/screen.rs",
        "live/snapshot.rs",
        "outages.rs",
        "pace.rs",
        "page.rs",
        "plan.rs",
        "presence.rs",
        "printable.rs",
        "recorder.rs",
        "report.rs",
        "statistics.rs",
        "statuses.rs",
        "summary.rs",
        "target.rs",
        "text.rs",
        "text/instances.rs",
        "timeline.rs",
    ];
    assert_pure("load/src", &pure, 1500);
}
