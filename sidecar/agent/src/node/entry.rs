//! The agent's knowledge of one container.

use std::mem;
use std::time::Duration;

use crate::container::Container;

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) container: Option<Container>,
    pub(super) inspection: InFlight,
    /// Signals sent to the container that may end it.
    pub(super) kills: Vec<Kill>,
    /// The last message logged about the container.
    pub(super) last_message: Option<String>,
}

/// A signal sent to a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    /// Nanoseconds of Unix time.
    pub(super) at: u64,
    pub(super) signal: u8,
}

/// A query that may be in flight. Its response is out of date if an event arrives before it.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) is_pending: bool,
    pub(super) is_stale: bool,
}

impl Entry {
    /// Returns the time until which the container counts as stopping, if a signal may have ended it.
    pub(super) fn stopping_until(&self, margin: Duration) -> Option<u64> {
        let (container, last) = (self.container.as_ref()?, self.kills.iter().map(|kill| kill.at).max()?);
        let nanos = container
            .stop_timeout
            .map_or(u64::MAX, |timeout| u64::try_from((timeout + margin).as_nanos()).unwrap_or(u64::MAX));
        Some(last.saturating_add(nanos))
    }
}

impl InFlight {
    /// Starts the query. Returns false if it is in flight already; then its response will be out of date.
    pub(super) fn start(&mut self) -> bool {
        self.is_stale = self.is_pending;
        !mem::replace(&mut self.is_pending, true)
    }

    /// Ends the query. Returns whether the response is up to date.
    pub(super) fn finish(&mut self) -> bool {
        self.is_pending = false;
        !mem::take(&mut self.is_stale)
    }
}
