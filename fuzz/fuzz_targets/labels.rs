//! Labels as they arrive in a task's environment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use fuzz::urlquery::urlquery;
use protocol::Labels;

fuzz_target!(|text: &str| {
    let Ok(labels) = Labels::from_urlquery(text) else { return };
    assert!(labels.0.keys().all(|key| !key.is_empty() && key.trim() == key), "{labels:?}");
    // What the template of a stack file makes of them.
    let written: String =
        labels.0.iter().map(|(key, value)| format!("{}={}&", urlquery(key), urlquery(value))).collect();
    assert_eq!(Labels::from_urlquery(&written), Ok(labels), "{written}");
});
