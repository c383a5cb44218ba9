use rustix::process::{Signal, geteuid};

use crate::support::eventually;
use crate::support::proc::{child, has_foreground, is_stopped, service};
use crate::support::sidecar::{Run, Sidecar, TELLTALE};

const CTRL_C: &[u8] = b"\x03";
const CTRL_D: &[u8] = b"\x04";
const CTRL_Z: &[u8] = b"\x1a";

/// A shell that reports when its job is stopped, continues it, and prints its exit code.
const SHELL: [&str; 4] = ["sh", "-c", "set -m; \"$@\"; echo back; fg; echo end $?", "sh"];

/// A plain sidecar, and one as a container engine starts it: PID 1 and session leader of its terminal. For that the
/// terminal is taken from another session, which only root may do.
fn runs() -> Vec<Run> {
    let container = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "--", "setsid", "--ctty"];
    let mut runs = vec![Run::alone().in_terminal()];
    if geteuid().is_root() {
        runs.push(Run::alone().in_terminal().under(container));
    }
    runs
}

/// Types a line, and waits for the terminal's echo and for the service to repeat it.
fn assert_repeats(sidecar: &mut Sidecar, line: &str) {
    sidecar.types(format!("{line}\n").as_bytes());
    let said = |sidecar: &Sidecar| sidecar.said().iter().filter(|said| *said == line).count();
    eventually(&format!("{line} and its echo"), || (said(sidecar) == 2).then_some(()));
}

#[test]
fn shell_as_service_has_job_control_and_gets_ctrl_c() {
    for run in runs() {
        let mut sidecar = run.command(&["sh", "-i"]);
        let shell = service(&sidecar, "sh");
        sidecar.types(b"sleep 1000\n");
        let job = child(shell, "sleep");
        let in_foreground = || eventually("foreground job", || has_foreground(job).then_some(()));
        in_foreground();
        sidecar.types(CTRL_Z);
        eventually("stopped job", || (is_stopped(job) && has_foreground(shell)).then_some(()));
        sidecar.types(b"fg\n");
        in_foreground();
        eventually("continued job", || (!is_stopped(job)).then_some(()));
        sidecar.types(CTRL_C);
        eventually("the shell's foreground", || has_foreground(shell).then_some(()));
        sidecar.types(b"exit 3\n");
        assert_eq!(sidecar.ends().code(), Some(3));
        assert!(sidecar.logged("stopping").is_empty());
    }
}

#[test]
fn ctrl_c_reaches_all_processes_of_the_foreground() {
    let detached_stdin = ["sh", "-c", "exec \"$@\" </dev/null", "sh"];
    let other = Run::alone().in_terminal().under(detached_stdin);
    for (run, has_terminal) in runs().into_iter().map(|run| (run, true)).chain([(other, false)]) {
        let mut sidecar = run.script("sleep 1000; echo over");
        let sleep = child(service(&sidecar, "sh"), "sleep");
        eventually("foreground", || (has_foreground(sleep) == has_terminal).then_some(()));
        sidecar.types(CTRL_C);
        assert_eq!(sidecar.ends().code(), Some(128 + 2));
        assert!(sidecar.logged("over").is_empty());
        assert!(sidecar.logged("WARN the service exited").is_empty());
    }
}

#[test]
fn service_that_reads_the_terminal_gets_the_foreground() {
    let mut sidecar = Run::alone().in_terminal().command(&["cat"]);
    assert_repeats(&mut sidecar, "one");
    // Without a shell that could continue it, Ctrl-Z does nothing.
    sidecar.types(CTRL_Z);
    sidecar.logs("suspended");
    assert_repeats(&mut sidecar, "two");
    sidecar.types(CTRL_D);
    assert_eq!(sidecar.ends().code(), Some(0));
}

#[test]
fn without_a_shell_ctrl_z_does_not_stop_a_service_that_only_writes() {
    for (run, code) in runs().into_iter().zip([0, 1]) {
        let mut sidecar = run.script(TELLTALE);
        sidecar.says("ready");
        sidecar.types(CTRL_Z);
        sidecar.logs("suspended");
        sidecar.signal(Signal::USR1);
        sidecar.says("USR1");
        sidecar.types(CTRL_C);
        // The second one is PID 1 and was never routed.
        assert_eq!(sidecar.ends().code(), Some(code));
        assert_eq!(sidecar.said().iter().filter(|line| line.ends_with("INT")).count(), 1);
    }
}

#[test]
fn ctrl_z_returns_to_the_shell_and_fg_continues_a_service_that_reads() {
    let mut sidecar = Run::alone().under(SHELL).in_terminal().command(&["cat"]);
    assert_repeats(&mut sidecar, "one");
    sidecar.types(CTRL_Z);
    sidecar.says("back");
    assert_repeats(&mut sidecar, "two");
    sidecar.types(CTRL_D);
    sidecar.says("end 0");
    sidecar.ends();
}

#[test]
fn ctrl_z_returns_to_the_shell_and_fg_continues_a_service_that_only_writes() {
    let mut sidecar = Run::alone().under(SHELL).in_terminal().script(TELLTALE);
    sidecar.says("ready");
    let service = service(&sidecar, "sh");
    sidecar.types(CTRL_Z);
    sidecar.says("back");
    eventually("continued service", || (!is_stopped(service)).then_some(()));
    sidecar.signal(Signal::USR1);
    sidecar.says("USR1");
    sidecar.types(CTRL_C);
    sidecar.says("end 0");
    sidecar.ends();
}

#[test]
fn terminal_is_given_back_when_the_service_exits() {
    let reader = "\"$@\"; echo code $?; read line; echo read $line";
    let mut sidecar = Run::alone().under(["sh", "-c", reader, "sh"]).in_terminal().command(&["cat"]);
    assert_repeats(&mut sidecar, "one");
    sidecar.types(CTRL_D);
    sidecar.says("code 0");
    sidecar.types(b"two\n");
    sidecar.says("read two");
    sidecar.ends();
}
