//! Query of a request. Unknown and repeated parameters are errors.

use std::collections::BTreeMap;
use std::time::Duration;

use parse::{form_decode, query_pairs};

use crate::api::ApiError;

/// Maximum time for which a response is delayed. Longer waits are shortened to it.
pub(crate) const MAX_WAIT: Duration = Duration::from_mins(1);

/// Parameters that have not been read yet.
pub(crate) struct Query<'a> {
    left: BTreeMap<&'a str, &'a str>,
    /// A parameter that occurs more than once.
    repeated: Option<&'a str>,
}

impl<'a> Query<'a> {
    pub(crate) fn new(query: Option<&'a str>) -> Self {
        let mut read = Self { left: BTreeMap::new(), repeated: None };
        for (name, value) in query_pairs(query.unwrap_or_default()) {
            if read.left.insert(name, value.unwrap_or_default()).is_some() {
                read.repeated = Some(name);
            }
        }
        read
    }

    /// Takes a parameter and decodes it. `+` is a space.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(value) = self.left.remove(name) else { return Ok(None) };
        let text = form_decode(value);
        text.map(Some)
            .map_err(|_| ApiError::bad_request(format!("{name}={value}: not valid UTF-8 after decoding")))
    }

    /// Takes a parameter that is a duration.
    pub(crate) fn duration(&mut self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse::duration(&text)
            .map(Some)
            .map_err(|error| ApiError::bad_request(format!("{name}={text}: {error}")))
    }

    /// Takes `wait`, the time for which the response may be delayed.
    pub(crate) fn wait(&mut self) -> Result<Option<Duration>, ApiError> {
        Ok(self.duration("wait")?.map(|wait| wait.min(MAX_WAIT)))
    }

    /// Takes a required parameter that is an integer.
    pub(crate) fn number(&mut self, name: &str) -> Result<u64, ApiError> {
        let text =
            self.text(name)?.ok_or_else(|| ApiError::bad_request(format!("missing parameter {name}")))?;
        text.parse().map_err(|_| ApiError::bad_request(format!("{name}={text}: expected an integer")))
    }

    /// Rejects parameters that have not been taken, and repeated ones.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match (self.left.into_keys().next(), self.repeated) {
            (Some(name), _) => Err(ApiError::bad_request(format!("unknown parameter {name}"))),
            (None, Some(name)) => Err(ApiError::bad_request(format!("repeated parameter {name}"))),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_invalid_or_unknown_parameter() {
        let mut query = Query::new(Some("wait=4s&router=a%20b"));
        assert_eq!(query.duration("wait"), Ok(Some(Duration::from_secs(4))));
        assert_eq!(query.text("router"), Ok(Some("a b".to_owned())));
        assert_eq!(query.finish(), Ok(()));
        assert!(Query::new(Some("wait=4")).duration("wait").unwrap_err().message.starts_with("wait=4: "));
        assert!(Query::new(Some("wiat=4s")).finish().unwrap_err().message.ends_with(" wiat"));
        assert!(Query::new(Some("router=%FF")).text("router").is_err());
    }

    #[test]
    fn repeated_parameter_is_rejected() {
        let mut query = Query::new(Some("wait=4s&wait=4s"));
        assert!(query.wait().is_ok());
        assert_eq!(query.finish().unwrap_err().message, "repeated parameter wait");
    }

    #[test]
    fn plus_is_a_space() {
        let mut query = Query::new(Some("wait=1m+30s&router=a+b%2Bc"));
        assert_eq!(query.duration("wait"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(query.text("router"), Ok(Some("a b+c".to_owned())));
    }
}
