//! What is asked for: `{"rate": 0.3, "status": 503, "delay": "200ms", "for": "60s", "slot": 2}`.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use parse::{duration, positive_duration};
use serde_json::{Map, Value};

/// The longest that one request is kept waiting.
const LONGEST_DELAY: Duration = Duration::from_mins(10);

/// A fault, as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// The part of all requests.
    pub(crate) rate: f64,
    /// The answer instead of the service's own.
    pub(crate) status: Option<StatusCode>,
    /// How long a request waits first.
    pub(crate) delay: Duration,
    /// When it ends by itself.
    pub(crate) time: Duration,
    /// Which of a service's tasks it is for, if not for all.
    pub(crate) slot: Option<String>,
}

impl Order {
    /// Parses JSON; an error names the field.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let fields: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| format!("not a JSON object: {error}"))?;
        let mut order =
            Self { rate: 1.0, status: None, delay: Duration::ZERO, time: Duration::ZERO, slot: None };
        for (name, value) in &fields {
            order.set(name, value).map_err(|expected| format!("{name} is {value}, but {expected}"))?;
        }
        if order.time.is_zero() {
            return Err("\"for\" is missing: a fault has to end by itself, such as after \"60s\"".to_owned());
        }
        if order.status.is_none() && order.delay.is_zero() {
            return Err("neither \"status\" nor \"delay\" is there: nothing would happen".to_owned());
        }
        Ok(order)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "rate" => {
                self.rate = value
                    .as_f64()
                    .filter(|rate| (0.0..=1.0).contains(rate))
                    .ok_or("a number from 0 to 1 is expected")?;
            }
            "status" => {
                let code = value.as_u64().and_then(|code| u16::try_from(code).ok());
                let code = code.filter(|code| (200..600).contains(code));
                let code = code.and_then(|code| StatusCode::from_u16(code).ok());
                self.status = Some(code.ok_or("a number from 200 to 599 is expected")?);
            }
            "delay" => {
                self.delay = duration(text(value)?).map_err(|error| error.to_string())?;
                if self.delay > LONGEST_DELAY {
                    return Err("at most 10m is expected".to_owned());
                }
            }
            "for" => self.time = positive_duration(text(value)?).map_err(|error| error.to_string())?,
            "slot" => {
                self.slot = match value {
                    Value::String(slot) => Some(slot.clone()),
                    Value::Number(slot) => Some(slot.to_string()),
                    _ => return Err("a number is expected".to_owned()),
                }
            }
            _ => return Err("only rate, status, delay, for and slot are known".to_owned()),
        }
        Ok(())
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "a text with a unit is expected, such as \"200ms\"".to_owned())
}

/// As JSON, which [`Order::parse`] understands.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, status, delay, time, slot } = self;
        write!(f, "{{\"rate\":{rate}")?;
        if let Some(status) = status {
            write!(f, ",\"status\":{}", status.as_u16())?;
        }
        if !delay.is_zero() {
            write!(f, ",\"delay\":\"{}ms\"", delay.as_millis())?;
        }
        write!(f, ",\"for\":\"{}ms\"", time.as_millis())?;
        if let Some(slot) = slot {
            write!(f, ",\"slot\":{}", Value::from(slot.as_str()))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_parsed_again() {
        for json in [
            r#"{"rate":0.3,"status":503,"delay":"200ms","for":"60s","slot":2}"#,
            r#"{"status":404,"for":"1h"}"#,
            r#"{"delay":"1500ms","for":"1ms","slot":"a\"b"}"#,
        ] {
            let order = Order::parse(json.as_bytes()).unwrap();
            assert_eq!(Order::parse(order.to_string().as_bytes()), Ok(order.clone()), "{order}");
        }
    }

    #[test]
    fn all_requests_unless_a_rate_is_given() {
        let order = Order::parse(br#"{"status":503,"for":"1s"}"#).unwrap();
        assert_eq!((order.rate, order.slot), (1.0, None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, wrong) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"status":503}"#, "\"for\" is missing"),
            (r#"{"for":"1s"}"#, "nothing would happen"),
            (r#"{"rate":1.5,"status":503,"for":"1s"}"#, "rate is 1.5, but a number from 0 to 1"),
            (r#"{"rate":"half","status":503,"for":"1s"}"#, "rate is \"half\""),
            (r#"{"status":100,"for":"1s"}"#, "status is 100, but a number from 200"),
            (r#"{"status":503,"for":60}"#, "for is 60, but a text with a unit"),
            (r#"{"status":503,"for":"60"}"#, "for is \"60\", but"),
            (r#"{"status":503,"for":"0s"}"#, "greater than zero"),
            (r#"{"status":503,"for":"1000h"}"#, "at most 24h"),
            (r#"{"delay":"1h","for":"1s"}"#, "at most 10m"),
            (r#"{"status":503,"for":"1s","slot":[]}"#, "slot is [], but a number"),
            (r#"{"statsu":503,"for":"1s"}"#, "statsu is 503, but only rate, status"),
        ] {
            let error = Order::parse(json.as_bytes()).unwrap_err();
            assert!(error.contains(wrong), "{json}: {error}");
        }
    }
}
