//! The status code of `/health`, which clients can set.

use runtime::StatusCode;
use serde_json::{Deserializer, Value};

/// Parses the status code at the start of a body, a number in JSON; whoami ignores the rest too.
pub fn parse(body: &[u8]) -> Result<StatusCode, String> {
    let value = Deserializer::from_slice(body).into_iter::<Value>().next();
    let text = match value {
        // JSON does not distinguish 503 and 503.0.
        Some(Ok(Value::Number(number))) => {
            let text = number.to_string();
            text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
        }
        _ => String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned(),
    };
    crate::weights::code(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn text_after_the_number_is_ignored() {
        for body in ["503", "503.0", "5.03e2", " 503\n", "503 x", "503\n200"] {
            assert_eq!(parse(body.as_bytes()), Ok(StatusCode::SERVICE_UNAVAILABLE), "{body:?}");
        }
    }

    #[test]
    fn other_bodies_are_rejected() {
        for (body, named) in [
            ("", ""),
            ("\"503\"", "\\\"503\\\""),
            ("503.5", "503.5"),
            ("99", "99"),
            ("[503]", "[503]"),
            ("-503", "-503"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert_eq!(error, format!("\"{named}\": expected a status code from 200 to 999"));
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic() {
        let mut random = Random::new(13);
        for _ in 0..20_000 {
            let _ = parse(gibberish(&mut random, "0123456789[]{}\".,-e ").as_bytes());
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
