//! The hub's page in a browser during a rolling update, through the Traefik of a node, and Traefik's dashboard.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Browser, LabStack, eventually};
use serde_json::json;

use crate::png;

const LONG: Duration = Duration::from_mins(2);

#[test]
fn page_follows_a_rolling_update() {
    let demo = LabStack::demo_with_hubs(3).unwrap();
    let browser = Browser::start(1100, 900).unwrap();
    let text = |selector: &str| -> Result<String> {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(selector));
        Ok(browser.run(&script)?.as_str().unwrap_or_default().to_owned())
    };
    let wait_for = |selector: &str, parts: &[&str]| {
        eventually(LONG, || {
            let shown = text(selector)?;
            ensure!(parts.iter().all(|part| shown.contains(part)), "no {parts:?} in {selector}: {shown}");
            Ok(())
        })
        .unwrap();
    };
    let node = demo.lab().node("worker-1").unwrap();
    let page = demo.url(node, "/hub/");
    let token = demo.master().role("reader");
    browser.visit(&page.replace("://", &format!("://people:{token}@"))).unwrap();
    wait_for("#summary", &["5 of 5 tasks routed"]);
    for node in demo.lab().nodes() {
        wait_for("#tasks", &[node.name()]);
    }
    demo.stack().start_update("hello").unwrap();
    // The page reports each phase of the new tasks and of the old ones, without a reload.
    wait_for("#events", &["routed", "withdrawn", "unrouted", "stopped"]);
    let service = demo.stack().service("hello");
    demo.stack().wait_updated("hello", LONG).unwrap();
    wait_for("#summary", &["5 of 5 tasks routed"]);
    wait_for("#update", &[&service]);
    assert_eq!(browser.console().unwrap(), [""; 0], "a browser reports violations of the policy here");
    png::save("hub", &browser.screenshot(None).unwrap());
    // Traefik's own page has the routers of the same labels.
    let dashboard = |user: &str| format!("http://{user}{}:8080/dashboard/#/http/routers", node.address());
    browser.visit(&dashboard("admin:dashboard@")).unwrap();
    // A page whose URL has a password cannot fetch anything. The browser has learnt it.
    browser.visit("about:blank").unwrap();
    browser.visit(&dashboard("")).unwrap();
    wait_for("body", &["hello@http", "ping@http", "PathPrefix(`/hello/`)"]);
    png::save("dashboard", &browser.screenshot(None).unwrap());
}
