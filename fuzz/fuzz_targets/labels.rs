//! Labels in `SIDECAR_LABELS`.
#![no_main]

use fuzz::urlquery::urlquery;
use libfuzzer_sys::fuzz_target;
use protocol::Labels;

fuzz_target!(|text: &str| {
    let Ok(labels) = Labels::from_urlquery(text) else { return };
    assert!(labels.0.keys().all(|key| !key.is_empty() && key.trim() == key), "{labels:?}");
    // The format that the template in a stack file produces.
    let written: String =
        labels.0.iter().map(|(key, value)| format!("{}={}&", urlquery(key), urlquery(value))).collect();
    assert_eq!(Labels::from_urlquery(&written), Ok(labels), "{written}");
});
