//! Signals that come to the sidecar.
//!
//! | signals | what becomes of them |
//! |---|---|
//! | TERM, INT, QUIT | the task is withdrawn, and only then they are passed on |
//! | TSTP, TTIN, TTOU, CONT | passed on; where there is a terminal, as [`terminal`](crate::terminal) says |
//! | CHLD | a child has ended or stopped |
//! | ILL, TRAP, BUS, FPE, SEGV, SYS | left to the kernel: they tell of a fault of the sidecar's own, and end it |
//! | KILL, STOP | nobody can catch them |
//! | 32, 33 | left to the kernel: every libc has reserved them to itself |
//! | all others, real-time signals included | passed on as they come |
//!
//! dumb-init passes on the faults' signals as well, and tini keeps ABRT, TTIN and TTOU from the service; ABRT is what
//! many programs make their last words, so here it is passed on. PIPE and XFSZ are not where the sidecar itself has
//! brought them about, by a log line that nobody reads or that no longer fits.
//!
//! The signals are blocked and read from a descriptor. With handlers a real-time signal that comes twice would be
//! passed on once, and nothing would tell who has sent a PIPE.

use std::future::pending;
use std::io;
use std::num::NonZeroI32;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process;
use std::ptr;

use libc::c_long;
use rustix::process::{Signal, kill_current_process_group};
use tracing::error;

use crate::descriptor::Descriptor;

/// Signals as the kernel writes a set of them: bit N - 1 stands for signal N. libc's own sets would leave out number
/// 34, which musl has reserved to itself but glibc gives to programs, and the service's libc may well be glibc.
type Set = u64;

/// The signals that the kernel itself raises where a program is at fault.
const FAULTS: [Signal; 6] = [Signal::ILL, Signal::TRAP, Signal::BUS, Signal::FPE, Signal::SEGV, Signal::SYS];
/// What every libc has reserved to itself.
const RESERVED: [i32; 2] = [32, 33];
const LAST: i32 = 64;

/// Names of the signals from 1 on, without `SIG`.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The signals that have come. From the moment that this exists none of them ends or stops the sidecar.
pub(crate) struct Signals(Descriptor);

impl Signals {
    /// Makes the sidecar hear all signals that it can, whatever whoever started it had left blocked or ignored.
    pub(crate) fn install() -> io::Result<Self> {
        let heard = (1..=LAST).filter(|number| is_heard(*number)).fold(0, |set, number| set | bit(number));
        block(heard)?;
        // An ignored CHLD would make the kernel reap children before their exit codes are read.
        reset(heard)?;
        Descriptor::new(open(heard)?).map(Self)
    }

    /// The next signal. None is lost when the caller stops waiting.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            match self.0.read().await.map(Info::from) {
                Ok(info) if info.is_own_doing() => {}
                Ok(info) => {
                    if let Some(signal) = info.signal() {
                        return signal;
                    }
                }
                Err(error) => {
                    error!(%error, "reading signals");
                    pending::<()>().await;
                }
            }
        }
    }
}

/// What the kernel tells of a signal: the beginning of its `signalfd_siginfo`.
struct Info {
    number: i32,
    code: i32,
    sender: u32,
}

impl From<[u8; size_of::<libc::signalfd_siginfo>()]> for Info {
    fn from(bytes: [u8; size_of::<libc::signalfd_siginfo>()]) -> Self {
        let word = |index: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[index * 4..][..4]);
            i32::from_ne_bytes(word)
        };
        // Number, errno, code, and the sender's PID.
        Self { number: word(0), code: word(2), sender: word(3).cast_unsigned() }
    }
}

impl Info {
    /// Whether the sidecar itself has brought it about, by writing where nobody reads or where no more fits.
    fn is_own_doing(&self) -> bool {
        self.code == libc::SI_USER && self.sender == process::id()
    }

    #[allow(unsafe_code)]
    fn signal(&self) -> Option<Signal> {
        // SAFETY: it is a signal that this process has received. Where it is one that this process's libc has
        // reserved, it is no message of that libc's to itself: those go from thread to thread, and are not for whom
        // only one thread waits.
        NonZeroI32::new(self.number).map(|number| unsafe { Signal::from_raw_nonzero_unchecked(number) })
    }
}

/// Whether the signal asks a service to end.
pub(crate) fn is_stopping(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal)
}

/// Whether the signal stops or continues a whole job.
pub(crate) fn is_job_control(signal: Signal) -> bool {
    [Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::CONT].contains(&signal)
}

/// The signal's name without `SIG`, for people; a real-time signal, which each libc counts in its own way, has none.
pub(crate) fn name(signal: Signal) -> &'static str {
    let index = usize::try_from(signal.as_raw() - 1).unwrap_or(usize::MAX);
    NAMES.get(index).copied().unwrap_or("real-time")
}

/// Gives the calling process all signals' default actions, and blocks none. For a service to be, between fork and
/// exec: it only makes system calls.
pub(crate) fn clean() -> io::Result<()> {
    reset(Set::MAX)?;
    set_mask(libc::SIG_SETMASK, 0)
}

/// Stops the sidecar, and whatever is one job with it, as Ctrl-Z does, and returns when it is continued. The kernel
/// stops nobody whom no shell could continue; then it returns at once.
pub(crate) fn suspend() -> io::Result<()> {
    kill_current_process_group(Signal::TSTP)?;
    set_mask(libc::SIG_UNBLOCK, bit(Signal::TSTP.as_raw()))?;
    block(bit(Signal::TSTP.as_raw()))
}

fn is_heard(number: i32) -> bool {
    let kept = [Signal::KILL, Signal::STOP].iter().chain(&FAULTS).any(|signal| signal.as_raw() == number);
    !kept && !RESERVED.contains(&number)
}

const fn bit(number: i32) -> Set {
    1 << (number - 1)
}

fn block(set: Set) -> io::Result<()> {
    set_mask(libc::SIG_BLOCK, set)
}

/// Sets the default action of each signal in `set`.
#[allow(unsafe_code)]
fn reset(set: Set) -> io::Result<()> {
    let uncatchable = bit(libc::SIGKILL) | bit(libc::SIGSTOP);
    // A `sigaction` as the kernel has it; all zeros are the default action, without flags, on every architecture.
    let default = [0_usize; 8];
    for number in (1..=LAST).filter(|number| set & !uncatchable & bit(*number) != 0) {
        // SAFETY: the kernel reads a structure that is no longer than `default`, and writes nothing. A handler that
        // goes with it was the standard library's, for what it says about a stack overflow before the process dies.
        check(unsafe {
            let none = ptr::null_mut::<usize>();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, size_of::<Set>())
        })?;
    }
    Ok(())
}

/// Changes which signals are blocked for the calling thread, and for those that it starts from then on.
#[allow(unsafe_code)]
fn set_mask(how: i32, set: Set) -> io::Result<()> {
    // SAFETY: the kernel reads `set`, whose size it is told, and writes nothing. The signals that a libc sends to its
    // own threads are in none of the sets here; musl's number 34 is, but musl sends that only to change the user.
    let outcome = unsafe {
        let none = ptr::null_mut::<Set>();
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, none, size_of::<Set>())
    };
    check(outcome).map(drop)
}

/// A descriptor to read the blocked signals of `set` from.
#[allow(unsafe_code)]
fn open(set: Set) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads `set`, whose size it is told, and writes nothing.
    let fd =
        check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<Set>(), flags) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a system call has returned, or the error that it has left.
fn check(outcome: c_long) -> io::Result<c_long> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_the_signals_number() {
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
    fn all_are_heard_but_faults_and_what_nobody_can_or_may_catch() {
        let deaf: Vec<_> = (1..=LAST).filter(|number| !is_heard(*number)).collect();
        assert_eq!(deaf, [4, 5, 7, 8, 9, 11, 19, 31, 32, 33]);
    }
}
