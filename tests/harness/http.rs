//! Single HTTP requests, without retries, redirects or proxies.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use ureq::http::{HeaderMap, Request};
use ureq::{Agent, Body, config::Config};

use crate::{Master, eventually};

/// Header with the name of the instance that sent the response.
pub const SERVED_BY: &str = "x-served-by";

/// Time limit for one request.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A response, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// Body, with bytes that are not UTF-8 replaced.
    pub body: String,
}

impl Response {
    /// Reads the whole `response`, so that its connection can serve the next request.
    pub fn read(response: ureq::http::Response<Body>) -> Result<Self, ureq::Error> {
        let (parts, mut body) = response.into_parts();
        let body = String::from_utf8_lossy(&body.read_to_vec()?).into_owned();
        Ok(Self { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Parses the body as JSON. Fails unless the status is 200.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.status == 200, "status {}: {}", self.status, self.body);
        serde_json::from_str(&self.body).context("parsing the body as JSON")
    }

    /// Value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Name of the instance that sent it.
    pub fn served_by(&self) -> Option<&str> {
        self.header(SERVED_BY)
    }
}

/// Returns a client with its own connections, which it reuses if `keep_alive`.
pub fn agent(timeout: Duration, keep_alive: bool) -> Agent {
    let idle = if keep_alive { 3 } else { 0 };
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // A proxy from the environment cannot reach this machine's loopback.
        .proxy(None)
        .timeout_global(Some(timeout))
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle)
        .build()
        .new_agent()
}

/// Sends `GET url` on a new connection.
pub fn get(url: &str) -> Result<Response> {
    request("GET", url, &[])
}

/// Sends `GET url`, and fails unless the status is 200.
pub fn get_ok(url: &str) -> Result<Response> {
    let response = get(url)?;
    if response.status != 200 {
        bail!("GET {url}: status {}", response.status);
    }
    Ok(response)
}

/// Sends `GET url` until the status is 200.
pub fn wait_ok(url: &str, timeout: Duration) -> Result<Response> {
    eventually(timeout, || get_ok(url))
}

/// Sends `GET url`, and parses the body of a response with status 200 as JSON.
pub fn json(url: &str) -> Result<Value> {
    get_ok(url)?.json().with_context(|| format!("GET {url}"))
}

/// Sends `GET url` with the reader's token, and parses the body of a response with status 200 as JSON.
pub fn json_as_reader(master: &Master, url: &str) -> Result<Value> {
    let authorization = format!("Bearer {}", master.role("reader"));
    request("GET", url, &[("authorization", &authorization)])?.json().with_context(|| format!("GET {url}"))
}

/// Sends a request without a body on a new connection.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let send = || Response::read(agent(TIMEOUT, false).run(request.body(())?)?);
    send().with_context(|| format!("{method} {url}"))
}
