use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::binaries::names;
use harness::images::{build_traefik, push};
use harness::stack::SETTLE_TIMEOUT;
use harness::{Lab, LabOptions, eventually, http, tools};
use serde_json::Value;

use crate::repository::place_program;
use crate::stage::{program, root, run, unpack};

const VERSION: &str = env!("CARGO_PKG_VERSION");

const TIMEOUT: Duration = Duration::from_mins(1);

/// Stands for the client of the hosting site: copies the files that it would upload.
const GH: &str = "#!/bin/sh -e\n[ \"$1 $2 $3\" = \"release create $GITHUB_REF_NAME\" ]\n\
                  for file; do [ ! -f \"$file\" ] || cp \"$file\" \"$SITE\"; done\n";

/// A release of this checkout, as the workflow publishes it: images in the lab's registry, files in a directory.
struct Release {
    home: tempfile::TempDir,
    registry: String,
}

impl Release {
    fn publish(lab: &Lab) -> Self {
        let release = Self { home: tempfile::tempdir().unwrap(), registry: lab.registry() };
        release.tag();
        let (programs, site) = (release.path("programs"), release.path("site"));
        fs::create_dir(&programs).unwrap();
        fs::create_dir(&site).unwrap();
        let gh = programs.join("gh");
        fs::write(&gh, GH).unwrap();
        fs::set_permissions(&gh, PermissionsExt::from_mode(0o755)).unwrap();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).unwrap();

        let xtask = env!("CARGO_BIN_EXE_xtask");
        let changelog = release.path("checkout/CHANGELOG.md");
        let dist = format!("{xtask} dist --insecure --profile fast --changelog {}", changelog.display());
        let steps = steps();
        assert!(steps.iter().any(|step| step.contains("cargo xtask dist")), "{steps:?}");
        for step in steps {
            let mut shell = Command::new("sh");
            shell.args(["-ec", &step.replace("cargo xtask dist", &dist)]).current_dir(root());
            shell.env("PATH", &path).env("SITE", &site).env("RUNNER_TEMP", release.home.path());
            shell.env("GITHUB_REF_NAME", format!("v{VERSION}"));
            run(shell.env("REGISTRY", &release.registry).env("PREFIX", "swarmlings"));
        }
        release
    }

    /// Commits and tags a copy of this checkout.
    fn tag(&self) {
        let checkout = self.path("checkout");
        fs::create_dir(&checkout).unwrap();
        let files = run(Command::new("git").arg("ls-files").current_dir(root()));
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--parents"]).args(files.lines()).arg(&checkout).current_dir(root());
        run(&mut copy);
        let git = |arguments: &[&str]| run(Command::new("git").args(arguments).current_dir(&checkout));
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["config", "user.name", "test"]);
        git(&["config", "user.email", "test@localhost"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", "start"]);
        let changelog = fs::read_to_string(checkout.join("CHANGELOG.md")).unwrap();
        if changelog.contains(&format!("## [{VERSION}]")) {
            git(&["tag", &format!("v{VERSION}")]);
        } else {
            let mut release = Command::new(env!("CARGO_BIN_EXE_xtask"));
            run(release.args(["release", VERSION, "--checkout"]).arg(&checkout));
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn prefix(&self) -> String {
        format!("{}/swarmlings", self.registry)
    }

    /// Unpacks a file of the release, and returns the directory.
    fn unpacked(&self, name: &str) -> PathBuf {
        let directory = self.path(name);
        fs::create_dir(&directory).unwrap();
        unpack(&self.path("site").join(format!("{name}.tar.gz")), &directory);
        directory.join(name)
    }
}

/// The commands of the workflow's steps.
fn steps() -> Vec<String> {
    let workflow = fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    let blocks = workflow.split("        run: >-\n").skip(1);
    let lines = |block: &str| {
        let lines = block.lines().take_while(|line| line.starts_with("          "));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    let steps: Vec<_> = blocks.map(lines).collect();
    assert_eq!(workflow.matches("run: ").count(), steps.len(), "all steps have the form `run: >-`");
    steps
}

/// The commands of README.md from images to the first request.
fn quick_start() -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().skip_while(|line| !line.starts_with("    tar xf swarmlings-stacks-"));
    lines.take_while(|line| line.starts_with("    ")).collect::<Vec<_>>().join("\n")
}

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn release_is_published_deployed_and_used_by_another_repository() {
    let lab = Lab::create(&LabOptions::owned(3)).unwrap();
    let _inside = lab.enter().unwrap();
    let release = Release::publish(&lab);
    check_files(&release);
    check_images(&release);

    // The quick start of README.md: files of the release, Docker, and nothing else.
    let docker = lab.docker();
    let home = release.path("newcomer");
    fs::create_dir(&home).unwrap();
    let archive = format!("swarmlings-stacks-{VERSION}.tar.gz");
    fs::copy(release.path("site").join(&archive), home.join(&archive)).unwrap();
    let traefik = build_traefik(docker, &release.prefix(), &tools::traefik().unwrap()).unwrap();
    push(docker, &traefik).unwrap();
    let guide = quick_start();
    let (commands, request) = guide.rsplit_once('\n').unwrap();
    assert!(request.trim().starts_with("curl http://localhost/ping"), "{guide}");
    let in_shell = |directory: &Path, commands: &str| {
        let commands = commands.replace("registry.lan:5000", &release.registry);
        // For Docker clients before 23, as the files say.
        let version = "sed -i '1i version: \"3.9\"' $(grep -l '^services:' stacks/*.yml)";
        let commands = commands.replace("docker stack deploy", &format!("{version}\ndocker stack deploy"));
        let mut shell = Command::new("sh");
        shell.args(["-ec", &commands]).current_dir(directory).env("TRAEFIK_IMAGE", &traefik);
        run(shell.env("DOCKER_HOST", docker.host().unwrap()).env_remove("DOCKER_CONTEXT"));
    };
    in_shell(&home, commands);
    let demo = lab.stack("demo");
    demo.wait_running(SETTLE_TIMEOUT).inspect_err(|_| demo.print_state()).unwrap();
    for image in demo.images().unwrap() {
        assert!(image.starts_with(&release.prefix()), "{image}");
        assert!(image == traefik || image.contains(&format!(":{VERSION}")), "{image}");
    }
    let url = |path: &str| format!("http://{}{path}", lab.nodes()[0].address());
    for node in lab.nodes() {
        let url = format!("http://{}/ping", node.address());
        let mut pongs = BTreeSet::new();
        eventually(TIMEOUT, || {
            pongs.insert(http::get_ok(&url)?.body);
            anyhow::ensure!(pongs.len() == 3, "{url}: {pongs:?}");
            Ok(())
        })
        .unwrap();
        assert!(pongs.iter().all(|pong| pong.starts_with("Pong from ")), "{pongs:?}");
    }
    let load = release.unpacked(&format!("load-{VERSION}-linux-amd64")).join("load");
    run(Command::new(load).args([&url("/ping"), "--requests", "100", "--max-failed", "0"]));

    // A service of one's own, from the tag and the images of the release.
    let guest = release.path("guest");
    let mut new = Command::new(env!("CARGO_BIN_EXE_xtask"));
    new.args(["new", "guest-of-a-release", "--prefix", &release.prefix()]).arg("--out").arg(&guest);
    run(new.arg("--git").arg(format!("file://{}", release.path("checkout").display())));
    place_program(&guest, "guest-of-a-release");
    let context = guest.to_str().unwrap();
    let target = format!("TARGET={}-unknown-linux-musl", env::consts::ARCH);
    // Only because BuildKit of older engines insists on TLS, which the lab's registry does not have.
    docker.run(&["pull", "--quiet", &format!("{}/sidecar:{VERSION}", release.prefix())]).unwrap();
    let image = format!("{}/guest-of-a-release:0.1.0", release.prefix());
    let arguments = ["build", "--tag", &image, "--build-arg", &target, context];
    docker.run_command(&arguments, docker.builder(&arguments).unwrap()).unwrap();
    push(docker, &image).unwrap();
    let commands = format!(
        "export SWARMLINGS_TOKEN=swarmlings_master GUEST_OF_A_RELEASE_IMAGE={image}\n\
         docker stack deploy --compose-file stacks/guest-of-a-release.yml guest"
    );
    in_shell(&guest, &commands);
    let guest = lab.stack("guest");
    guest.wait_running(SETTLE_TIMEOUT).inspect_err(|_| guest.print_state()).unwrap();
    let answer = eventually(TIMEOUT, || http::get_ok(&url("/guest-of-a-release/hello"))).unwrap();
    assert!(answer.body.starts_with("world (from "), "{}", answer.body);
}

/// Checks archives, checksums, lists of dependencies, licences and notes.
fn check_files(release: &Release) {
    let site = release.path("site");
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&site));
    let sums = fs::read_to_string(site.join("SHA256SUMS")).unwrap();
    let notes = fs::read_to_string(site.join("notes.md")).unwrap();
    assert!(notes.starts_with("### "), "{notes}");
    for platform in ["linux-amd64", "linux-arm64"] {
        for name in names() {
            let file = format!("{name}-{VERSION}-{platform}.cdx.json");
            let list: Value = serde_json::from_slice(&fs::read(site.join(&file)).unwrap()).unwrap();
            let mut components = list["components"].as_array().unwrap().iter();
            assert_eq!(list["bomFormat"], "CycloneDX");
            assert!(components.any(|component| component["name"] == "tokio"), "{file}");
            assert!(sums.contains(&file), "{file}");
        }
        for name in ["load", "hub", "sidecar", "agent"] {
            let directory = release.unpacked(&format!("{name}-{VERSION}-{platform}"));
            assert!(sums.contains(&format!("{name}-{VERSION}-{platform}.tar.gz")), "{sums}");
            let file = directory.join(name);
            let mut command = if platform == "linux-arm64" {
                let mut emulated = Command::new(program("qemu-aarch64-static"));
                emulated.arg(file);
                emulated
            } else {
                Command::new(file)
            };
            assert_eq!(run(command.arg("--version")).trim(), format!("{name} {VERSION}"));
            assert!(directory.join("LICENSE-MIT").is_file() && directory.join("LICENSE-APACHE").is_file());
            let notices = fs::read_to_string(directory.join("THIRD-PARTY")).unwrap();
            for text in ["\ntokio 1.", ": MIT (https://", "Permission is hereby granted"] {
                assert!(notices.contains(text), "{name}: no {text:?}");
            }
            fs::remove_dir_all(directory.parent().unwrap()).unwrap();
        }
    }
}

/// Checks platforms, digests and labels of the images in the registry.
fn check_images(release: &Release) {
    let digests = fs::read_to_string(release.path("site/images.sha256")).unwrap();
    let revision = run(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()));
    for name in names() {
        let get = |path: &str| {
            let url = format!("http://{}/v2/swarmlings/{name}/{path}", release.registry);
            let types = ["index", "manifest"].map(|kind| format!("application/vnd.oci.image.{kind}.v1+json"));
            let request = http::agent(TIMEOUT, false).get(&url).header("accept", types.join(", "));
            http::Response::read(request.call().unwrap()).unwrap()
        };
        let json = |path: &str| serde_json::from_str::<Value>(&get(path).body).unwrap();
        let index = get(&format!("manifests/{VERSION}"));
        let digest = index.header("docker-content-digest").unwrap().trim_start_matches("sha256:");
        let line = format!("{digest}  {}/{name}:{VERSION}\n", release.prefix());
        assert!(digests.contains(&line), "{line} is not in {digests}");
        let index: Value = serde_json::from_str(&index.body).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        let platforms: Vec<_> =
            manifests.iter().map(|manifest| manifest["platform"]["architecture"].as_str().unwrap()).collect();
        assert_eq!(platforms, ["amd64", "arm64"], "{name}");
        for manifest in manifests {
            let manifest = json(&format!("manifests/{}", manifest["digest"].as_str().unwrap()));
            let config = json(&format!("blobs/{}", manifest["config"]["digest"].as_str().unwrap()));
            let label = |label: &str| {
                config["config"]["Labels"][format!("org.opencontainers.image.{label}")].as_str().unwrap()
            };
            assert_eq!((label("title"), label("version")), (name, VERSION));
            assert!(label("revision").starts_with(revision.trim()), "{config}");
            assert_eq!(label("created"), config["created"], "{name}");
        }
    }
}
