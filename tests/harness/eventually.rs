//! Waiting for a condition.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);

/// What a condition may return: `bool`, `Option` or `Result`. Of a `Result` every `Ok` holds, `Ok(false)` too: say what
/// is missing instead, by `anyhow::ensure!`.
pub trait Outcome {
    /// What is there once the condition holds.
    type Value;

    /// The value, or why it is not there yet.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();

    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("the condition does not hold".to_owned()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "there is no value".to_owned())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        // The alternate form of an `anyhow::Error` is its whole chain.
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Looks at `condition` every few milliseconds until it holds; after `timeout` an error carries the last reason.
///
/// It is looked at least once, and once more when the time is over.
pub fn eventually<O: Outcome>(timeout: Duration, mut condition: impl FnMut() -> O) -> Result<O::Value> {
    let end = Instant::now() + timeout;
    loop {
        let last = Instant::now() >= end;
        match condition().settle() {
            Ok(value) => return Ok(value),
            Err(reason) if last => bail!("after {timeout:?}: {reason}"),
            Err(_) => thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_looked_at_until_it_holds() {
        let mut looks = 0;
        let value = eventually(Duration::from_mins(1), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn a_time_out_carries_the_last_reason() {
        let mut looks = 0;
        let error = eventually(Duration::from_millis(20), || -> Result<(), String> {
            looks += 1;
            Err(format!("look {looks} failed"))
        })
        .unwrap_err();
        assert!(looks > 1);
        assert!(error.to_string().ends_with(&format!("look {looks} failed")), "{error}");
    }
}
