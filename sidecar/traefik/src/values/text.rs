//! Durations, status codes, headers, users and PEM texts.

use parse::go_duration;

use crate::secrets::without_credentials;

/// Maximum length of a value in a message.
const MAX_SHOWN: usize = 80;

/// Maximum cost of a bcrypt hash. Traefik computes the hash for each request: cost 14 takes about a second.
const MAX_BCRYPT_COST: u32 = 14;

/// Returns the beginning of a value, for messages.
pub(super) fn shortened(value: &str) -> String {
    let value = without_credentials(value);
    let shown: String = value.chars().take(MAX_SHOWN).collect();
    if shown.len() < value.len() { shown + "…" } else { shown }
}

/// Joins words: "one of "a", "b"".
pub(super) fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("one of {}", words.join(", "))
}

/// Reads a duration in Go's syntax, or a number of seconds.
pub(super) fn nanoseconds(value: &str) -> Option<i128> {
    if let Ok(seconds) = value.parse::<i64>() {
        return Some(i128::from(seconds) * 1_000_000_000);
    }
    let duration = go_duration(value.strip_prefix('-').unwrap_or(value)).ok()?;
    let nanoseconds = i128::try_from(duration.as_nanos()).ok()?;
    Some(if value.starts_with('-') { -nanoseconds } else { nanoseconds })
}

/// Whether Go has a name for the status code. Zero means "not set".
pub(super) fn is_named_status(value: &str) -> bool {
    match value.parse::<u16>() {
        Ok(code) => matches!(
            code,
            0 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
                | 500..=508 | 510 | 511
        ),
        Err(_) => false,
    }
}

/// Whether `value` is `500` or `500-599`.
pub(super) fn is_status_range(value: &str) -> bool {
    let is_code = |code: &str| code.parse::<u16>().is_ok_and(|code| (100..=999).contains(&code));
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    is_code(low) && is_code(high)
}

/// Whether `value` is a token of HTTP.
pub(super) fn is_token(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether Go sends `value` as the value of a header.
pub(super) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Whether `value` is a media type, perhaps with parameters.
pub(super) fn is_media_type(value: &str) -> bool {
    // One semicolon may end the value.
    let value = value.trim();
    let mut parts = value.strip_suffix(';').unwrap_or(value).split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let (kind, subtype) = name.split_once('/').unwrap_or((name, "x"));
    let is_word = |word: &str| !word.is_empty() && is_token(word);
    let is_parameter = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            is_word(name)
                && (is_word(value) || (value.len() > 1 && value.starts_with('"') && value.ends_with('"')))
        })
    };
    is_word(kind) && is_word(subtype) && parts.all(is_parameter)
}

/// Returns an error if `value` is not `NAME:HASH`. Messages contain neither name nor hash.
pub(super) fn basic_user(value: &str) -> Option<String> {
    let mut parts = value.split(':').skip(1);
    let (Some(hash), None) = (parts.next(), parts.next()) else {
        return Some("expected NAME:HASH for each user, as htpasswd prints it".to_owned());
    };
    let bcrypt = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix));
    let cost = bcrypt.and_then(|rest| rest.split('$').next()?.parse::<u32>().ok());
    cost.filter(|cost| *cost > MAX_BCRYPT_COST).map(|cost| {
        format!(
            "a user's hash has cost {cost}, and Traefik computes it for each request; use a cost of at most \
             {MAX_BCRYPT_COST}"
        )
    })
}

/// Whether Traefik knows the kind of the hash of a user of basic authentication.
pub(super) fn is_known_hash(value: &str) -> bool {
    let hash = value.split_once(':').map_or("", |(_, hash)| hash);
    ["{SHA}", "$apr1$", "$1$", "$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

/// Returns an error if `value` is not `NAME:REALM:HASH`.
pub(super) fn digest_user(value: &str) -> Option<String> {
    let is_valid = value.split(':').count() == 3;
    (!is_valid).then(|| "expected NAME:REALM:HASH for each user, as htdigest prints it".to_owned())
}

/// Returns an error if `value` is not PEM with a block whose label ends with `label`.
pub(super) fn pem(label: &str, value: &str) -> Option<String> {
    let text = value.trim();
    let block = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
    let is_pem = block.is_some_and(|(name, body)| {
        let has_break = body.starts_with(['\r', '\n']);
        let body = body.split("-----END").next().unwrap_or_default().trim();
        has_break && name.ends_with(label) && !body.is_empty() && text.ends_with("-----")
    });
    (!is_pem).then(|| {
        format!(
            "expected PEM text that begins with \"-----BEGIN {label}-----\"; labels cannot name files on Traefik's host"
        )
    })
}
