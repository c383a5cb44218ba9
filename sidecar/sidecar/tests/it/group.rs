use rustix::process::Signal;

use crate::support::sidecar::Run;

/// A shell that does not forward signals, and waits until its child exits.
const FAMILY: &str = r#"
    trap 'echo parent' TERM
    sh -c 'trap "echo child; exit" TERM; echo ready; while :; do sleep 1000 & wait $!; done' &
    while kill -0 $! 2>/dev/null; do wait $!; done
    exit 5"#;

#[test]
fn with_group_signals_reach_the_children_of_the_service() {
    // Without it they do not, not even with a terminal, where the service has a group of its own.
    for run in [Run::alone(), Run::alone().in_terminal()] {
        let mut sidecar = run.flags(["--grace", "3s"]).script(FAMILY);
        sidecar.says("ready");
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(128 + 9));
        sidecar.says("parent");
    }

    for run in [Run::alone().flags(["--group"]), Run::alone().under(["env", "SIDECAR_GROUP=true"])] {
        let mut sidecar = run.script(FAMILY);
        sidecar.says("ready");
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(5));
        sidecar.says("child");
        sidecar.says("parent");
    }
}
