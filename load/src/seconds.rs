//! Times as reports have them.

use std::time::Duration;

use crate::statistics::float;

/// Seconds to the microsecond, which is what is measured: more digits would only be longer.
pub(crate) fn seconds(time: Duration) -> f64 {
    float(micros(time)) / 1e6
}

/// Whole microseconds, the nearest ones.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from((time.as_nanos() + 500) / 1000).unwrap_or(u64::MAX)
}
