//! The phase of a request, which the text of a timeout names.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Phase of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Resolving,
    Connecting,
    Handshake,
    Opening,
    Sending,
    Waiting,
    Reading,
}

/// Phase of a request, and the address.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    address: RefCell<Rc<str>>,
    /// Time from which the first byte of the response is awaited.
    began: Cell<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        let (phase, address) = Default::default();
        Self { phase, address, began: Cell::new(Instant::now()) }
    }
}

impl Progress {
    /// Notes that a request or its connection is ready for sending.
    pub(super) fn begin(&self, now: Instant) {
        self.began.set(now);
    }

    /// Time since the request was ready for sending.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.get().elapsed()
    }

    /// Enters a phase with the same address.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Enters a phase.
    pub(super) fn at(&self, phase: Phase, address: &Rc<str>) {
        self.phase.set(phase);
        *self.address.borrow_mut() = Rc::clone(address);
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.phase.get() {
            Phase::Resolving => "resolving",
            Phase::Connecting => "connecting to",
            Phase::Handshake => "TLS handshake with",
            Phase::Opening => "waiting for a stream of",
            Phase::Sending => "sending the request to",
            Phase::Waiting => "waiting for the response of",
            Phase::Reading => "reading the response body of",
        };
        write!(f, "{doing} {}", self.address.borrow())
    }
}
