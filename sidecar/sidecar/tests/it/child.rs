use crate::support::sidecar::Run;

/// Runs scripts, some at a time, each of which has to end with this exit code.
#[track_caller]
fn ends(scripts: impl Iterator<Item = (String, i32)>) {
    for some in scripts.collect::<Vec<_>>().chunks(16) {
        let running: Vec<_> = some.iter().map(|(script, code)| (Run::alone().script(script), code)).collect();
        for (mut sidecar, code) in running {
            assert_eq!(sidecar.ends().code(), Some(*code));
        }
    }
}

#[test]
fn each_exit_code_of_the_service_is_kept() {
    ends((0..=255).map(|code| (format!("exit {code}"), code)));
}

#[test]
fn a_service_ended_by_a_signal_gives_128_and_its_number() {
    // Left out are those that end nobody, and those that a libc has reserved to itself.
    let ending = (1..=64).filter(|number| ![17, 18, 19, 20, 21, 22, 23, 28, 32, 33].contains(number));
    ends(ending.map(|number| (format!("ulimit -c 0; kill -{number} $$"), 128 + number)));
}

#[test]
fn a_command_that_cannot_be_started_gives_126_or_127_and_is_named() {
    for run in [Run::alone, Run::new] {
        let mut sidecar = run().command(&["/nope"]);
        assert_eq!(sidecar.ends().code(), Some(127));
        assert_eq!(sidecar.logged("sidecar: starting /nope: ").len(), 1);
        let mut sidecar = run().command(&["/etc/passwd"]);
        assert_eq!(sidecar.ends().code(), Some(126));
        assert_eq!(sidecar.logged("sidecar: starting /etc/passwd: ").len(), 1);
    }
}

#[test]
fn without_a_hub_the_service_takes_the_sidecars_place() {
    let mut sidecar = Run::new().script("echo pid $$; exit 5");
    assert_eq!(sidecar.says("pid"), format!("pid {}", sidecar.started_as()));
    assert_eq!(sidecar.ends().code(), Some(5));
}

#[test]
fn a_service_that_ignores_term_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo ready; exec sleep 1000";
    let mut sidecar = Run::alone().flags(["--grace", "50ms"]).script(script);
    sidecar.says("ready");
    sidecar.signal(rustix::process::Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(128 + 9));
}
