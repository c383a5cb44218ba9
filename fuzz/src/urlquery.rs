//! The other direction of `SIDECAR_LABELS`: what Go's `urlquery` makes of a text.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what Go leaves as it is; a space is seen to below.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Escapes `text`.
pub fn urlquery(text: &str) -> String {
    utf8_percent_encode(text, &ESCAPED).to_string().replace(' ', "+")
}
