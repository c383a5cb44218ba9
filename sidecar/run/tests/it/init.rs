use rustix::process::Signal;
use swarmlings_protocol::Health;

use crate::support::hub::{Answer, ScriptedHub};
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE, plain};

/// The command that makes the next one PID 1: as root, or with a user namespace.
fn unshare() -> &'static [&'static str; 6] {
    const ROOT: [&str; 6] = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "--"];
    const USER: [&str; 6] = ["unshare", "-Ur", "--fork", "--pid", "--mount-proc", "--kill-child"];
    [&ROOT, &USER]
        .into_iter()
        .find(|words| {
            plain(words[0]).args(&words[1..]).arg("true").output().is_ok_and(|out| out.status.success())
        })
        .expect("a PID namespace is needed: `unshare` of util-linux, and root or user namespaces")
}

#[test]
fn as_pid_1_it_reaps_orphans_and_keeps_the_exit_code() {
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
    // Its output ends only with the last process that has it.
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.said(), ["ready", "TERM"]);
    assert!(hub.asked("withdrawal", |request| request.is("DELETE")).waits());
}
