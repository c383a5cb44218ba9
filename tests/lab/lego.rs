//! `stacks/lego.sh`: certificates by ACME for a site on three hosts.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::acme::{self, Pebble};
use harness::certificates::presented;
use harness::docker::eventually_on_engine;
use harness::process::run_ok;
use harness::{Binaries, LabStack, Process, Signal, SpawnOptions, images, stack_file};

const LONG: Duration = Duration::from_mins(3);

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn certificate_by_acme_reaches_all_hosts_and_its_renewal_fails_no_request() {
    let mut demo = LabStack::demo_with_hubs(3).unwrap();
    let docker = demo.lab().docker().clone();
    let lego = acme::build_lego(&docker, demo.images()).unwrap();
    images::push(&docker, &lego).unwrap();
    demo.join("stacks/agent.yml", "agent", &[]).unwrap();
    let [leader, worker, _] = demo.lab().nodes() else { panic!("the lab has three nodes") };
    // The challenge arrives at another host than that of lego.
    let pebble = Pebble::start(demo.lab().subnet().registry().into(), worker.address()).unwrap();

    let directory = tempfile::tempdir().unwrap();
    fs::copy(pebble.ca(), directory.path().join("ca.pem")).unwrap();
    let stacks = directory.path().join("stacks");
    stack_file::copy_directory(&docker, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks"), &stacks)
        .unwrap();
    let get_certificate = |days: &str| {
        let mut script = demo.command(leader, "sh").unwrap();
        script.arg(stacks.join("lego.sh"));
        script.args(["docker", "stack", "deploy", "--resolve-image", "never"]);
        for file in ["demo.yml", "https.yml"] {
            script.arg("--compose-file").arg(stacks.join(file));
        }
        script.arg("demo");
        script
            .env("LEGO_IMAGE", &lego)
            .env("LEGO_SERVER", pebble.url())
            .env("LEGO_DIRECTORY", directory.path());
        script.env("LEGO_CA_CERTIFICATES", "/lego.d/ca.pem").env("LEGO_DAYS", days);
        script.env("LEGO_DOMAINS", "site.test www.site.test").env("LEGO_EMAIL", "operator@site.test");
        run_ok(&mut script).unwrap()
    };
    let certificate = || fs::read_to_string(directory.path().join("certificates/site.test.crt")).unwrap();
    let root = pebble.root().unwrap();
    let on_all_hosts = |expected: &str| -> Result<()> {
        for node in demo.lab().nodes() {
            let now = presented((node.address(), 443).into(), "site.test", &root)?;
            ensure!(expected.starts_with(&now), "{} has another certificate", node.name());
        }
        Ok(())
    };

    let output = get_certificate("30");
    assert!(output.contains("Updating service demo_hub"), "{output}");
    let first = certificate();
    eventually_on_engine(LONG, || on_all_hosts(&first)).unwrap();
    let output = get_certificate("30");
    assert!(output.contains(" is deployed already") && !output.contains("demo_hub"), "{output}");

    let address = worker.address();
    let mut load = Command::new(Binaries::find().unwrap().path("load"));
    load.args(["https://www.site.test/ping", "--resolve", &format!("www.site.test:443:{address}")]);
    load.args(["--ca", &root, "-q", "50", "-z", "10m", "--max-failed", "0"]);
    let mut load = Process::spawn("load", &mut load, SpawnOptions::default()).unwrap();
    load.log().wait_for(" ok · ", LONG).unwrap();
    let traefiks = || -> Vec<_> {
        let containers = demo.stack().containers_of("traefik").unwrap();
        containers.iter().map(|container| container.id().to_owned()).collect()
    };
    let before = traefiks();
    // Longer than the validity of pebble's certificates.
    get_certificate("4000");
    let second = certificate();
    assert_ne!(first, second);
    eventually_on_engine(LONG, || on_all_hosts(&second)).unwrap();
    demo.stack().wait_updated("hub", LONG).unwrap();
    on_all_hosts(&second).unwrap();
    assert_eq!(traefiks(), before);
    load.signal(Signal::INT).unwrap();
    load.wait(LONG).unwrap();
    load.log().wait_for(" requests · 0 failed", LONG).unwrap();
}
