use std::fs;

use harness::Binaries;

use crate::{builder, stage};

#[test]
fn from_source_with_nothing_but_docker_it_becomes_the_same_bytes() {
    let lab = stage::hold();
    let docker = lab.docker();
    builder::import(docker, "builder");
    let root = stage::root().to_str().unwrap();
    let make = |programs: &str| {
        let programs = format!("PROGRAMS={programs}");
        let arguments = ["build", "--target", "ping", "--build-arg", "BUILDER=builder", "--build-arg"];
        let arguments = [&arguments[..], &[&programs, "--tag", "ping:compiled", root]].concat();
        let output = docker.builder(&arguments).unwrap().output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        (output.status.success(), said.concat())
    };
    let (well, said) = make("sidecar pong");
    assert!(!well && said.contains("PROGRAMS names pong, and there are echo"), "{said}");
    let (well, said) = make("sidecar ping");
    assert!(well, "{said}");

    let directory = tempfile::tempdir().unwrap();
    let container = docker.run(&["create", "ping:compiled"]).unwrap();
    let built = Binaries::find().unwrap();
    for name in ["ping", "sidecar"] {
        let copy = directory.path().join(name);
        docker.run(&["cp", &format!("{container}:/{name}"), copy.to_str().unwrap()]).unwrap();
        let (compiled, built) = (fs::read(copy).unwrap(), fs::read(built.path(name)).unwrap());
        assert!(compiled == built, "{name}: {} bytes instead of {}", compiled.len(), built.len());
    }
}
