//! Parses URLs of hubs and probes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../sidecar/client/src/url.rs"]
mod url;

fuzz_target!(|text: &str| {
    let Ok(read) = text.parse::<url::Url>() else { return };
    assert_eq!(read.to_string().parse(), Ok(read.clone()), "{read}");
    // Authority and path are written into requests without escaping.
    let is_plain = |part: &str| part.chars().all(|c| c.is_ascii_graphic());
    assert!(is_plain(&read.authority()) && is_plain(&read.path), "{read:?}");
    assert!(read.path.starts_with('/') && read.port != 0, "{read:?}");
    if let Ok(hub) = url::parse_hub(text) {
        assert_eq!(url::parse_hub(&hub.to_string()), Ok(hub));
    }
});
