//! Status codes to choose from, each with its weight: `200,503:0.25`.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

/// The most codes to choose from.
const MOST: usize = 32;

/// Weights are counted in millionths.
const ONE: u64 = 1_000_000;

/// Status codes, one of which is answered: each as often as its weight has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes(Vec<(StatusCode, u64)>);

impl Codes {
    /// The code that a number stands for, out of all numbers below [`Codes::total`]. A larger one stands for the last.
    pub fn pick(&self, mut number: u64) -> StatusCode {
        let mut picked = StatusCode::OK;
        for (code, weight) in &self.0 {
            // Without weight it is not picked, not even as the last.
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

    /// All weights together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, weight)| weight).sum()
    }
}

impl FromStr for Codes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut codes = Vec::new();
        for part in text.split(',') {
            let (number, weight) =
                part.split_once(':').map_or((part, None), |(code, weight)| (code, Some(weight)));
            let weight = match weight {
                None => ONE,
                Some(weight) => self::weight(weight).ok_or_else(|| {
                    format!("{part:?}: a weight from 0 to 1000000, such as 3 or 0.25, is expected")
                })?,
            };
            codes.push((code(number)?, weight));
        }
        if codes.len() > MOST {
            return Err(format!("{} status codes: at most {MOST} are expected", codes.len()));
        }
        let codes = Self(codes);
        if codes.total() == 0 {
            return Err(format!("{text:?}: a weight above 0 is expected"));
        }
        Ok(codes)
    }
}

/// A status code that an answer can have.
pub fn code(text: &str) -> Result<StatusCode, String> {
    let is_number = text.len() == 3 && text.bytes().all(|digit| digit.is_ascii_digit());
    let code = text.parse().ok().filter(|_| is_number).and_then(|number| StatusCode::from_u16(number).ok());
    // Those below are not the end of an answer.
    code.filter(|code| code.as_u16() >= 200)
        .ok_or_else(|| format!("{text:?}: a status code from 200 to 999 is expected"))
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

impl fmt::Display for Codes {
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

    fn codes(text: &str) -> Codes {
        text.parse().unwrap()
    }

    #[test]
    fn each_code_is_picked_as_often_as_its_weight_has_it() {
        let codes = codes("200:3,404:0,503");
        assert_eq!(codes.total(), 4 * ONE);
        let picked =
            [0, 3 * ONE - 1, 3 * ONE, 4 * ONE - 1, u64::MAX].map(|number| codes.pick(number).as_u16());
        assert_eq!(picked, [200, 200, 503, 503, 503]);
    }

    #[test]
    fn a_code_without_weight_is_never_picked() {
        let codes = codes("200,503:0");
        for number in [0, ONE - 1, ONE, u64::MAX] {
            assert_eq!(codes.pick(number), StatusCode::OK);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("", "\"\": a status code"),
            ("200,", "\"\": a status code"),
            ("abc", "\"abc\": a status code"),
            ("101", "\"101\": a status code"),
            ("1000", "\"1000\": a status code"),
            ("+20", "\"+20\": a status code"),
            ("200:", "\"200:\": a weight"),
            ("200:-1", "\"200:-1\": a weight"),
            ("200:1e3", "\"200:1e3\": a weight"),
            ("200:1000001", "\"200:1000001\": a weight"),
            ("200:0.0000001", "\"200:0.0000001\": a weight"),
            ("200:0,500:0.0", "\"200:0,500:0.0\": a weight above 0"),
        ] {
            let fault = text.parse::<Codes>().unwrap_err();
            assert!(fault.starts_with(named), "{text}: {fault}");
        }
        let fault = ["200"; MOST + 1].join(",").parse::<Codes>().unwrap_err();
        assert_eq!(fault, "33 status codes: at most 32 are expected");
    }

    #[test]
    fn what_is_written_is_read_again() {
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
    fn no_text_is_too_strange() {
        let mut random = Random::new(8);
        for _ in 0..20_000 {
            let text = gibberish(&mut random, "0123456789.:,");
            if let Ok(codes) = text.parse::<Codes>() {
                assert_eq!(codes.to_string().parse(), Ok(codes), "{text}");
            }
        }
    }
}
