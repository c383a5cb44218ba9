use rustix::process::{Signal, kill_process};

use crate::support::eventually;
use crate::support::proc::{is_stopped, service, signals};
use crate::support::sidecar::{Run, Sidecar, TELLTALE, plain};

/// In a session without a terminal, where TSTP is a signal like any other.
fn detached() -> Run {
    Run::alone().under(["setsid"])
}

/// A service that blocks all signals, so that each that it gets can be seen as pending.
const HOARDER: [&str; 4] = ["env", "--block-signal", "sleep", "1000"];

fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// Sends a signal that has no name here, too.
fn send(sidecar: &Sidecar, number: i32) {
    let pid = sidecar.pid().as_raw_nonzero();
    let sent = plain("sh").args(["-c", &format!("kill -{number} {pid}")]).status().unwrap();
    assert!(sent.success(), "signal {number} was not sent");
}

#[test]
fn every_signal_that_does_not_stop_is_passed_on_as_it_came() {
    let sidecar = detached().command(&HOARDER);
    let service = service(&sidecar, "sleep");
    let mut expected = 0;
    let mut passes_on = |number, drops: u64| {
        send(&sidecar, number);
        expected = expected & !drops | bit(number);
        eventually(&format!("signal {number}"), || (signals(service, "ShdPnd") == expected).then_some(()));
    };
    let plain = [1, 6, 10, 12, 13, 14, 16, 23, 24, 25, 26, 27, 28, 29, 30].into_iter();
    for number in plain.chain(34..=64) {
        passes_on(number, 0);
    }
    // The kernel takes CONT and what stops for each other's revocation.
    passes_on(18, 0);
    for stopping in [20, 21, 22] {
        passes_on(stopping, bit(18));
    }
}

#[test]
fn each_stopping_signal_reaches_the_service_as_it_came() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT")] {
        let mut sidecar = Run::alone().script(TELLTALE);
        sidecar.says("ready");
        sidecar.signal(signal);
        assert_eq!(sidecar.ends().code(), Some(0));
        assert_eq!(sidecar.said(), ["ready", name]);
    }
}

#[test]
fn what_a_log_that_nobody_reads_brings_about_is_not_passed_on() {
    // The reader of its stderr has ended before the sidecar begins.
    let deaf = "exec 3>&1; { sleep 0.05; \"$@\" 2>&1 >&3; } | :";
    let sidecar = Run::alone().under(["sh", "-c", deaf, "sh"]).command(&HOARDER);
    let service = service(&sidecar, "sleep");
    let mut expected = 0;
    // Each is logged after it was passed on, and the PIPE that this brings about comes before the next.
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
fn the_service_starts_with_no_signal_blocked_or_ignored() {
    for prefix in ["--default-signal", "--block-signal", "--ignore-signal"] {
        // Not a shell, which would clear the masks itself.
        let mut sidecar = Run::alone().under(["env", prefix]).command(&["sleep", "1000"]);
        let service = service(&sidecar, "sleep");
        assert_eq!((signals(service, "SigBlk"), signals(service, "SigIgn")), (0, 0), "{prefix}");
        // And the sidecar itself is not deaf either.
        sidecar.signal(Signal::TERM);
        assert_eq!(sidecar.ends().code(), Some(128 + 15), "{prefix}");
    }
}

#[test]
fn a_stopped_service_has_not_ended_and_is_continued_by_cont() {
    let mut sidecar = detached().script(TELLTALE);
    sidecar.says("ready");
    let service = service(&sidecar, "sh");
    kill_process(service, Signal::STOP).unwrap();
    sidecar.logs("the service was stopped signal=\"STOP\"");
    sidecar.signal(Signal::HUP);
    sidecar.logs("signal passed on signal=\"HUP\"");
    assert!(is_stopped(service));
    sidecar.signal(Signal::CONT);
    sidecar.says("HUP");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
}
