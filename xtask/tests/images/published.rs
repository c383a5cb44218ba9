use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use auditable_info::{Limits, audit_info_from_file};
use harness::binaries::names;
use harness::process::{self, SpawnOptions};
use harness::shared::{Shared, SharedHandle};
use harness::{Loopback, Process, eventually, http};
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{self, images, program, run, unpack};

const LONG: Duration = Duration::from_secs(30);

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
const SOURCE: &str = "https://example.org/swarmlings.git";

/// The greatest size of a binary, in bytes. whoami's, without gRPC, is 7,800,000.
const BINARIES: [(&str, u64); 2] = [("ping", 1_100_000), ("sidecar", 1_300_000)];

/// The greatest size of ping's image, unpacked and as it travels, in bytes. whoami's: 7,800,000 and 3,200,000.
const PING_IMAGE: [u64; 2] = [2_400_000, 1_200_000];

/// What `cargo xtask images --output` has written, and printed.
struct Published {
    directory: TempDir,
    said: String,
}

impl Published {
    fn hold() -> SharedHandle<Self> {
        static PUBLISHED: Shared<Published> = Shared::new();
        PUBLISHED
            .get(
                |_| true,
                || {
                    let directory = tempfile::tempdir()?;
                    let said = publish(&["--output", directory.path().to_str().unwrap()]);
                    Ok(Self { directory, said })
                },
            )
            .unwrap()
    }

    fn layout(&self, image: &str) -> PathBuf {
        self.directory.path().join(image)
    }

    /// Unpacks the image of a platform.
    fn files(&self, image: &str, platform: &str) -> TempDir {
        let (layout, directory) = (self.layout(image), tempfile::tempdir().unwrap());
        let index = blob(&layout, &top(&layout));
        let manifests = index["manifests"].as_array().unwrap();
        let descriptor = manifests.iter().find(|manifest| name_of(&manifest["platform"]) == platform);
        for layer in blob(&layout, &descriptor.unwrap()["digest"])["layers"].as_array().unwrap() {
            unpack(&path(&layout, &layer["digest"]), directory.path());
        }
        directory
    }
}

fn publish(arguments: &[&str]) -> String {
    let common = ["--source", SOURCE, "--platform", "linux/arm64,linux/amd64"];
    let output = images(&[&common, arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The digest of the one thing that a layout is about.
fn top(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "latest");
    index["manifests"][0]["digest"].clone()
}

fn blob(layout: &Path, digest: &Value) -> Value {
    serde_json::from_slice(&fs::read(path(layout, digest)).unwrap()).unwrap()
}

fn path(layout: &Path, digest: &Value) -> PathBuf {
    layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"))
}

fn name_of(platform: &Value) -> String {
    format!("{}/{}", platform["os"].as_str().unwrap(), platform["architecture"].as_str().unwrap())
}

#[test]
fn every_image_is_small_on_every_platform() {
    let published = Published::hold();
    let rows: BTreeMap<_, _> = published
        .said
        .lines()
        .skip(1)
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [image, platform, bytes, compressed] => {
                ((image, platform), [bytes, compressed].map(|size| size.parse::<u64>().unwrap()))
            }
            _ => panic!("{line}"),
        })
        .collect();
    assert_eq!(rows.len(), names().len() * PLATFORMS.len(), "{}", published.said);
    for platform in PLATFORMS {
        let sizes = rows[&("swarmlings/ping:latest", platform)];
        assert!(sizes[0] <= PING_IMAGE[0] && sizes[1] <= PING_IMAGE[1], "{platform}: {sizes:?}");
        let files = published.files("ping", platform);
        for (binary, greatest) in BINARIES {
            let bytes = files.path().join(binary).metadata().unwrap().len();
            assert!(bytes <= greatest, "{binary} for {platform}: {bytes} bytes");
            // What is printed is not less than what there is.
            assert!(bytes < sizes[0], "{binary} for {platform}: {bytes} bytes of {sizes:?}");
        }
    }
}

#[test]
fn an_image_has_nothing_but_its_binaries_and_they_say_what_they_are_made_of() {
    let published = Published::hold();
    for platform in PLATFORMS {
        for (image, binaries) in
            [("ping", &["ping", "sidecar"][..]), ("hello", &["hello", "sidecar"]), ("hub", &["hub"])]
        {
            let files = published.files(image, platform);
            let entries = fs::read_dir(files.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            assert_eq!(names, binaries, "{image} for {platform}");
            for binary in binaries {
                let list = audit_info_from_file(&files.path().join(binary), Limits::default()).unwrap();
                let has = |name: &str| list.packages.iter().any(|package| package.name == name);
                assert!(has(binary) && has("hyper") && has("tokio"), "{binary}: {list:?}");
            }
        }
    }
}

#[test]
fn binaries_for_arm64_answer_under_emulation() {
    let published = Published::hold();
    let qemu = program("qemu-aarch64-static");
    let files = published.files("ping", "linux/arm64");
    let emulated = |binary: &str| {
        let mut command = process::command(&qemu);
        command.arg(files.path().join(binary));
        command
    };
    assert!(run(emulated("sidecar").arg("--version")).starts_with("sidecar "));

    let loopback = Loopback::new();
    let [port, admin] = [(); 2].map(|()| loopback.free().unwrap());
    let mut ping = emulated("ping");
    ping.args(["--host", "arm", "--address", &loopback.ip().to_string()]);
    ping.args(["--port", &port.port().to_string(), "--admin-port", &admin.port().to_string()]);
    // The same, wrapped: without a hub the sidecar takes itself out of the way. It would ask the kernel, which may not
    // know how to run what is for another architecture, so it is given the emulator to run.
    let mut wrapped = emulated("sidecar");
    wrapped.args(["run", "--"]).arg(&qemu).arg(files.path().join("ping")).args(ping.get_args().skip(1));
    for command in [&mut ping, &mut wrapped] {
        let _running = Process::spawn("ping", command, SpawnOptions::default()).unwrap();
        let answer = eventually(LONG, || http::get_ok(&format!("http://{port}/"))).unwrap();
        assert_eq!(answer.body, "Pong from arm\n");
    }
}

#[test]
fn the_same_commit_gives_the_same_bytes_which_an_engine_pulls_and_runs_without_any_privilege() {
    let published = Published::hold();
    let lab = stage::hold();
    let _inside = lab.enter().unwrap();
    let registry = lab.registry();
    // Built once more from scratch, all but the binaries.
    publish(&["--registry", &registry, "--insecure"]);
    for image in names() {
        let url = format!("http://{registry}/v2/swarmlings/{image}/manifests/latest");
        let request = http::agent(LONG, false).get(&url);
        let request = request.header("accept", "application/vnd.oci.image.index.v1+json");
        let answer = http::Response::read(request.call().unwrap()).unwrap();
        let digest = answer.header("docker-content-digest").unwrap();
        assert_eq!(digest, top(&published.layout(image)), "{image}");
    }

    let docker = lab.docker();
    let name = format!("{registry}/swarmlings/ping:latest");
    docker.run(&["pull", "--quiet", &name]).unwrap();
    let config: Value = serde_json::from_str(
        &docker.run(&["image", "inspect", "--format", "{{json .Config}}", &name]).unwrap(),
    )
    .unwrap();
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(label("source"), Some(SOURCE));
    assert_eq!(label("title"), Some("ping"));
    assert_eq!(label("licenses"), Some("MIT OR Apache-2.0"));
    assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
    // Sources without their history have none.
    let revision =
        Command::new("git").args(["rev-parse", "HEAD"]).current_dir(stage::root()).output().unwrap();
    let revision = String::from_utf8(revision.stdout).unwrap();
    assert!(label("revision").unwrap_or_default().starts_with(revision.trim()), "{config}");
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/sidecar", "healthcheck"]));

    let strict = ["run", "--detach", "--read-only", "--cap-drop", "ALL", "--user", "65532:65532"];
    let stricter =
        ["--network", "none", "--security-opt", "no-new-privileges", "--pids-limit", "16", "--memory", "16m"];
    let container = docker.run(&[&strict[..], &stricter, &[&name]].concat()).unwrap();
    // Its own health check, which asks it over its own loopback.
    eventually(LONG, || docker.run(&["exec", &container, "/sidecar", "healthcheck"]).is_ok()).unwrap();
    for shell in ["/bin/sh", "sh", "/bin/busybox"] {
        let output = docker.command(&["exec", &container, shell, "-c", "true"]).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("no such file") || said.contains("not found"), "{shell}: {said}");
    }
    docker.run(&["stop", &container]).unwrap();
    let code = docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &container]).unwrap();
    assert_eq!(code, "0", "it has ended in order");
    docker.run(&["rm", "--force", &container]).unwrap();
}

#[test]
fn what_cannot_be_built_is_named_before_anything_is() {
    let taken = tempfile::tempdir().unwrap();
    fs::write(taken.path().join("file"), "").unwrap();
    let taken = taken.path().to_str().unwrap();
    for (arguments, fault) in [
        (&["--output", taken][..], "the directory is not empty"),
        (&["--platform", "linux/arm64"], "--platform goes with --registry or --output"),
        (&["--platform", "linux/z80", "--output", "/nope"], "'linux/z80'"),
        (&["--insecure"], "--registry"),
    ] {
        let output = images(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(fault), "{arguments:?}: {said}");
        assert!(!said.contains("building"), "{said}");
    }
}
