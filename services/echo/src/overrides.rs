//! Changes to any response that the query of its request asks for: `delay`, `status` and `header`.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Body as _;
use runtime::{Body, Response};

use crate::params;
use crate::query::Query;
use crate::random::Random;
use crate::weights::WeightedCodes;

/// Maximum number of headers that a request can set. Some clients accept only 100 in all.
const MAX_HEADERS: usize = 64;

/// Headers that a request cannot set: those of the connection and of the body's length, those that identify the task, and the
/// one with which other sites could read the credentials in a browser's request.
const RESERVED: [&str; 16] = [
    "access-control-allow-credentials",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-instance",
    "x-node",
    "x-served-by",
    "x-slot",
    "x-state",
    "x-task",
    "x-version",
];

/// Changes to a response.
#[derive(Debug, Default)]
pub struct Overrides {
    /// Shortest and longest delay before the response.
    pub delay: (Duration, Duration),
    status: Option<WeightedCodes>,
    headers: HeaderMap,
}

impl Overrides {
    /// Parses the parameters. If `are_headers`, all others are headers, too.
    pub fn parse(query: Query<'_>, max_delay: Duration, are_headers: bool) -> Result<Self, String> {
        let delay = query.read("delay", |delay| if_set(delay, |delay| params::times(delay, max_delay)))?;
        let status = query.read("status", |codes| if_set(codes, str::parse))?;
        let mut headers = HeaderMap::new();
        for (name, value) in query.pairs() {
            let (name, value) = match name.as_str() {
                "delay" | "status" => continue,
                "header" => match value.split_once(':') {
                    Some((name, value)) => {
                        self::header(name, value).map_err(|error| format!("header={error}"))?
                    }
                    None => {
                        return Err(format!(
                            "header={value:?}: expected a name and a value, such as x-test:1"
                        ));
                    }
                },
                name if are_headers => self::header(name, &value)?,
                _ => continue,
            };
            headers.append(name, value);
        }
        if headers.len() > MAX_HEADERS {
            return Err(format!("{} headers: expected at most {MAX_HEADERS}", headers.len()));
        }
        Ok(Self { delay: delay.flatten().unwrap_or_default(), status: status.flatten(), headers })
    }

    /// Uses these codes unless the request asks for others.
    #[must_use]
    pub fn or_status(self, codes: Option<&WeightedCodes>) -> Self {
        Self { status: self.status.or_else(|| codes.cloned()), ..self }
    }

    /// Returns the headers to set.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Changes the response. Each header replaces those of the same name.
    pub fn apply(mut self, response: &mut Response) {
        if let Some(codes) = self.status {
            set_status(response, codes.pick(Random::with_random_seed().below(codes.total())));
        }
        if self.headers.contains_key(header::CONTENT_TYPE) {
            // The body may contain text of the request, in which a browser must not run a script.
            let sandbox = HeaderValue::from_static("sandbox");
            self.headers.append(header::CONTENT_SECURITY_POLICY, sandbox);
        }
        response.headers_mut().extend(self.headers);
    }
}

/// Parses a parameter; an empty one counts as not set.
fn if_set<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| format!("{name:?}: expected a header name"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(format!(
            "{name:?}: this header cannot be set: it would break the connection, hide the task or expose credentials"
        ));
    }
    let value = value.trim();
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("{name}:{value:?}: expected a header value without control characters"))?;
    Ok((parsed, value))
}

/// Sets the status code, with the headers that RFC 9110 requires and without a body that it forbids.
pub fn set_status(response: &mut Response, code: StatusCode) {
    *response.status_mut() = code;
    // An empty body may be that of an upgrade or of an aborted response.
    if matches!(code.as_u16(), 204 | 205 | 304) && !response.body().is_end_stream() {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    let size = response.body().size_hint().exact().filter(|size| *size > 0);
    let mut require = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().entry(name).or_insert(value);
        }
    };
    match code.as_u16() {
        // The body as the only part.
        206 => {
            if let Some(size) = size {
                require(header::CONTENT_RANGE, &format!("bytes 0-{}/{size}", size - 1));
            }
        }
        301 | 302 | 303 | 307 | 308 => require(header::LOCATION, "/"),
        401 => require(header::WWW_AUTHENTICATE, "Basic realm=\"echo\""),
        // An empty list: no method is allowed.
        405 => require(header::ALLOW, ""),
        407 => require(header::PROXY_AUTHENTICATE, "Basic realm=\"echo\""),
        // No range is within an empty representation.
        416 => require(header::CONTENT_RANGE, "bytes */0"),
        426 => {
            require(header::CONNECTION, "Upgrade");
            require(header::UPGRADE, "websocket");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use runtime::text;

    use super::*;
    use crate::random::gibberish;

    const MINUTE: Duration = Duration::from_mins(1);

    fn parse(query: &str) -> Result<Overrides, String> {
        Overrides::parse(Query::new(Some(query)), MINUTE, false)
    }

    /// Returns the response `text` after the changes of `query`.
    fn changed(query: &str) -> Response {
        let mut response = text("text");
        parse(query).unwrap().apply(&mut response);
        response
    }

    fn values<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
        response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn query_sets_delay_status_and_headers() {
        let overrides = parse("delay=10ms-1&delay=x&status=503&a=b&header=x-a:1&header=X-A:+2").unwrap();
        assert_eq!(overrides.delay, (Duration::from_millis(10), Duration::from_secs(1)));
        let response = changed("status=503&header=x-a:1&header=X-A:+2&header=x-b:a:b&header=x-c:");
        assert_eq!(response.status(), 503);
        assert_eq!(values(&response, "x-a"), ["1", "2"]);
        assert_eq!(values(&response, "x-b"), ["a:b"]);
        assert_eq!(values(&response, "x-c"), [""]);
        for nothing in ["", "delay=&status=", "delay&status"] {
            assert_eq!(parse(nothing).unwrap().delay, (Duration::ZERO, Duration::ZERO));
            assert_eq!(changed(nothing).status(), 200);
        }
    }

    #[test]
    fn header_replaces_that_of_the_handler() {
        let response = changed("header=content-type:text/html");
        assert_eq!(values(&response, "content-type"), ["text/html"]);
        let response = changed("status=302&header=location:/a");
        assert_eq!(values(&response, "location"), ["/a"]);
    }

    #[test]
    fn browser_runs_no_script_of_a_body_whose_type_the_client_sets() {
        let query = "header=content-type:text/html&header=content-security-policy:default-src+*";
        assert_eq!(values(&changed(query), "content-security-policy"), ["default-src *", "sandbox"]);
        assert!(values(&changed("header=x-a:1"), "content-security-policy").is_empty());
    }

    #[test]
    fn errors_name_the_parameter() {
        for (query, named) in [
            ("delay=x", "delay=\"x\": expected a duration such as"),
            ("delay=61", "delay=\"61\": expected seconds, or a duration of at most 1m"),
            ("status=99", "status=\"99\": expected a status code"),
            ("header=x", "header=\"x\": expected a name and a value, such as x-test:1"),
            ("header=:x", "header=\"\": expected a header name"),
            ("header=a+b:x", "header=\"a b\": expected a header name"),
            ("header=%C3%A9:x", "header=\"é\": expected a header name"),
            (
                "header=x-a:1%0d%0ax-b:2",
                "header=x-a:\"1\\r\\nx-b:2\": expected a header value without control",
            ),
            ("header=x-a:%00", "header=x-a:\"\\0\": expected a header value without control"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(error.starts_with(named), "{query}: {error}");
        }
        assert_eq!(parse(&"header=a:&".repeat(65)).unwrap_err(), "65 headers: expected at most 64");
    }

    #[test]
    fn reserved_headers_are_rejected_in_any_case() {
        for name in RESERVED {
            for name in [name.to_owned(), name.to_uppercase()] {
                let error = parse(&format!("header={name}:1")).unwrap_err();
                assert!(
                    error.starts_with(&format!("header=\"{name}\": this header cannot be set")),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn all_other_parameters_can_be_headers() {
        let query = Query::new(Some("X-A=1&x-a=2&status=204&header=status:x&a+b=1"));
        assert_eq!(Overrides::parse(query, MINUTE, true).unwrap_err(), "\"a b\": expected a header name");
        let query = Query::new(Some("X-A=1&x-a=2&status=204&header=status:x"));
        let overrides = Overrides::parse(query, MINUTE, true).unwrap();
        let mut names: Vec<_> =
            overrides.headers().iter().map(|(name, value)| (name.as_str(), value)).collect();
        names.sort();
        let value = HeaderValue::from_static;
        assert_eq!(names, [("status", &value("x")), ("x-a", &value("1")), ("x-a", &value("2"))]);
    }

    #[test]
    fn required_headers_accompany_a_status() {
        for (code, name, value) in [
            (206, "content-range", "bytes 0-3/4"),
            (301, "location", "/"),
            (302, "location", "/"),
            (303, "location", "/"),
            (307, "location", "/"),
            (308, "location", "/"),
            (401, "www-authenticate", "Basic realm=\"echo\""),
            (405, "allow", ""),
            (407, "proxy-authenticate", "Basic realm=\"echo\""),
            (416, "content-range", "bytes */0"),
            (426, "upgrade", "websocket"),
            (426, "connection", "Upgrade"),
        ] {
            assert_eq!(values(&changed(&format!("status={code}")), name), [value], "{code}");
        }
        assert_eq!(changed("status=200").headers().len(), 1);
        // A header of the handler stays.
        let mut response = text("text");
        response.headers_mut().insert("content-range", HeaderValue::from_static("bytes 5-8/9"));
        set_status(&mut response, StatusCode::PARTIAL_CONTENT);
        assert_eq!(values(&response, "content-range"), ["bytes 5-8/9"]);
    }

    #[test]
    fn codes_without_a_body_have_none() {
        for code in [204, 205, 304] {
            let response = changed(&format!("status={code}"));
            assert_eq!(response.body().size_hint().exact(), Some(0), "{code}");
            assert!(response.headers().is_empty(), "{code}");
        }
        let mut response = Response::new(Body::abort());
        set_status(&mut response, StatusCode::NO_CONTENT);
        assert_eq!(format!("{:?}", response.body()), "Aborted");
    }

    #[test]
    fn arbitrary_queries_never_panic() {
        let mut random = Random::new(17);
        for _ in 0..20_000 {
            let query = gibberish(&mut random, "header=status:delay&x-%0da1;+");
            for are_headers in [false, true] {
                if let Ok(overrides) = Overrides::parse(Query::new(Some(&query)), MINUTE, are_headers) {
                    overrides.apply(&mut text("text"));
                }
            }
        }
    }
}
