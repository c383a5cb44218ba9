use protocol::Health;
use rustix::process::Signal;

use crate::support::hub::{Answer, ScriptedHub};
use crate::support::proc::unshare;
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE};

#[test]
fn as_pid_1_it_reaps_orphans_and_exits_with_the_code_of_the_service() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let script = "
        echo parent $PPID
        pid=$( (setsid sh -c : >/dev/null & echo $!) )
        while kill -0 $pid 2>/dev/null; do :; done
        exit 7";
    let mut sidecar = Run::with(&hub, &service).under(*unshare()).script(script);
    assert_eq!(sidecar.ends().code(), Some(7));
    assert_eq!(sidecar.said(), ["parent 1"]);
}

#[test]
fn as_pid_1_without_a_hub_it_reaps_orphans_and_forwards_signals() {
    let script = format!(
        "
        echo parent $PPID
        pid=$( (setsid sh -c : >/dev/null & echo $!) )
        while kill -0 $pid 2>/dev/null; do :; done
        {TELLTALE}"
    );
    let mut sidecar = Run::new().under(*unshare()).script(&script);
    sidecar.says("ready");
    sidecar.signal(Signal::HUP);
    sidecar.says("HUP");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.said(), ["parent 1", "ready", "HUP", "TERM"]);
}

#[test]
fn without_a_terminal_winch_withdraws_the_task_and_then_reaches_the_service() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let script = "trap 'echo WINCH; exit 3' WINCH; echo ready; while :; do sleep 1000 & wait $!; done";
    let mut sidecar = Run::with(&hub, &service).under(["setsid"]).script(script);
    sidecar.says("ready");
    hub.asked_with_health(Health::Healthy);
    sidecar.logs("routed");
    sidecar.signal(Signal::WINCH);
    assert_eq!(sidecar.ends().code(), Some(3));
    assert_eq!(sidecar.said(), ["ready", "WINCH"]);
    assert!(hub.asked("withdrawal", |request| request.is("DELETE")).waits());
}

#[test]
fn as_pid_1_it_withdraws_at_term_and_leaves_nothing_behind() {
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::healthy();
    let mut sidecar = Run::with(&hub, &service).under(*unshare()).script(TELLTALE);
    sidecar.says("ready");
    hub.asked_with_health(Health::Healthy);
    sidecar.logs("routed");
    sidecar.signal(Signal::TERM);
    // Its output only ends with the last process that holds it.
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.said(), ["ready", "TERM"]);
    assert!(hub.asked("withdrawal", |request| request.is("DELETE")).waits());
}
