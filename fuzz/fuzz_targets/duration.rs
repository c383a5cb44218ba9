//! Durations of flags, query parameters and labels.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use parse::{duration, format_go_duration, go_duration};

fuzz_target!(|text: &str| {
    if let Ok(read) = go_duration(text) {
        assert_eq!(go_duration(&format_go_duration(read)), Ok(read), "{text}");
    }
    let Ok(read) = duration(text) else { return };
    assert!(Instant::now().checked_add(read).is_some(), "{read:?} is too long for a clock");
    // humantime accepts more, and agrees on the rest.
    assert_eq!(humantime::parse_duration(text), Ok(read));
    let (seconds, nanos) = (read.as_secs(), read.subsec_nanos());
    let written = format!("{}d{}s{nanos}ns", seconds / 86_400, seconds % 86_400);
    if seconds / 86_400 < 1_000_000_000 {
        assert_eq!(duration(&written), Ok(read));
    }
});
