//! Signals that are sent to the sidecar.
//!
//! | signals | action |
//! |---|---|
//! | TERM, INT, QUIT, --stop-signal, without both that and a terminal WINCH | withdraw the task, then forward |
//! | TSTP, TTIN, TTOU, CONT | forward; with a terminal, see [`terminal`](crate::terminal) |
//! | CHLD | reap the child that ended or stopped |
//! | ILL, TRAP, BUS, FPE, SEGV, SYS | not caught: an error of the sidecar itself, which ends it |
//! | KILL, STOP | cannot be caught |
//! | 32, 33 | not caught: reserved by every libc |
//! | all others, including real-time signals | forward |
//!
//! dumb-init also forwards the signals of errors, and tini does not forward ABRT, TTIN and TTOU. Many programs use
//! ABRT to write a last message, so it is forwarded here. PIPE and XFSZ are not forwarded if the sidecar caused them
//! itself, by logging to a closed pipe or a full file.
//!
//! Signals are blocked and read from a signalfd. Handlers would merge real-time signals that arrive twice, and would
//! not tell the sender of a PIPE.

use std::fs::File;
use std::future::pending;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::num::NonZeroI32;
use std::os::fd::{FromRawFd, RawFd};
use std::process;
use std::ptr;

use cli::Failure;
use libc::c_long;
use rustix::process::{Signal, kill_current_process_group};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::error;

/// A set of signals in the kernel's format: bit N - 1 is signal N. libc's own sets leave out number 34, which musl
/// reserves but glibc does not, and the service may use glibc.
type Set = u64;

/// Signals that the kernel raises for an error in the program.
const ERRORS: [Signal; 6] = [Signal::ILL, Signal::TRAP, Signal::BUS, Signal::FPE, Signal::SEGV, Signal::SYS];
/// Signals that every libc reserves.
const RESERVED: [i32; 2] = [32, 33];
const LAST: i32 = 64;

/// Names of the signals from 1 on, without `SIG`.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signalfd with all signals that can be caught. While it exists, none of them ends or stops the sidecar.
pub(crate) struct Signals(AsyncFd<File>);

impl Signals {
    /// Catches all signals, even those that the sidecar inherited as blocked or ignored.
    pub(crate) fn catch() -> Result<Self, Failure> {
        Self::catch_all().map_err(|error| Failure::new(format!("catching signals: {error}")))
    }

    #[allow(unsafe_code)]
    fn catch_all() -> io::Result<Self> {
        let caught = (1..=LAST).filter(|number| is_caught(*number)).fold(0, |set, number| set | bit(number));
        block(caught)?;
        // If CHLD stayed ignored, the kernel would reap children before their exit codes are read.
        reset(caught)?;
        // SAFETY: the file is open, and `next` neither closes nor replaces it.
        let file = unsafe { AsyncFd::register_with_interest(open(caught)?, Interest::READABLE) }?;
        Ok(Self(file))
    }

    /// Waits for the next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let read = |file: &mut File| {
                let mut info = [0; size_of::<libc::signalfd_siginfo>()];
                file.read_exact(&mut info).map(|()| info)
            };
            let info = match self.0.async_io_mut(Interest::READABLE, read).await {
                Ok(info) => info,
                Err(error) => {
                    error!(%error, "reading signals");
                    pending().await
                }
            };
            // The fields of `signalfd_siginfo`: signal number, errno, code, PID of the sender, and more.
            let field = |index: usize| info[index * 4..][..4].try_into().unwrap_or_default();
            let (number, code, sender) =
                (i32::from_ne_bytes(field(0)), i32::from_ne_bytes(field(2)), u32::from_ne_bytes(field(3)));
            let is_own = code == libc::SI_USER && sender == process::id();
            if let Some(signal) = signal(number).filter(|_| !is_own) {
                return signal;
            }
        }
    }
}

#[allow(unsafe_code)]
fn signal(number: i32) -> Option<Signal> {
    // SAFETY: the signal is caught, so it is not one that every libc reserves. If this libc reserves it, it is not a
    // message of libc to itself: libc sends those to single threads, and this module only handles signals that are sent
    // to the process.
    NonZeroI32::new(number).map(|number| unsafe { Signal::from_raw_nonzero_unchecked(number) })
}

/// Parses a signal that can be forwarded: a name with or without `SIG`, or a number.
pub(crate) fn parse(text: &str) -> Result<Signal, &'static str> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let index = NAMES.iter().position(|known| *known == name);
    let number = index.map_or_else(|| text.parse().ok(), |index| i32::try_from(index + 1).ok());
    let number = number.filter(|number| (1..=LAST).contains(number) && *number != libc::SIGCHLD);
    number.filter(|number| is_caught(*number)).and_then(signal).ok_or(
        "expected a signal that a program can catch, such as QUIT, SIGUSR1 or 28; not CHLD or an error such as SEGV",
    )
}

/// Returns whether the signal asks any process to end.
pub(crate) fn ends_process(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal)
}

/// Returns whether the signal stops or continues a job.
pub(crate) fn is_job_control(signal: Signal) -> bool {
    [Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::CONT].contains(&signal)
}

/// Returns the name of a signal without `SIG`. Real-time signals have no name, since each libc numbers them
/// differently.
pub(crate) fn name(signal: Signal) -> &'static str {
    let index = usize::try_from(signal.as_raw() - 1).unwrap_or(usize::MAX);
    NAMES.get(index).copied().unwrap_or("real-time")
}

/// Resets all signals but an ignored HUP to their default actions and blocks none. It only makes system calls, so it may run between
/// fork and exec.
pub(crate) fn reset_all() -> io::Result<()> {
    reset(Set::MAX)?;
    set_mask(libc::SIG_SETMASK, 0)
}

/// Stops the sidecar and its process group, as Ctrl-Z does, and returns when it is continued. If no shell could
/// continue the group, the kernel does not stop it and this function returns at once.
pub(crate) fn suspend() -> io::Result<()> {
    kill_current_process_group(Signal::TSTP)?;
    set_mask(libc::SIG_UNBLOCK, bit(Signal::TSTP.as_raw()))?;
    block(bit(Signal::TSTP.as_raw()))
}

fn is_caught(number: i32) -> bool {
    let mut others = [Signal::KILL, Signal::STOP].iter().chain(&ERRORS).map(|signal| signal.as_raw());
    !others.any(|other| other == number) && !RESERVED.contains(&number)
}

const fn bit(number: i32) -> Set {
    1 << (number - 1)
}

fn block(set: Set) -> io::Result<()> {
    set_mask(libc::SIG_BLOCK, set)
}

/// Sets the default action of each signal in `set`. HUP stays ignored if it is: its sender is a terminal, and `nohup` has
/// the service outlive it. A signalfd returns ignored signals, too.
#[allow(unsafe_code)]
fn reset(set: Set) -> io::Result<()> {
    let uncatchable = bit(libc::SIGKILL) | bit(libc::SIGSTOP);
    // A `sigaction` in the kernel's format. All zeros is the default action without flags on every architecture.
    let default = [0_usize; 8];
    let kept = if is_hup_ignored() { bit(libc::SIGHUP) } else { 0 };
    for number in (1..=LAST).filter(|number| set & !(uncatchable | kept) & bit(*number) != 0) {
        // SAFETY: the kernel reads a structure that is no longer than `default`, and writes nothing. The only handler
        // that this removes is the standard library's, which prints a message on stack overflow.
        check(unsafe {
            let none = ptr::null_mut::<usize>();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, size_of::<Set>())
        })?;
    }
    Ok(())
}

#[allow(unsafe_code)]
fn is_hup_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: it writes only to `action`, for which all zeros are valid: the default action.
    unsafe {
        libc::sigaction(libc::SIGHUP, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Changes the signal mask of the calling thread and of threads that it starts later.
#[allow(unsafe_code)]
fn set_mask(how: i32, set: Set) -> io::Result<()> {
    // SAFETY: the kernel reads `set`, with the given size, and writes nothing. No set here has a signal that libc
    // sends to its own threads, except number 34 of musl, which musl only uses to change the user.
    let result = unsafe {
        let none = ptr::null_mut::<Set>();
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, none, size_of::<Set>())
    };
    check(result).map(drop)
}

/// Opens a signalfd for the blocked signals in `set`.
#[allow(unsafe_code)]
fn open(set: Set) -> io::Result<File> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads `set`, with the given size, and writes nothing.
    let fd =
        check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<Set>(), flags) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Returns the result of a system call, or its error.
fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_matches_the_signal_number() {
        for (signal, expected) in [
            (Signal::HUP, "HUP"),
            (Signal::KILL, "KILL"),
            (Signal::TERM, "TERM"),
            (Signal::WINCH, "WINCH"),
            (Signal::SYS, "SYS"),
        ] {
            assert_eq!(name(signal), expected);
        }
    }

    #[test]
    fn signal_is_parsed_by_name_or_number() {
        for (text, expected) in
            [("QUIT", 3), ("SIGQUIT", 3), ("sigusr1", 10), ("28", 28), ("WINCH", 28), ("37", 37)]
        {
            assert_eq!(parse(text).map(Signal::as_raw), Ok(expected), "{text}");
        }
        for text in ["", "NOPE", "SIG", "0", "65", "-1", "KILL", "9", "STOP", "CHLD", "17", "SEGV", "32"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_signals_are_caught_except_errors_reserved_and_uncatchable_ones() {
        let not_caught: Vec<_> = (1..=LAST).filter(|number| !is_caught(*number)).collect();
        assert_eq!(not_caught, [4, 5, 7, 8, 9, 11, 19, 31, 32, 33]);
    }
}
