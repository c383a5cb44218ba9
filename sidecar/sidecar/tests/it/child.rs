use std::os::unix::fs::PermissionsExt;

use crate::support::sidecar::Run;

/// Runs scripts as services, 16 at a time, and checks the exit codes of their sidecars.
#[track_caller]
fn assert_exit_codes(scripts: impl Iterator<Item = (String, i32)>) {
    for batch in scripts.collect::<Vec<_>>().chunks(16) {
        let running: Vec<_> =
            batch.iter().map(|(script, code)| (Run::alone().script(script), code)).collect();
        for (mut sidecar, code) in running {
            assert_eq!(sidecar.ends().code(), Some(*code));
        }
    }
}

#[test]
fn sidecar_exits_with_the_exit_code_of_the_service() {
    assert_exit_codes((0..=255).map(|code| (format!("exit {code}"), code)));
}

#[test]
fn sidecar_exits_with_128_plus_n_after_signal_n() {
    // Without signals that do not end a process by default, and those that libc reserves.
    let fatal = (1..=64).filter(|number| ![17, 18, 19, 20, 21, 22, 23, 28, 32, 33].contains(number));
    assert_exit_codes(fatal.map(|number| (format!("ulimit -c 0; kill -{number} $$"), 128 + number)));
}

#[test]
fn command_that_cannot_be_started_gives_126_or_127() {
    for run in [Run::alone, Run::new] {
        let mut sidecar = run().command(&["/nope"]);
        assert_eq!(sidecar.ends().code(), Some(127));
        assert_eq!(sidecar.logged("sidecar: starting /nope: ").len(), 1);
        let mut sidecar = run().command(&["/etc/passwd"]);
        assert_eq!(sidecar.ends().code(), Some(126));
        assert_eq!(sidecar.logged("sidecar: starting /etc/passwd: permission denied; it has to be").len(), 1);
        let mut sidecar = run().command(&["nope"]);
        assert_eq!(sidecar.ends().code(), Some(127));
        assert_eq!(
            sidecar.logged("sidecar: starting nope: no such program in the directories of PATH").len(),
            1
        );
    }
}

#[test]
fn missing_interpreter_is_named() {
    let file =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("script.{}", std::process::id()));
    // A shell whose loader has another name.
    let shell = std::fs::read("/bin/sh").unwrap();
    let name = shell.windows(6).position(|bytes| bytes == b"/ld-li").unwrap();
    let binary = [&shell[..name], b"/ld-no", &shell[name + 6..]].concat();
    for (content, interpreter) in [(&b"#!/bin/nope -x\n"[..], "\"/bin/nope\""), (&binary, "/ld-no")] {
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        for run in [Run::alone, Run::new] {
            let mut sidecar = run().command(&[file.to_str().unwrap()]);
            assert_eq!(sidecar.ends().code(), Some(127));
            let [line] = &sidecar.logged("sidecar: starting ")[..] else { panic!("expected one error") };
            assert!(line.contains("its interpreter ") && line.contains(interpreter), "{line}");
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn without_a_hub_the_service_replaces_the_sidecar() {
    let mut sidecar = Run::new().script("echo pid $$; exit 5");
    assert_eq!(sidecar.says("pid"), format!("pid {}", sidecar.started_as()));
    assert_eq!(sidecar.ends().code(), Some(5));
}

#[test]
fn service_that_ignores_term_is_killed_after_the_grace_period() {
    let script = "trap '' TERM; echo ready; exec sleep 1000";
    let mut sidecar = Run::alone().flags(["--grace", "50ms"]).script(script);
    sidecar.says("ready");
    sidecar.signal(rustix::process::Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(128 + 9));
}
