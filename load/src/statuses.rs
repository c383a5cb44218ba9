//! Sets of statuses.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Statuses of successful responses, in the form of the command line: `2xx`, or `200,404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl Statuses {
    /// Whether a status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = |item: &str| {
            let digits = item.strip_suffix("xx").unwrap_or(item);
            let number: u16 =
                digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            let range = if digits.len() < item.len() {
                let first = number.checked_mul(100).filter(|first| *first < 600)?;
                first..=first + 99
            } else {
                number..=number
            };
            (*range.start() >= 200 && *range.end() <= 599).then_some(range)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(|item| range(item.trim())).collect();
        ranges
            .map(Self)
            .ok_or_else(|| "expected statuses from 200 to 599, such as 200,404 or 2xx,3xx".to_owned())
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}xx", range.start() / 100)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_statuses_and_classes() {
        let statuses: Statuses = "200, 404,3xx".parse().unwrap();
        let found: Vec<_> = (100..600).filter(|status| statuses.contains(*status)).collect();
        let expected: Vec<_> = [200].into_iter().chain(300..400).chain([404]).collect();
        assert_eq!((found, statuses.to_string().as_str()), (expected, "200,404,3xx"));
        assert_eq!("2xx".parse(), Ok(Statuses::default()));
    }

    #[test]
    fn invalid_list_is_rejected() {
        for invalid in ["", "200,", "1xx", "6xx", "99", "20x", "xx", "+200", "600", "ok", "66xx", "99999xx"] {
            assert!(invalid.parse::<Statuses>().is_err(), "{invalid:?}");
        }
    }
}
