//! Signals that come to the sidecar.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// All signals with a handler. As PID 1 the others cannot end the sidecar: the kernel ignores them.
const HANDLED: [Signal; 8] = [
    Signal::TERM,
    Signal::INT,
    Signal::QUIT,
    Signal::HUP,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::CHILD,
];

/// The handlers. They are in place from the moment that this exists.
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Installs them, and lets through what was blocked.
    pub(crate) fn install() -> io::Result<Self> {
        let stream = |kind: Signal| Ok((kind, signal(SignalKind::from_raw(kind.as_raw()))?));
        let signals = HANDLED.into_iter().map(stream).collect::<io::Result<_>>()?;
        unblock()?;
        Ok(Self(signals))
    }

    /// The next signal. None is lost when the caller stops waiting.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (kind, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*kind);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether the signal asks a service to end.
pub(crate) fn is_stopping(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal)
}

/// The signal's name without `SIG`, for people.
pub(crate) fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::TERM => "TERM",
        Signal::INT => "INT",
        Signal::QUIT => "QUIT",
        Signal::HUP => "HUP",
        Signal::USR1 => "USR1",
        Signal::USR2 => "USR2",
        Signal::WINCH => "WINCH",
        Signal::KILL => "KILL",
        _ => "another",
    }
}

/// Lets all signals through, if whoever started the sidecar had left some blocked: deaf to TERM it would never
/// withdraw, and the service would inherit that.
#[allow(unsafe_code)]
fn unblock() -> io::Result<()> {
    let mut none = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` fills the set before it is read, and the set outlives both calls. There is no safe call
    // for this in the standard library, and none in rustix.
    let error = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
