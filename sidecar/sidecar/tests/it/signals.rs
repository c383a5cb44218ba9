use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::support::eventually;
use crate::support::proc::{is_stopped, service, signals};
use crate::support::sidecar::{Run, Sidecar, TELLTALE};

/// A sidecar in a session without a terminal, where TSTP is a signal like any other.
fn detached() -> Run {
    Run::alone().under(["setsid"])
}

/// A service that blocks all signals, so that those that it gets stay pending and can be seen.
const HOARDER: [&str; 4] = ["env", "--block-signal", "sleep", "1000"];

fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// Sends any signal, including those that `Signal` has no name for.
fn send(sidecar: &Sidecar, number: i32) {
    let pid = sidecar.pid().as_raw_nonzero();
    let sent = Command::new("sh").args(["-c", &format!("kill -{number} {pid}")]).status().unwrap();
    assert!(sent.success(), "signal {number} was not sent");
}

#[test]
fn other_signals_are_forwarded_unchanged() {
    // Otherwise WINCH means stop.
    let sidecar = detached().flags(["--stop-signal", "TERM"]).command(&HOARDER);
    let service = service(&sidecar, "sleep");
    let mut expected = 0;
    let mut assert_forwarded = |number, drops: u64| {
        send(&sidecar, number);
        expected = expected & !drops | bit(number);
        eventually(&format!("signal {number}"), || (signals(service, "ShdPnd") == expected).then_some(()));
    };
    let plain = [1, 6, 10, 12, 13, 14, 16, 23, 24, 25, 26, 27, 28, 29, 30].into_iter();
    for number in plain.chain(34..=64) {
        assert_forwarded(number, 0);
    }
    // CONT clears pending stop signals, and each stop signal clears CONT.
    assert_forwarded(18, 0);
    for stopping in [20, 21, 22] {
        assert_forwarded(stopping, bit(18));
    }
}

#[test]
fn stop_signals_reach_the_service_unchanged() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT")] {
        let mut sidecar = Run::alone().script(TELLTALE);
        sidecar.says("ready");
        sidecar.signal(signal);
        assert_eq!(sidecar.ends().code(), Some(0));
        assert_eq!(sidecar.said(), ["ready", name]);
    }
}

#[test]
fn stop_signal_of_the_flag_or_variable_replaces_the_signal_that_arrived() {
    let runs = || {
        let variable = ["env", "SIDECAR_STOP_SIGNAL=12", "setsid"];
        [detached().flags(["--stop-signal", "sigusr2"]), Run::alone().under(variable)]
    };
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::USR2] {
        for run in runs() {
            let mut sidecar = run.script(
                &format!("trap 'echo over; exit 9' USR2; {TELLTALE}").replace("trap 'echo USR2' USR2", ""),
            );
            sidecar.says("ready");
            sidecar.signal(Signal::WINCH);
            sidecar.says("WINCH");
            sidecar.signal(signal);
            assert_eq!(sidecar.ends().code(), Some(9));
            assert_eq!(sidecar.said(), ["ready", "WINCH", "over"]);
            assert_eq!(sidecar.logged("stopping signal=\"USR2\"").len(), 1);
        }
    }
}

#[test]
fn one_hup_reloads_a_service_once_that_signals_its_own_group() {
    let script = "
        reload() { trap '' HUP; kill -HUP 0; echo reload; trap reload HUP; }
        trap reload HUP
        trap 'echo marker' USR1
        trap 'exit 0' TERM
        echo ready
        while :; do sleep 1000 & wait $!; done";
    let mut sidecar = detached().script(script);
    sidecar.says("ready");
    sidecar.signal(Signal::HUP);
    sidecar.says("reload");
    sidecar.signal(Signal::USR1);
    sidecar.says("marker");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.said(), ["ready", "reload", "marker"]);
}

#[test]
fn service_may_end_its_own_process_group() {
    for kill in ["kill 0; kill 0", "kill -- -$$"] {
        let script = format!(
            "trap 'trap \"\" TERM; {kill} && echo signalled; wait; echo done; exit 0' TERM
            sleep 1000 & echo ready; wait"
        );
        let mut sidecar = detached().script(&script);
        sidecar.says("ready");
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(0), "{kill}");
        assert_eq!(sidecar.said(), ["ready", "signalled", "done"], "{kill}");
        assert_eq!(sidecar.logged("signal forwarded").len(), 1, "{kill}");
    }
}

#[test]
fn sigpipe_of_the_sidecars_own_log_is_not_forwarded() {
    // The reader of its stderr exits before the sidecar starts.
    let no_reader = "exec 3>&1; { sleep 0.05; \"$@\" 2>&1 >&3; } | :";
    let sidecar = Run::alone().under(["sh", "-c", no_reader, "sh"]).command(&HOARDER);
    let service = service(&sidecar, "sleep");
    let mut expected = 0;
    // Each one is logged after it was forwarded, and the resulting PIPE arrives before the next one.
    for number in [10, 12, 1, 14] {
        send(&sidecar, number);
        expected |= bit(number);
        eventually(&format!("signal {number}"), || {
            (signals(service, "ShdPnd") & bit(number) != 0).then_some(())
        });
        assert_eq!(signals(service, "ShdPnd"), expected, "after signal {number}");
    }
}

#[test]
fn service_starts_with_no_signal_blocked_and_none_but_hup_ignored() {
    let hup = bit(Signal::HUP.as_raw());
    for (prefix, ignored) in [("--default-signal", 0), ("--block-signal", 0), ("--ignore-signal", hup)] {
        // Not a shell, since a shell clears the masks itself.
        let mut sidecar = Run::alone().under(["env", prefix]).command(&["sleep", "1000"]);
        let service = service(&sidecar, "sleep");
        assert_eq!((signals(service, "SigBlk"), signals(service, "SigIgn")), (0, ignored), "{prefix}");
        // The sidecar itself gets signals, too.
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(128 + 15), "{prefix}");
    }
}

#[test]
fn stopped_service_is_continued_by_cont() {
    let mut sidecar = detached().script(TELLTALE);
    sidecar.says("ready");
    let service = service(&sidecar, "sh");
    kill_process(service, Signal::STOP).unwrap();
    sidecar.logs("service stopped signal=\"STOP\"");
    sidecar.signal(Signal::HUP);
    sidecar.logs("signal forwarded signal=\"HUP\"");
    assert!(is_stopped(service));
    sidecar.signal(Signal::CONT);
    sidecar.says("HUP");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
}
