//! One request at a time, as a client without retries, redirects or proxies.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::http::{HeaderMap, Request};
use ureq::{Agent, Body, config::Config};

use crate::eventually;

/// The header by which a service says which instance answered.
pub const SERVED_BY: &str = "x-served-by";

/// How long one request may take before it counts as failed.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, bytes that are not UTF-8 replaced.
    pub body: String,
}

impl Answer {
    /// Reads `response` whole, so that its connection can serve the next request.
    pub fn read(response: ureq::http::Response<Body>) -> Result<Self, ureq::Error> {
        let (parts, mut body) = response.into_parts();
        let body = String::from_utf8_lossy(&body.read_to_vec()?).into_owned();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The instance that answered.
    pub fn served_by(&self) -> Option<&str> {
        self.header(SERVED_BY)
    }
}

/// A client of its own: its connections are kept and used again, unless `keep_alive` is false.
pub fn agent(timeout: Duration, keep_alive: bool) -> Agent {
    let idle = if keep_alive { 3 } else { 0 };
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // The environment may name a proxy, which knows nothing of this machine's loopback.
        .proxy(None)
        .timeout_global(Some(timeout))
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .build()
        .new_agent()
}

/// `GET url`, on a new connection.
pub fn get(url: &str) -> Result<Answer> {
    request("GET", url, &[])
}

/// Whether `GET url` is answered with 200; returns the answer.
pub fn well(url: &str) -> Result<Answer> {
    let answer = get(url)?;
    if answer.status != 200 {
        bail!("GET {url}: status {}", answer.status);
    }
    Ok(answer)
}

/// Waits until `GET url` is answered with 200; returns the answer.
pub fn wait_well(url: &str, timeout: Duration) -> Result<Answer> {
    eventually(timeout, || well(url))
}

/// The JSON that `GET url` is answered with.
pub fn json(url: &str) -> Result<Value> {
    let answer = well(url)?;
    serde_json::from_str(&answer.body).with_context(|| format!("GET {url}: reading the body as JSON"))
}

/// Any request without a body, on a new connection.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let send = || Answer::read(agent(TIMEOUT, false).run(request.body(())?)?);
    send().with_context(|| format!("{method} {url}"))
}
