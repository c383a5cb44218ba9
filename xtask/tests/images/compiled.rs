use std::fs;

use crate::published::Published;
use crate::{builder, stage};

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn dockerfile_compiles_the_same_bytes_as_xtask() {
    let lab = stage::hold();
    let docker = lab.docker();
    builder::import(docker, "builder");
    let root = stage::root().to_str().unwrap();
    let build = |programs: &str| {
        let programs = format!("PROGRAMS={programs}");
        let arguments = ["build", "--target", "ping", "--build-arg", "BUILDER=builder", "--build-arg"];
        let arguments = [&arguments[..], &[&programs, "--tag", "ping:compiled", root]].concat();
        let output = docker.builder(&arguments).unwrap().output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.success(), text.concat())
    };
    let (success, output) = build("sidecar pong");
    assert!(!success && output.contains("no bin target named `pong`"), "{output}");
    let (success, output) = build("sidecar ping");
    assert!(success, "{output}");

    let platform = format!("linux/{}", docker.architecture().unwrap());
    let expected = Published::release().files("ping", &platform);
    let directory = tempfile::tempdir().unwrap();
    let container = docker.run(&["create", "ping:compiled"]).unwrap();
    for name in ["ping", "sidecar"] {
        let copy = directory.path().join(name);
        docker.run(&["cp", &format!("{container}:/{name}"), copy.to_str().unwrap()]).unwrap();
        let [compiled, expected] = [copy, expected.path().join(name)].map(|file| fs::read(file).unwrap());
        assert!(compiled == expected, "{name}: {} bytes instead of {}", compiled.len(), expected.len());
    }
}
