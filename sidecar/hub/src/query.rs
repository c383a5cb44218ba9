//! The query of a request: each parameter at most once, and none that nobody asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use parse::{form_decode, query_pairs};
use runtime::StatusCode;

/// Nobody is kept waiting for longer, whatever was asked.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Parameters that have not been read yet.
pub(crate) struct Query<'a> {
    left: BTreeMap<&'a str, &'a str>,
    /// One that is there more than once.
    repeated: Option<&'a str>,
}

type Refusal = (StatusCode, String);

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

    /// A parameter's text, decoded; a space may be written as `+`, as clients of many kinds do.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(value) = self.left.remove(name) else { return Ok(None) };
        let text = form_decode(value);
        text.map(Some).map_err(|_| refusal(format!("{name}={value}: not UTF-8 after decoding")))
    }

    /// A parameter's duration.
    pub(crate) fn duration(&mut self, name: &str) -> Result<Option<Duration>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse::duration(&text).map(Some).map_err(|why| refusal(format!("{name}={text}: {why}")))
    }

    /// For how long an answer may be held: `wait`, which is cut to what the hub holds at most.
    pub(crate) fn wait(&mut self) -> Result<Option<Duration>, Refusal> {
        Ok(self.duration("wait")?.map(|wait| wait.min(LONGEST_WAIT)))
    }

    /// A whole number, which has to be there.
    pub(crate) fn number(&mut self, name: &str) -> Result<u128, Refusal> {
        let text = self.text(name)?.ok_or_else(|| refusal(format!("{name}: the parameter is missing")))?;
        text.parse().map_err(|_| refusal(format!("{name}={text}: a whole number is expected")))
    }

    /// Refuses what has not been read, and what was there more than once.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        match (self.left.into_keys().next(), self.repeated) {
            (Some(name), _) => Err(refusal(format!("{name}: there is no such parameter"))),
            (None, Some(name)) => Err(refusal(format!("{name}: the parameter is there more than once"))),
            (None, None) => Ok(()),
        }
    }
}

fn refusal(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_wrong_or_unknown_is_named() {
        let mut query = Query::new(Some("wait=4s&router=a%20b"));
        assert_eq!(query.duration("wait"), Ok(Some(Duration::from_secs(4))));
        assert_eq!(query.text("router"), Ok(Some("a b".to_owned())));
        assert_eq!(query.finish(), Ok(()));
        assert!(Query::new(Some("wait=4")).duration("wait").unwrap_err().1.starts_with("wait=4: "));
        assert!(Query::new(Some("wiat=4s")).finish().unwrap_err().1.starts_with("wiat: "));
        assert!(Query::new(Some("router=%FF")).text("router").is_err());
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused() {
        let mut query = Query::new(Some("wait=4s&wait=4s"));
        assert!(query.wait().is_ok());
        assert_eq!(query.finish().unwrap_err().1, "wait: the parameter is there more than once");
    }

    #[test]
    fn a_space_may_be_a_plus() {
        let mut query = Query::new(Some("wait=1m+30s&router=a+b%2Bc"));
        assert_eq!(query.duration("wait"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(query.text("router"), Ok(Some("a b+c".to_owned())));
    }
}
