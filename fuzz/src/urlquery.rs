//! Go's template function `urlquery`, which escapes the labels in `SIDECAR_LABELS`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that Go escapes, except for the space, which becomes `+`.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Escapes `text`.
pub fn urlquery(text: &str) -> String {
    utf8_percent_encode(text, &ESCAPED).to_string().replace(' ', "+")
}
