//! Times as reports have them.

use std::time::Duration;

/// Seconds to the microsecond, which is what is measured: more digits would only be longer.
pub(crate) fn seconds(time: Duration) -> f64 {
    Duration::from_micros(micros(time)).as_secs_f64()
}

/// Whole microseconds, the nearest ones.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX)
}
