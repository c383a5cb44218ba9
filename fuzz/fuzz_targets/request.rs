//! Requests to echo: a path and, after a question mark, a query.
#![no_main]

use std::time::Duration;

use fuzz::urlquery::urlquery;
use libfuzzer_sys::fuzz_target;

use query::Query;
use range::ByteRange;
use route::{NAMES, route};
use weights::WeightedCodes;

#[path = "../../services/echo/src/params.rs"]
mod params;
#[allow(dead_code)]
#[path = "../../services/echo/src/query.rs"]
mod query;
#[path = "../../services/echo/src/range.rs"]
mod range;
#[allow(dead_code)]
#[path = "../../services/echo/src/route.rs"]
mod route;
#[path = "../../services/echo/src/weights.rs"]
mod weights;

const MAX: u64 = 1 << 20;
const MAX_DELAY: Duration = Duration::from_secs(60);

fuzz_target!(|text: &str| {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (index, more) = route(path);
    let name = NAMES[index];
    assert!(path.ends_with(more) && (more.is_empty() || name.contains('{')), "{name:?} {more:?}");
    if let Some(more) = decoded(more, false) {
        match name {
            "/status/{codes}" => codes(&more),
            "/delay/{time}" => times(&more),
            "/bytes/{size}" => sizes(&more),
            "/stream/{count}" => counts(&more),
            _ => {}
        }
    }

    let pairs: Vec<_> = Query::new(Some(query)).pairs().collect();
    let written: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", urlquery(name), urlquery(value))).collect();
    assert!(Query::new(Some(&written.join("&"))).pairs().eq(pairs.iter().cloned()), "{written:?}");
    for (name, value) in pairs.iter().take(16) {
        let first = pairs.iter().find(|(other, _)| other == name).map(|(_, first)| first.clone());
        assert_eq!(Query::new(Some(query)).get(name), first);
        let all: [fn(&str); 5] = [codes, times, sizes, counts, ranges];
        all.iter().for_each(|check| check(value));
    }
    for piece in query.split(['&', '=']) {
        decoded(piece, true);
    }
});

/// Asserts that decoding agrees with an independent decoder.
fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let expected =
        simple_decode(text, plus_is_space).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let decoded = query::decode(text, plus_is_space);
    assert_eq!(decoded, expected);
    decoded
}

/// Decodes byte by byte; `None` for a malformed escape.
fn simple_decode(text: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    Some(decoded)
}

/// The parsed value. Asserts that an error message is printable.
fn read<T>(outcome: Result<T, String>) -> Option<T> {
    outcome.inspect_err(|error| assert!(!error.contains(char::is_control), "{error:?}")).ok()
}

fn codes(text: &str) {
    read(weights::code(text));
    let Some(codes) = read(text.parse::<WeightedCodes>()) else { return };
    assert_eq!(codes.to_string().parse(), Ok(codes.clone()), "{codes}");
    let total = codes.total();
    assert!(total > 0, "{codes}");
    for number in [0, total / 2, total - 1, u64::MAX] {
        let picked = codes.pick(number).as_u16();
        assert!((200..1000).contains(&picked) && text.contains(&picked.to_string()), "{picked} of {codes}");
    }
}

fn times(text: &str) {
    if let Some(time) = read(params::duration(text)) {
        assert_eq!(parse::go_duration(&parse::format_go_duration(time)), Ok(time), "{text}");
    }
    if let Some((first, last)) = read(params::times(text, MAX_DELAY)) {
        assert!(first <= last && last <= MAX_DELAY, "{text}");
        if first == last {
            assert_eq!(params::time(&parse::format_go_duration(first), MAX_DELAY), Ok(first), "{text}");
        }
    }
    if let Some(seconds) = read(params::seconds(text, MAX_DELAY)) {
        assert!(seconds <= MAX_DELAY, "{text}");
    }
}

fn sizes(text: &str) {
    let Some(size) = read(params::size(text, MAX)) else { return };
    assert!(size <= MAX, "{text}");
    assert_eq!(params::size(&size.to_string(), MAX), Ok(size));
}

fn counts(text: &str) {
    if let Some(count) = read(params::count(text, MAX, "lines")) {
        assert!(count <= MAX && params::seed(text) == Ok(count), "{text}");
    }
    read(params::seed(text));
}

fn ranges(text: &str) {
    for size in [0, 1, 40, u64::MAX] {
        let ByteRange::Part(part) = range::parse(text, size) else { continue };
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
        let written = format!("bytes={}-{}", part.start, part.end - 1);
        assert_eq!(range::parse(&written, size), ByteRange::Part(part));
    }
}
