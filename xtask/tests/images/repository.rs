use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::binaries::target_directory;
use harness::{Binaries, Images, eventually};

use crate::stage::{self, run};

const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn image_of_a_separate_repository_runs() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("own");
    let mut new = Command::new(env!("CARGO_BIN_EXE_xtask"));
    run(new.args(["new", "image-of-a-test", "--out"]).arg(&directory));
    place_program(&directory, "image-of-a-test");

    let lab = stage::hold();
    let docker = lab.docker();
    let architecture = docker.architecture().unwrap();
    Images::new("swarmlings", env!("CARGO_PKG_VERSION"))
        .build(docker, &architecture, &Binaries::find().unwrap())
        .unwrap();
    let target = format!("TARGET={}", target());
    let context = directory.to_str().unwrap();
    let arguments = ["build", "--tag", "image-of-a-test", "--build-arg", &target, context];
    docker.run_command(&arguments, docker.builder(&arguments).unwrap()).unwrap();

    let strict = ["run", "--detach", "--read-only", "--cap-drop", "ALL", "--network", "none"];
    let container = docker.run(&[&strict[..], &["image-of-a-test"]].concat()).unwrap();
    eventually(TIMEOUT, || docker.run(&["exec", &container, "/image-of-a-test", "healthcheck"])).unwrap();
    docker.run(&["exec", &container, "/sidecar", "healthcheck"]).unwrap();
    let user = docker.run(&["inspect", "--format", "{{.Config.User}}", &container]).unwrap();
    assert_eq!(user, "65532:65532");
    docker.run(&["stop", &container]).unwrap();
    let code = docker.run(&["inspect", "--format", "{{.State.ExitCode}}", &container]).unwrap();
    assert_eq!(code, "0");
    docker.run(&["rm", "--force", &container]).unwrap();
}

/// Builds the service as its README describes, but without the slow optimisations, and copies the program to the place of
/// a release build.
pub(crate) fn place_program(directory: &Path, name: &str) {
    let (shared, target) = (target_directory().unwrap(), target());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--target", &target]).current_dir(directory).env("CARGO_TARGET_DIR", &shared);
    run(&mut cargo);
    let release = directory.join("target").join(&target).join("release");
    fs::create_dir_all(&release).unwrap();
    let built = shared.join(&target).join("debug").join(name);
    fs::copy(built, release.join(name)).unwrap();
}

fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}
