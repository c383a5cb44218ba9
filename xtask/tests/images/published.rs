use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use auditable_info::{Limits, audit_info_from_file};
use harness::binaries::names;
use harness::process::{self, SpawnOptions};
use harness::shared::{Shared, SharedHandle};
use harness::{Loopback, Process, eventually, http};
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{self, images, program, run, unpack};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Platforms of the images in the profile `fast`, for default tests.
const FAST_PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Platforms of the images as released, for slow tests.
const RELEASE_PLATFORMS: [&str; 3] = ["linux/386", "linux/amd64", "linux/arm64"];

const VERSION: &str = env!("CARGO_PKG_VERSION");

const SOURCE: &str = "https://example.org/swarmlings.git";

/// Maximum sizes of programs in bytes. whoami without gRPC has 7,800,000.
const PROGRAMS: [(&str, u64); 2] = [("ping", 1_100_000), ("sidecar", 1_500_000)];

/// Maximum size of ping's image in bytes, unpacked and compressed. whoami's: 7,800,000 and 3,200,000.
const PING_IMAGE: [u64; 2] = [2_500_000, 1_300_000];

/// The directory that `cargo xtask images --output` wrote, and the table that it printed.
pub(crate) struct Published {
    directory: TempDir,
    table: String,
}

impl Published {
    /// The images of [`FAST_PLATFORMS`], shared by all tests.
    fn fast() -> SharedHandle<Self> {
        static FAST: Shared<Published> = Shared::new();
        FAST.get(|_| true, || Self::publish("fast", &FAST_PLATFORMS)).unwrap()
    }

    /// The images of [`RELEASE_PLATFORMS`], shared by all slow tests.
    pub(crate) fn release() -> SharedHandle<Self> {
        static RELEASE: Shared<Published> = Shared::new();
        RELEASE.get(|_| true, || Self::publish("release", &RELEASE_PLATFORMS)).unwrap()
    }

    fn publish(profile: &str, platforms: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let table = publish(profile, platforms, &["--output", directory.path().to_str().unwrap()]);
        Ok(Self { directory, table })
    }

    fn layout(&self, image: &str) -> PathBuf {
        self.directory.path().join(image)
    }

    /// Unpacks the image of a platform.
    pub(crate) fn files(&self, image: &str, platform: &str) -> TempDir {
        let (layout, directory) = (self.layout(image), tempfile::tempdir().unwrap());
        let index = blob(&layout, &index_digest(&layout));
        let manifests = index["manifests"].as_array().unwrap();
        let descriptor = manifests.iter().find(|manifest| name_of(&manifest["platform"]) == platform);
        for layer in blob(&layout, &descriptor.unwrap()["digest"])["layers"].as_array().unwrap() {
            unpack(&path(&layout, &layer["digest"]), directory.path());
        }
        directory
    }
}

fn publish(profile: &str, platforms: &[&str], arguments: &[&str]) -> String {
    let platforms = platforms.join(",");
    let common = ["--source", SOURCE, "--profile", profile, "--platform", &platforms];
    let output = images(&[&common, arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The digest of a layout's only index.
fn index_digest(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], VERSION);
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
#[ignore = "slow: cargo xtask test --all runs it"]
fn released_images_are_small_on_every_platform() {
    let published = Published::release();
    let rows: BTreeMap<_, _> = published
        .table
        .lines()
        .skip(1)
        .map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [image, platform, bytes, compressed] => {
                ((image, platform), [bytes, compressed].map(|size| size.parse::<u64>().unwrap()))
            }
            _ => panic!("{line}"),
        })
        .collect();
    assert_eq!(rows.len(), names().len() * RELEASE_PLATFORMS.len(), "{}", published.table);
    let ping = format!("swarmlings/ping:{VERSION}");
    for platform in RELEASE_PLATFORMS {
        let sizes = rows[&(&*ping, platform)];
        assert!(sizes[0] <= PING_IMAGE[0] && sizes[1] <= PING_IMAGE[1], "{platform}: {sizes:?}");
        let files = published.files("ping", platform);
        for (program, maximum) in PROGRAMS {
            let bytes = files.path().join(program).metadata().unwrap().len();
            assert!(bytes <= maximum, "{program} for {platform}: {bytes} bytes");
            // The table shows the size of the whole image.
            assert!(bytes < sizes[0], "{program} for {platform}: {bytes} bytes of {sizes:?}");
        }
    }
}

#[test]
fn image_contains_only_its_programs_and_they_list_their_dependencies() {
    let published = Published::fast();
    for platform in FAST_PLATFORMS {
        for (image, programs) in
            [("ping", &["ping", "sidecar"][..]), ("hello", &["hello", "sidecar"]), ("hub", &["hub"])]
        {
            let files = published.files(image, platform);
            let entries = fs::read_dir(files.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            assert_eq!(names, programs, "{image} for {platform}");
            for program in programs {
                let list = audit_info_from_file(&files.path().join(program), Limits::default()).unwrap();
                let has = |name: &str| list.packages.iter().any(|package| package.name == name);
                assert!(has(program) && has("hyper") && has("tokio"), "{program}: {list:?}");
            }
        }
    }
}

#[test]
fn programs_for_arm64_run_under_emulation() {
    let published = Published::fast();
    let qemu = program("qemu-aarch64-static");
    let files = published.files("ping", "linux/arm64");
    let emulated = |program: &str| {
        let mut command = process::command(&qemu);
        command.arg(files.path().join(program));
        command
    };
    assert!(run(emulated("sidecar").arg("--version")).starts_with("sidecar "));

    let loopback = Loopback::new();
    let [port, admin] = [(); 2].map(|()| loopback.free().unwrap());
    let mut ping = emulated("ping");
    ping.args(["--host", "arm", "--address", &loopback.ip().to_string()]);
    ping.args(["--port", &port.port().to_string(), "--admin-port", &admin.port().to_string()]);
    // Without a hub the sidecar only runs the program. The program is the emulator here: the kernel may not be able to
    // run programs of another architecture.
    let mut with_sidecar = emulated("sidecar");
    with_sidecar.args(["run", "--"]).arg(&qemu).arg(files.path().join("ping")).args(ping.get_args().skip(1));
    for command in [&mut ping, &mut with_sidecar] {
        let _running = Process::spawn("ping", command, SpawnOptions::default()).unwrap();
        let answer = eventually(TIMEOUT, || http::get_ok(&format!("http://{port}/"))).unwrap();
        assert_eq!(answer.body, "Pong from arm\n");
    }
}

#[test]
fn rebuilt_images_have_the_same_bytes_and_run_without_privileges() {
    let published = Published::fast();
    let lab = stage::hold();
    let _inside = lab.enter().unwrap();
    let registry = lab.registry();
    // Builds the images again; the programs are up to date.
    publish("fast", &FAST_PLATFORMS, &["--registry", &registry, "--insecure"]);
    for image in names() {
        let url = format!("http://{registry}/v2/swarmlings/{image}/manifests/{VERSION}");
        let request = http::agent(TIMEOUT, false).get(&url);
        let request = request.header("accept", "application/vnd.oci.image.index.v1+json");
        let answer = http::Response::read(request.call().unwrap()).unwrap();
        let digest = answer.header("docker-content-digest").unwrap();
        assert_eq!(digest, index_digest(&published.layout(image)), "{image}");
    }

    let docker = lab.docker();
    let name = format!("{registry}/swarmlings/ping:{VERSION}");
    docker.run(&["pull", "--quiet", &name]).unwrap();
    let config: Value = serde_json::from_str(
        &docker.run(&["image", "inspect", "--format", "{{json .Config}}", &name]).unwrap(),
    )
    .unwrap();
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(label("source"), Some(SOURCE));
    assert_eq!(label("title"), Some("ping"));
    assert_eq!(label("licenses"), Some("MIT OR Apache-2.0"));
    assert_eq!(label("version"), Some(VERSION));
    let created = docker.run(&["image", "inspect", "--format", "{{.Created}}", &name]).unwrap();
    assert_eq!(label("created"), Some(&*created));
    // Empty if the sources are not in a git repository.
    let revision =
        Command::new("git").args(["rev-parse", "HEAD"]).current_dir(stage::root()).output().unwrap();
    let revision = String::from_utf8(revision.stdout).unwrap();
    assert!(label("revision").unwrap_or_default().starts_with(revision.trim()), "{config}");
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/sidecar", "healthcheck"]));

    let strict = ["run", "--detach", "--read-only", "--cap-drop", "ALL", "--user", "65532:65532"];
    let stricter =
        ["--network", "none", "--security-opt", "no-new-privileges", "--pids-limit", "16", "--memory", "16m"];
    let container = docker.run(&[&strict[..], &stricter, &[&name]].concat()).unwrap();
    // The image's own health check.
    eventually(TIMEOUT, || docker.run(&["exec", &container, "/sidecar", "healthcheck"]).is_ok()).unwrap();
    for shell in ["/bin/sh", "sh", "/bin/busybox"] {
        let output = docker.command(&["exec", &container, shell, "-c", "true"]).output().unwrap();
        let output = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.contains("no such file") || output.contains("not found"), "{shell}: {output}");
    }
    docker.run(&["stop", &container]).unwrap();
    let code = docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &container]).unwrap();
    assert_eq!(code, "0");
    docker.run(&["rm", "--force", &container]).unwrap();
}

#[test]
fn invalid_arguments_are_rejected_before_anything_is_built() {
    let existing = tempfile::tempdir().unwrap();
    fs::write(existing.path().join("file"), "").unwrap();
    let existing = existing.path().to_str().unwrap();
    for (arguments, message) in [
        (&["--output", existing][..], "the directory is not empty"),
        (&["--platform", "linux/arm64"], "--platform needs --registry or --output"),
        (&["--platform", "linux/z80", "--output", "/nope"], "'linux/z80'"),
        (&["--insecure"], "--registry"),
    ] {
        let output = images(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("building"), "{stderr}");
    }
}
