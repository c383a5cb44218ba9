//! Waiting for a condition.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Time limit for anything that takes well under a second on an idle machine. Only a failing test waits for it.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two checks of a condition.
const POLL: Duration = Duration::from_millis(5);

/// Return type of a condition: `bool`, `Option` or `Result`. A condition holds when it is `true`, `Some` or `Ok`.
/// `Ok(false)` holds too; use `anyhow::ensure!` to say what is missing.
pub trait Outcome {
    /// Value of a condition that holds.
    type Value;

    /// Returns the value, or the reason why the condition does not hold.
    fn into_result(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();

    fn into_result(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("the condition does not hold".to_owned()) }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn into_result(self) -> Result<T, String> {
        self.ok_or_else(|| "there is no value".to_owned())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T, String> {
        // The alternate form of an `anyhow::Error` is its whole chain.
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Checks `condition` every few milliseconds until it holds. After `timeout` it fails with the last reason.
///
/// The condition is checked at least once, and once more after the timeout.
pub fn eventually<O: Outcome>(timeout: Duration, mut condition: impl FnMut() -> O) -> Result<O::Value> {
    let end = Instant::now() + timeout;
    loop {
        let last = Instant::now() >= end;
        match condition().into_result() {
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
    fn condition_is_checked_until_it_holds() {
        let mut checks = 0;
        let value = eventually(TIMEOUT, || {
            checks += 1;
            (checks == 3).then_some(checks)
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn timeout_carries_the_last_reason() {
        let mut checks = 0;
        let error = eventually(Duration::from_millis(20), || -> Result<(), String> {
            checks += 1;
            Err(format!("check {checks} failed"))
        })
        .unwrap_err();
        assert!(checks > 1);
        assert!(error.to_string().ends_with(&format!("check {checks} failed")), "{error}");
    }
}
