//! Specification of a fault: `{"rate": 0.3, "status": 503, "delay": "200ms", "for": "60s", "slot": 2}`.

use std::fmt::{self, Write};
use std::time::Duration;

use http::StatusCode;
use parse::{duration, positive_duration};
use serde_json::{Map, Value};

/// Maximum delay of one request.
const MAX_DELAY: Duration = Duration::from_mins(10);

/// Specification of a fault in requests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FaultSpec {
    /// Fraction of requests, from 0 to 1.
    pub(crate) rate: f64,
    /// Code of the response, if it replaces the service's.
    pub(crate) status: Option<StatusCode>,
    /// Time before the response.
    pub(crate) delay: Duration,
    /// Time after which the fault ends.
    pub(crate) time: Duration,
    /// Slot of the only task that the fault is for.
    pub(crate) slot: Option<String>,
}

impl FaultSpec {
    /// Parses JSON. The error names the field.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let fields: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| format!("expected a JSON object: {error}"))?;
        let mut spec =
            Self { rate: 1.0, status: None, delay: Duration::ZERO, time: Duration::ZERO, slot: None };
        for (name, value) in &fields {
            spec.set(name, value).map_err(|error| format!("{name}: {error}, got {value}"))?;
        }
        if spec.time.is_zero() {
            return Err(
                "missing field \"for\": set the time after which the fault ends, such as \"60s\"".to_owned()
            );
        }
        if spec.status.is_none() && spec.delay.is_zero() {
            return Err("missing field \"status\" or \"delay\": the fault has no effect".to_owned());
        }
        Ok(spec)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "rate" => {
                self.rate = value
                    .as_f64()
                    .filter(|rate| (0.0..=1.0).contains(rate))
                    .ok_or("expected a number from 0 to 1")?;
            }
            "status" => {
                let code = value.as_u64().and_then(|code| u16::try_from(code).ok());
                let code = code.filter(|code| (200..600).contains(code));
                let code = code.and_then(|code| StatusCode::from_u16(code).ok());
                self.status = Some(code.ok_or("expected a number from 200 to 599")?);
            }
            "delay" => {
                self.delay = duration(text(value)?).map_err(|error| error.to_string())?;
                if self.delay > MAX_DELAY {
                    return Err("expected at most 10m".to_owned());
                }
            }
            "for" => self.time = positive_duration(text(value)?).map_err(|error| error.to_string())?,
            "slot" => {
                self.slot = match value {
                    Value::String(slot) => Some(slot.clone()),
                    Value::Number(slot) => Some(slot.to_string()),
                    _ => return Err("expected a number".to_owned()),
                }
            }
            _ => return Err("unknown field: expected rate, status, delay, for or slot".to_owned()),
        }
        Ok(())
    }

    /// Describes the fault for people.
    pub(crate) fn describe(&self) -> String {
        let Self { rate, status, delay, time, .. } = self;
        let mut out = format!("{} % of requests", rate * 100.0);
        // Writing to a string cannot fail.
        let _ = match status {
            Some(status) if delay.is_zero() => write!(out, " get status {}", status.as_u16()),
            Some(status) => write!(out, " get status {} after {delay:?}", status.as_u16()),
            None => write!(out, " are delayed by {delay:?}"),
        };
        let _ = write!(out, "; ends in {}s", time.as_secs());
        out
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "expected a string with a unit, such as \"200ms\"".to_owned())
}

/// Formats the fault as JSON, which [`FaultSpec::parse`] accepts.
impl fmt::Display for FaultSpec {
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
    fn display_is_the_inverse_of_parse() {
        for json in [
            r#"{"rate":0.3,"status":503,"delay":"200ms","for":"60s","slot":2}"#,
            r#"{"status":404,"for":"1h"}"#,
            r#"{"delay":"1500ms","for":"1ms","slot":"a\"b"}"#,
        ] {
            let spec = FaultSpec::parse(json.as_bytes()).unwrap();
            assert_eq!(FaultSpec::parse(spec.to_string().as_bytes()), Ok(spec.clone()), "{spec}");
        }
    }

    #[test]
    fn default_is_all_requests_of_all_tasks() {
        let spec = FaultSpec::parse(br#"{"status":503,"for":"1s"}"#).unwrap();
        assert_eq!((spec.rate, spec.slot), (1.0, None));
    }

    #[test]
    fn errors_name_the_field_and_its_value() {
        for (json, expected) in [
            ("", "expected a JSON object"),
            ("[]", "expected a JSON object"),
            (r#"{"status":503}"#, "missing field \"for\""),
            (r#"{"for":"1s"}"#, "the fault has no effect"),
            (r#"{"rate":1.5,"status":503,"for":"1s"}"#, "rate: expected a number from 0 to 1, got 1.5"),
            (
                r#"{"rate":"half","status":503,"for":"1s"}"#,
                "rate: expected a number from 0 to 1, got \"half\"",
            ),
            (r#"{"status":100,"for":"1s"}"#, "status: expected a number from 200 to 599, got 100"),
            (r#"{"status":503,"for":60}"#, "for: expected a string with a unit, such as \"200ms\", got 60"),
            (r#"{"status":503,"for":"60"}"#, "for: "),
            (r#"{"status":503,"for":"0s"}"#, "for: "),
            (r#"{"status":503,"for":"1000h"}"#, "24h"),
            (r#"{"delay":"1h","for":"1s"}"#, "delay: expected at most 10m, got \"1h\""),
            (r#"{"status":503,"for":"1s","slot":[]}"#, "slot: expected a number, got []"),
            (r#"{"statsu":503,"for":"1s"}"#, "statsu: unknown field: expected rate, status"),
        ] {
            let error = FaultSpec::parse(json.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
