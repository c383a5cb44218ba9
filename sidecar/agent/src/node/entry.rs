//! What is known of one container, and whether the engine is being asked about it. Pure.

use std::mem;
use std::time::Duration;

use crate::container::Container;

/// A container that was asked about.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) container: Option<Container>,
    pub(super) asked: Question,
    /// Signals that have been sent to it, as far as they may end it.
    pub(super) kills: Vec<Kill>,
    /// What was remarked of it last.
    pub(super) remarked: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    pub(super) at: u64,
    pub(super) signal: u8,
}

/// A question to the engine whose answer may be out of date by the time it comes.
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) is_open: bool,
    pub(super) again: bool,
}

impl Entry {
    /// Until when it is taken to be stopping, if it was told to.
    pub(super) fn stopping_until(&self, margin: Duration) -> Option<u64> {
        let (container, last) = (self.container.as_ref()?, self.kills.iter().map(|kill| kill.at).max()?);
        let patience = container.stop_timeout.map(|timeout| timeout + margin);
        let nanos =
            patience.map_or(u64::MAX, |patience| u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
        Some(last.saturating_add(nanos))
    }
}

impl Question {
    /// Tells whether it is to be put. If it is open already, its answer will be out of date.
    pub(super) fn ask(&mut self) -> bool {
        self.again = self.is_open;
        !mem::replace(&mut self.is_open, true)
    }

    /// Its answer is there. Tells whether it is up to date.
    pub(super) fn is_answered(&mut self) -> bool {
        self.is_open = false;
        !mem::take(&mut self.again)
    }
}
