use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use harness::process::command;
use harness::{Binaries, Browser, LabStack, Process, SpawnOptions, eventually, http};
use load::page::page;
use load::report::Report;
use load::text::text;
use serde_json::json;

use crate::png;

const LONG: Duration = Duration::from_mins(2);

/// Replicas of the service that is updated.
const REPLICAS: usize = 3;

/// Pictures of the page: name, width, colour scheme, and the part in which they end.
const VIEWS: [(&str, u32, &str, &str); 3] = [
    ("load", 900, "light", "#latency-chart"),
    ("load-phone", 360, "light", "#timeline"),
    ("load-dark", 900, "dark", "#timeline"),
];

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn page_of_a_rolling_update_shows_each_handover() {
    let demo = LabStack::demo().unwrap();
    let scale = |replicas: usize| {
        let scale = format!("{}={replicas}", demo.stack().service("hello"));
        demo.lab().docker().run(&["service", "scale", "--detach=false", &scale]).unwrap();
    };
    let url = demo.url(&demo.lab().nodes()[0], "/plain/hello/viktor");
    scale(REPLICAS);
    let mut found = HashSet::new();
    eventually(LONG, || {
        found.extend(http::get(&url)?.served_by().map(str::to_owned));
        anyhow::Ok(found.len() == REPLICAS)
    })
    .unwrap();

    let directory = tempfile::tempdir().unwrap();
    let [json, html] = ["load.json", "load.html"].map(|name| directory.path().join(name));
    let mut load = command(Binaries::find().unwrap().path("load"));
    load.args([&url, "--rate", "200", "--duration", "1m", "--every", "5s"]);
    load.args(["--max-failed", "0", "--max-gap", "1s", "--min-instances", "6"]);
    load.arg("--json").arg(&json);
    let mut load = Process::spawn("load", &mut load, SpawnOptions::default()).unwrap();
    load.log().wait_for("3 of 3 instances active", LONG).unwrap();
    demo.stack().replace(&["hello"], LONG).unwrap();
    let status = load.wait(LONG).unwrap();
    scale(2);
    demo.wait_routed().unwrap();
    // The browser needs no lab.
    drop(demo);
    let report: Report = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(status.code(), Some(0), "{}", text(&report));
    assert_eq!(
        (report.instances.len(), report.handovers.len()),
        (2 * REPLICAS, REPLICAS),
        "{}",
        text(&report)
    );

    fs::write(&html, page(&report)).unwrap();
    let browser = Browser::start(1100, 900).unwrap();
    for (name, width, scheme, last) in VIEWS {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        browser.command("Emulation.setDeviceMetricsOverride", &size).unwrap();
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.command("Emulation.setEmulatedMedia", &media).unwrap();
        browser.open(&html).unwrap();
        let count = |what| {
            let script = format!("return document.querySelectorAll('#timeline-chart {what}').length");
            browser.run(&script).unwrap()
        };
        assert_eq!((count(".lane"), count(".hand")), (json!(2 * REPLICAS), json!(REPLICAS)), "{name}");
        let end = format!(
            "return Math.round(document.querySelector('{last}').getBoundingClientRect().bottom + scrollY)"
        );
        let height = browser.run(&end).unwrap().as_u64().unwrap();
        let picture = browser.screenshot(Some((width, u32::try_from(height).unwrap() + 14))).unwrap();
        png::save(name, &picture);
    }
}
