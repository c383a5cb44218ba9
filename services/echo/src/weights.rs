//! Weighted status codes: `200,503:0.25`.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

/// Maximum number of codes.
const MAX_CODES: usize = 32;

/// Weight 1 in millionths, the unit in which weights are stored.
const ONE: u64 = 1_000_000;

/// Status codes with weights, from which one is picked at random.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedCodes(Vec<(StatusCode, u64)>);

impl WeightedCodes {
    /// Returns the code for a number below [`WeightedCodes::total`]; larger numbers give the last code.
    pub fn pick(&self, mut number: u64) -> StatusCode {
        let mut picked = StatusCode::OK;
        for (code, weight) in &self.0 {
            if *weight == 0 {
                continue;
            }
            picked = *code;
            match number.checked_sub(*weight) {
                Some(left) => number = left,
                None => break,
            }
        }
        picked
    }

    /// Returns the sum of all weights.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, weight)| weight).sum()
    }
}

impl FromStr for WeightedCodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut codes = Vec::new();
        for part in text.split(',') {
            let (number, weight) =
                part.split_once(':').map_or((part, None), |(code, weight)| (code, Some(weight)));
            let weight = match weight {
                None => ONE,
                Some(weight) => self::weight(weight).ok_or_else(|| {
                    format!("{part:?}: expected a weight from 0 to 1000000, such as 3 or 0.25")
                })?,
            };
            codes.push((code(number)?, weight));
        }
        if codes.len() > MAX_CODES {
            return Err(format!("{} status codes: expected at most {MAX_CODES}", codes.len()));
        }
        let codes = Self(codes);
        if codes.total() == 0 {
            return Err(format!("{text:?}: expected a weight above 0"));
        }
        Ok(codes)
    }
}

/// Parses the status code of a final response.
pub fn code(text: &str) -> Result<StatusCode, String> {
    let is_number = text.len() == 3 && text.bytes().all(|digit| digit.is_ascii_digit());
    let code = text.parse().ok().filter(|_| is_number).and_then(|number| StatusCode::from_u16(number).ok());
    // Codes below 200 are interim responses.
    code.filter(|code| code.as_u16() >= 200)
        .ok_or_else(|| format!("{text:?}: expected a status code from 200 to 999"))
}

fn weight(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number =
        |text: &str| (1..=7).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return None;
    }
    let weight = whole.parse::<u64>().ok()? * ONE + format!("{fraction:0<6}").parse::<u64>().ok()?;
    (weight <= ONE * ONE).then_some(weight)
}

impl fmt::Display for WeightedCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (code, weight)) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{}", code.as_u16())?;
            match (weight / ONE, weight % ONE) {
                (1, 0) => {}
                (whole, 0) => write!(f, ":{whole}")?,
                (whole, rest) => write!(f, ":{whole}.{}", format!("{rest:06}").trim_end_matches('0'))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    fn codes(text: &str) -> WeightedCodes {
        text.parse().unwrap()
    }

    #[test]
    fn codes_are_picked_in_proportion_to_their_weights() {
        let codes = codes("200:3,404:0,503");
        assert_eq!(codes.total(), 4 * ONE);
        let picked =
            [0, 3 * ONE - 1, 3 * ONE, 4 * ONE - 1, u64::MAX].map(|number| codes.pick(number).as_u16());
        assert_eq!(picked, [200, 200, 503, 503, 503]);
    }

    #[test]
    fn code_with_weight_zero_is_never_picked() {
        let codes = codes("200,503:0");
        for number in [0, ONE - 1, ONE, u64::MAX] {
            assert_eq!(codes.pick(number), StatusCode::OK);
        }
    }

    #[test]
    fn errors_name_the_invalid_part() {
        for (text, named) in [
            ("", "\"\": expected a status code"),
            ("200,", "\"\": expected a status code"),
            ("abc", "\"abc\": expected a status code"),
            ("101", "\"101\": expected a status code"),
            ("1000", "\"1000\": expected a status code"),
            ("+20", "\"+20\": expected a status code"),
            ("200:", "\"200:\": expected a weight"),
            ("200:-1", "\"200:-1\": expected a weight"),
            ("200:1e3", "\"200:1e3\": expected a weight"),
            ("200:1000001", "\"200:1000001\": expected a weight"),
            ("200:0.0000001", "\"200:0.0000001\": expected a weight"),
            ("200:0,500:0.0", "\"200:0,500:0.0\": expected a weight above 0"),
        ] {
            let error = text.parse::<WeightedCodes>().unwrap_err();
            assert!(error.starts_with(named), "{text}: {error}");
        }
        let error = ["200"; MAX_CODES + 1].join(",").parse::<WeightedCodes>().unwrap_err();
        assert_eq!(error, "33 status codes: expected at most 32");
    }

    #[test]
    fn formatted_codes_are_read_back() {
        let mut random = Random::new(7);
        for _ in 0..10_000 {
            let count = 1 + random.below(5);
            let text: Vec<_> = (0..count)
                .map(|_| {
                    format!("{}:{}.{}1", 200 + random.below(800), random.below(1000), random.below(1000))
                })
                .collect();
            let codes = codes(&text.join(","));
            assert_eq!(codes.to_string().parse(), Ok(codes));
        }
        assert_eq!(codes("200:1.0,503:0.250,404:12").to_string(), "200,503:0.25,404:12");
    }

    #[test]
    fn arbitrary_text_never_panics() {
        let mut random = Random::new(8);
        for _ in 0..20_000 {
            let text = gibberish(&mut random, "0123456789.:,");
            if let Ok(codes) = text.parse::<WeightedCodes>() {
                assert_eq!(codes.to_string().parse(), Ok(codes), "{text}");
            }
        }
    }
}
