use std::fs;

use rustix::process::Signal;

use crate::support::eventually;
use crate::support::sidecar::{Run, Sidecar, TELLTALE, children};

/// A sidecar whose hub is not there: PID 1's duties do not depend on it.
fn alone() -> Run {
    Run::new().hub("http://127.0.0.1:1")
}

/// A field of `/proc/PID/status`.
fn status(pid: &str, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.trim_start_matches(':').trim().to_owned()))
}

#[test]
fn the_services_exit_code_is_kept() {
    assert_eq!(alone().script("exit 0").ends().code(), Some(0));
    assert_eq!(alone().script("exit 42").ends().code(), Some(42));
}

#[test]
fn a_service_ended_by_a_signal_gives_128_and_its_number() {
    assert_eq!(alone().script("kill -SEGV $$").ends().code(), Some(128 + 11));
    assert_eq!(alone().script("kill -KILL $$").ends().code(), Some(128 + 9));
}

#[test]
fn a_command_that_cannot_be_started_gives_126_or_127_and_is_named() {
    for run in [alone, Run::new] {
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
fn signals_that_do_not_stop_are_passed_on_at_once() {
    let sidecar = alone().script(TELLTALE);
    sidecar.says("ready");
    for (signal, name) in
        [(Signal::HUP, "HUP"), (Signal::USR1, "USR1"), (Signal::USR2, "USR2"), (Signal::WINCH, "WINCH")]
    {
        sidecar.signal(signal);
        sidecar.says(name);
    }
}

#[test]
fn each_stopping_signal_reaches_the_service_as_it_came() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT")] {
        let mut sidecar = alone().script(TELLTALE);
        sidecar.says("ready");
        sidecar.signal(signal);
        assert_eq!(sidecar.ends().code(), Some(0));
        assert_eq!(sidecar.said(), ["ready", name]);
    }
}

/// The service's PID, once the service is `name`.
fn service(sidecar: &Sidecar, name: &str) -> String {
    eventually("start of the service", || {
        let pids = children(sidecar.pid()).into_iter().map(|pid| pid.as_raw_nonzero().to_string());
        pids.into_iter().find(|pid| status(pid, "Name").as_deref() == Some(name))
    })
}

#[test]
fn the_service_starts_with_clean_signal_masks() {
    let ours = "TERM,INT,QUIT,HUP,USR1,USR2,WINCH,CHLD";
    let handled =
        [1, 2, 3, 10, 12, 13, 15, 17, 28].iter().fold(0u64, |mask, signal| mask | 1 << (signal - 1));
    for prefix in [
        ["env", "--default-signal=PIPE"],
        ["env", &format!("--block-signal={ours}")],
        ["env", &format!("--ignore-signal={ours},PIPE")],
    ] {
        // Not a shell, which would clear the masks itself.
        let mut sidecar = alone().under(prefix).command(&["sleep", "1000"]);
        let service = service(&sidecar, "sleep");
        let mask = |field| u64::from_str_radix(&status(&service, field).unwrap(), 16).unwrap();
        assert_eq!((mask("SigBlk"), mask("SigIgn") & handled), (0, 0), "{prefix:?}");
        // And the sidecar itself is not deaf either.
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(128 + 15), "{prefix:?}");
    }
}

#[test]
fn orphans_come_to_the_sidecar_and_do_not_outlive_it() {
    // Its parent, a subshell, ends at once.
    let mut sidecar =
        alone().script("(sleep 1000 & echo orphan $!); echo ready; read line < /dev/zero; wait");
    let orphan = sidecar.says("orphan").replace("orphan ", "");
    let own = sidecar.pid().as_raw_nonzero().to_string();
    eventually("adoption", || (status(&orphan, "PPid")? == own).then_some(()));
    sidecar.signal(Signal::TERM);
    sidecar.ends();
    assert_eq!(status(&orphan, "State"), None, "the orphan is still there");
}

#[test]
fn orphans_are_reaped_whatever_group_they_are_in() {
    for orphan in ["sh -c :", "setsid sh -c :"] {
        // A process that has ended but is not reaped can still be signalled.
        let script = format!(
            "pid=$( ({orphan} >/dev/null & echo $!) ); while kill -0 $pid 2>/dev/null; do :; done; exit 7"
        );
        assert_eq!(alone().script(&script).ends().code(), Some(7), "{orphan}");
    }
}
