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
