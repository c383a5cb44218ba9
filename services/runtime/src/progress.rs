//! How far one connection has got.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;

use crate::metrics::{MethodIndex, RouteIndex, ThreadCounters};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client's next request.
    Idle,
    /// The rest of a request's header.
    Header,
    /// The service, or the request's body, which has its own clock.
    Busy,
    /// The client, to take more of its answer.
    Stalled,
}

/// What a connection's parts tell each other: its socket, its requests and its watch.
///
/// All of them run within one task, one after the other. The atomics are only for that task's `Send`; used in this
/// way they cost what plain integers do.
#[derive(Debug)]
pub(crate) struct Progress {
    tally: Arc<ThreadCounters>,
    /// Requests that have begun, ...
    begun: AtomicU32,
    /// ... those of them whose answer is complete, ...
    complete: AtomicU32,
    /// ... and those whose answer the kernel has taken to the last byte.
    settled: AtomicU32,
    /// Whether part of a request's header has come.
    header: AtomicBool,
    /// Whether the socket takes no more bytes.
    stalled: AtomicBool,
    /// Whether it is HTTP/2, whose requests come and go side by side.
    multiplexed: AtomicBool,
    /// Grows with each event that starts the client's time anew.
    steps: AtomicU32,
    /// Whether something that the client has sent will not be read.
    unread: AtomicBool,
    /// Why a request's body was refused, to be answered whatever the service makes of it.
    refusal: OnceLock<(StatusCode, String)>,
}

impl Progress {
    pub(crate) fn new(tally: Arc<ThreadCounters>) -> Self {
        tally.connection_opened();
        Self {
            tally,
            begun: AtomicU32::new(0),
            complete: AtomicU32::new(0),
            settled: AtomicU32::new(0),
            header: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            steps: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            refusal: OnceLock::new(),
        }
    }

    /// It is HTTP/2 from now on. A request is then never known before its header is whole, as there may be others', and a
    /// body that is not read is the affair of its own stream.
    pub(crate) fn multiplex(&self) {
        self.multiplexed.store(true, Relaxed);
        self.header.store(false, Relaxed);
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Relaxed)
    }

    /// Bytes have come.
    pub(crate) fn received(&self) {
        if !self.is_busy() && !self.header.load(Relaxed) && !self.is_multiplexed() {
            self.header.store(true, Relaxed);
            bump(&self.steps);
        }
    }

    /// A request's header has come whole.
    pub(crate) fn begin(&self) {
        self.tally.request_started();
        bump(&self.begun);
        bump(&self.steps);
        self.header.store(false, Relaxed);
    }

    /// Nothing more will be added to an answer.
    pub(crate) fn complete(&self) {
        bump(&self.complete);
    }

    /// The socket has taken bytes, or takes none for now.
    pub(crate) fn wrote(&self, taken: bool) {
        if taken && self.stalled.load(Relaxed) {
            bump(&self.steps);
        }
        self.stalled.store(!taken, Relaxed);
    }

    /// The socket has taken all there was.
    pub(crate) fn flushed(&self) {
        let (complete, settled) = (self.complete.load(Relaxed), self.settled.load(Relaxed));
        if complete != settled {
            self.tally.requests_answered(complete.wrapping_sub(settled));
            self.settled.store(complete, Relaxed);
            bump(&self.steps);
        }
    }

    /// The connection has ended, and with it whatever was not answered.
    pub(crate) fn close(&self) {
        let begun = self.begun.load(Relaxed);
        self.tally.requests_aborted(begun.wrapping_sub(self.settled.swap(begun, Relaxed)));
        self.tally.connection_closed();
    }

    /// The request's body cannot be taken. As the rest of it is left unread there is no next request.
    pub(crate) fn refuse(&self, code: StatusCode, reason: String) {
        if !self.is_multiplexed() {
            let _ = self.refusal.set((code, reason));
        }
    }

    pub(crate) fn refusal(&self) -> Option<&(StatusCode, String)> {
        self.refusal.get()
    }

    /// The request is answered with `code`.
    pub(crate) fn count(&self, route: RouteIndex, method: MethodIndex, code: StatusCode) {
        self.tally.count_response(route, method, code);
    }

    /// The request has taken so long.
    pub(crate) fn took(&self, route: RouteIndex, time: Duration) {
        self.tally.observe_duration(route, time);
    }

    /// hyper has answered by itself what it could not understand.
    pub(crate) fn rejected(&self, code: StatusCode) {
        self.tally.count_response(RouteIndex::UNKNOWN, MethodIndex::UNKNOWN, code);
        self.leave_unread();
    }

    /// Something that the client has sent, or still sends, will not be read.
    pub(crate) fn leave_unread(&self) {
        if !self.is_multiplexed() {
            self.unread.store(true, Relaxed);
        }
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.begun.load(Relaxed) != self.settled.load(Relaxed)
    }

    /// Whether there was a request at all.
    pub(crate) fn is_fresh(&self) -> bool {
        self.begun.load(Relaxed) == 0
    }

    /// What the connection waits for, and a number that differs between two waits for the same.
    pub(crate) fn phase(&self) -> (Phase, u32) {
        let phase = if self.stalled.load(Relaxed) {
            Phase::Stalled
        } else if self.is_busy() {
            Phase::Busy
        } else if self.header.load(Relaxed) {
            Phase::Header
        } else {
            Phase::Idle
        };
        (phase, self.steps.load(Relaxed))
    }
}

fn bump(counter: &AtomicU32) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}
