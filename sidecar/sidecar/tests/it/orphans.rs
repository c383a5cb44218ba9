use rustix::process::{Pid, Signal};

use crate::support::eventually;
use crate::support::proc::{children, status, unshare};
use crate::support::sidecar::Run;

/// A service with a thousand orphans. At USR1 it makes all of them exit at once, and at HUP it exits with code 7.
const CROWD: &str = r#"
    pipe=$(mktemp -u) && mkfifo "$pipe" && exec 3<>"$pipe" 4>"$pipe" 5<"$pipe" 3>&- && rm "$pipe"
    i=0
    while [ $i -lt 1000 ]; do (read line <&5 &) 4>&-; i=$((i + 1)); done
    trap 'exec 4>&-' USR1
    trap 'exit 7' HUP
    echo ready
    while :; do sleep 1000 4>&- & wait $!; done"#;

#[test]
fn thousand_orphans_that_exit_at_once_are_reaped() {
    for run in [Run::alone(), Run::alone().under(*unshare())] {
        let mut sidecar = run.script(CROWD);
        sidecar.says("ready");
        // Including the service, which keeps running.
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
fn orphans_are_adopted_by_the_sidecar_and_ended_when_it_stops() {
    // The parent of the orphan, a subshell, exits at once.
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
fn leftover_processes_get_term_before_kill() {
    let leftover = |trap: &str| format!("sh -c '{trap}; echo up; while :; do sleep 1000 & wait $!; done' &");
    let script = format!(
        "trap 'exit 7' TERM; {} {} sleep 1000 & wait",
        leftover("trap \"echo cleaned; exit\" TERM"),
        leftover("trap \"echo refused\" TERM"),
    );
    for run in [Run::alone(), Run::alone().under(*unshare())] {
        let mut sidecar = run.script(&script);
        eventually("two leftovers", || (sidecar.said() == ["up", "up"]).then_some(()));
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(7));
        sidecar.says("cleaned");
        sidecar.says("refused");
    }
}

#[test]
fn orphans_in_any_process_group_are_reaped() {
    for orphan in ["sh -c :", "setsid sh -c :"] {
        // A process that has exited but is not reaped can still be signalled.
        let script = format!(
            "pid=$( ({orphan} >/dev/null & echo $!) ); while kill -0 $pid 2>/dev/null; do :; done; exit 7"
        );
        assert_eq!(Run::alone().script(&script).ends().code(), Some(7), "{orphan}");
    }
}
