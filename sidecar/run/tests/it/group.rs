use rustix::process::Signal;

use crate::support::sidecar::Run;

/// A shell that passes nothing on to its child, and waits for it to end by itself.
const FAMILY: &str = r#"
    trap : TERM
    sh -c 'trap "echo child; exit" TERM; echo ready; while :; do sleep 1000 & wait $!; done' &
    wait
    echo parent
    wait
    exit 5"#;

#[test]
fn with_group_the_services_children_hear_what_it_hears() {
    let grace = ["--grace", "200ms"];
    let mut sidecar = Run::alone().flags(grace).script(FAMILY);
    sidecar.says("ready");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(128 + 9));
    assert_eq!(sidecar.said(), ["ready", "parent"]);

    for run in [Run::alone().flags(["--group"]), Run::alone().under(["env", "SIDECAR_GROUP=true"])] {
        let mut sidecar = run.script(FAMILY);
        sidecar.says("ready");
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(5));
        sidecar.says("child");
        sidecar.says("parent");
    }
}
