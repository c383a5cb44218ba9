//! Durations of flags and queries.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

use duration::duration;

#[path = "../../lib/cli/src/duration.rs"]
mod duration;

fuzz_target!(|text: &str| {
    let Ok(read) = duration(text) else { return };
    assert!(Instant::now().checked_add(read).is_some(), "{read:?} is too long for a clock");
    // It takes more, and what both take is the same to it.
    assert_eq!(humantime::parse_duration(text), Ok(read));
    let (seconds, nanos) = (read.as_secs(), read.subsec_nanos());
    let written = format!("{}d{}s{nanos}ns", seconds / 86_400, seconds % 86_400);
    if seconds / 86_400 < 1_000_000_000 {
        assert_eq!(duration(&written), Ok(read));
    }
});
