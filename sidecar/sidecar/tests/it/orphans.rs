use rustix::process::{Pid, Signal};

use crate::support::eventually;
use crate::support::proc::{children, status, unshare};
use crate::support::sidecar::Run;

/// Leaves a thousand orphans, which all end at the moment that it is told to let them go by USR1. At HUP it ends with
/// a code of its own.
const CROWD: &str = r#"
    pipe=$(mktemp -u) && mkfifo "$pipe" && exec 3<>"$pipe" 4>"$pipe" 5<"$pipe" 3>&- && rm "$pipe"
    i=0
    while [ $i -lt 1000 ]; do (read line <&5 &) 4>&-; i=$((i + 1)); done
    trap 'exec 4>&-' USR1
    trap 'exit 7' HUP
    echo ready
    while :; do sleep 1000 4>&- & wait $!; done"#;

#[test]
fn a_thousand_orphans_that_end_at_once_are_reaped() {
    for run in [Run::alone(), Run::alone().under(*unshare())] {
        let mut sidecar = run.script(CROWD);
        sidecar.says("ready");
        // With the service, which is there all the time.
        let count = |wanted| {
            let pid = sidecar.pid();
            eventually(&format!("{wanted} children"), || (children(pid).len() == wanted).then_some(()));
        };
        count(1001);
        sidecar.signal(Signal::USR1);
        count(1);
        sidecar.signal(Signal::HUP);
        assert_eq!(sidecar.ends().code(), Some(7));
    }
}

#[test]
fn orphans_come_to_the_sidecar_and_do_not_outlive_it() {
    // Its parent, a subshell, ends at once.
    let mut sidecar =
        Run::alone().script("(sleep 1000 & echo orphan $!); echo ready; read line < /dev/zero; wait");
    let orphan = sidecar.says("orphan").replace("orphan ", "");
    let orphan = Pid::from_raw(orphan.parse().unwrap()).unwrap();
    let own = sidecar.pid().as_raw_nonzero().to_string();
    eventually("adoption", || (status(orphan, "PPid")? == own).then_some(()));
    sidecar.signal(Signal::TERM);
    sidecar.ends();
    assert_eq!(status(orphan, "State"), None, "the orphan is still there");
}

#[test]
fn orphans_are_reaped_whatever_group_they_are_in() {
    for orphan in ["sh -c :", "setsid sh -c :"] {
        // A process that has ended but is not reaped can still be signalled.
        let script = format!(
            "pid=$( ({orphan} >/dev/null & echo $!) ); while kill -0 $pid 2>/dev/null; do :; done; exit 7"
        );
        assert_eq!(Run::alone().script(&script).ends().code(), Some(7), "{orphan}");
    }
}
