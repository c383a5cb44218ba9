//! Load for tests and benchmarks, by the engine of `load`, at a fixed rate until it is stopped.

use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use load::engine::{Running, Stopper};
use load::plan::{HttpVersion, Plan};
use load::report::{EndReason, Instance};
pub use load::report::{ErrorClass, Report};
use load::target::Target;
pub use load::text::text;

/// Key of instances for responses of ping.
pub const PONG: &str = r"body:^Pong from (\S+)\n$";

/// Key of instances for responses of `hello` to Viktor.
pub const HELLO: &str = r"body:^Hello, Viktor! \(from (\S+)\)\n$";

/// Options of load.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Requests per second, independent of response times.
    pub rate: u32,
    /// Maximum number of connections. Each carries one request at a time.
    pub connections: u32,
    /// Whether connections are reused.
    pub keep_alive: bool,
    /// Time limit of a request.
    pub timeout: Duration,
    /// Key of instances, as for `load --instance`. A response without a name does not [`pass`](Load::pass).
    pub instance: &'static str,
    /// Maximum duration. Load that reaches it does not [`pass`](Load::pass).
    pub max_duration: Duration,
}

impl Default for LoadOptions {
    /// 400 requests per second to ping over four connections.
    fn default() -> Self {
        Self {
            rate: 400,
            connections: 4,
            keep_alive: true,
            timeout: Duration::from_secs(2),
            instance: PONG,
            max_duration: Duration::from_mins(5),
        }
    }
}

impl LoadOptions {
    fn plan(&self, url: &str) -> Result<Plan> {
        let target: Target = url.parse().map_err(|error| anyhow!("load on {url}: {error}"))?;
        ensure!(!target.origin.tls, "load on {url}: https is not supported in tests");
        let mut plan = Plan::new(vec![target]);
        plan.http = Some(HttpVersion::Http1);
        plan.keep_alive = self.keep_alive;
        plan.connections = self.connections;
        plan.rate = Some(self.rate.into());
        plan.duration = Some(self.max_duration);
        plan.timeout = self.timeout;
        plan.instance = self.instance.parse().map_err(Error::msg)?;
        Ok(plan)
    }
}

/// Load in progress. Ends when dropped.
pub struct Load {
    running: Running,
    stopper: Stopper,
    url: String,
}

impl Load {
    /// Starts to send requests to `url`.
    pub fn start(url: impl Into<String>, options: &LoadOptions) -> Result<Self> {
        let (url, stopper) = (url.into(), Stopper::new());
        let running = Running::start(options.plan(&url)?, vec![HttpVersion::Http1], &stopper)?;
        Ok(Self { running, stopper, url })
    }

    /// Returns an interim report.
    pub fn so_far(&self) -> Report {
        self.running.so_far()
    }

    /// Waits until `count` more requests have been successful, so that everything before this call happened under load.
    /// Failures are ignored; [`Load::pass`] checks them.
    pub fn wait_for_more(&self, count: u64, timeout: Duration) -> Result<()> {
        let wanted = self.running.ok() + count;
        let reached = crate::eventually(timeout, || {
            let ok = self.running.ok();
            ensure!(ok >= wanted, "{ok} of {wanted} requests");
            Ok(())
        });
        reached.with_context(|| format!("waiting for load on {}: {}", self.url, text(&self.so_far())))
    }

    /// Stops the load, and waits for requests in flight. Requests that were due and not sent do not count: the machine was
    /// busy. If a server does not answer, requests time out.
    pub fn stop(self) -> Result<Report> {
        self.stopper.stop();
        let mut report = self.running.finish()?;
        let unsent = report.failures.by_class.remove(&ErrorClass::Unsent).unwrap_or_default();
        report.failed -= unsent;
        report.requests -= unsent;
        Ok(report)
    }

    /// Stops the load. Returns an error with the whole report unless load was sent to the end, and every request was
    /// successful and its response named the instance.
    pub fn pass(self) -> Result<Report> {
        let url = self.url.clone();
        let report = self.stop()?;
        ensure!(report.ended == EndReason::Interrupted, "load on {url} ended too soon: {}", text(&report));
        let passed = report.ok > 0 && report.failed + unnamed(&report) == 0;
        ensure!(passed, "load on {url} did not pass: {}", text(&report));
        Ok(report)
    }
}

/// Waits until each load has had `count` more successful requests: see [`Load::wait_for_more`].
pub fn wait_for_all(loads: &[Load], count: u64, timeout: Duration) -> Result<()> {
    loads.iter().try_for_each(|load| load.wait_for_more(count, timeout))
}

/// Waits as [`wait_for_all`] does, then stops each load and checks it: see [`Load::pass`].
pub fn pass_all(loads: impl Into<Vec<Load>>, count: u64, timeout: Duration) -> Result<()> {
    let loads = loads.into();
    wait_for_all(&loads, count, timeout)?;
    loads.into_iter().try_for_each(|load| load.pass().map(drop))
}

/// Number of successful responses that did not name their instance.
pub fn unnamed(report: &Report) -> u64 {
    report.instances.iter().filter(|one| one.name.is_none()).map(|one| one.ok).sum()
}

/// Finds an instance by its name.
pub fn instance<'a>(report: &'a Report, name: &str) -> Option<&'a Instance> {
    report.instances.iter().find(|one| one.name.as_deref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    const LONG: Duration = Duration::from_secs(20);
    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nPong from a\n";
    const WRONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nPing from a\n";
    const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";

    /// Starts load on a server that sends `response(n)` to request n, counted from 0, and closes the connection.
    fn load(response: impl Fn(u64) -> &'static str + Send + 'static, options: LoadOptions) -> Load {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (mut stream, number) in listener.incoming().flatten().zip(0..) {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(response(number).as_bytes());
            }
        });
        let options = LoadOptions { keep_alive: false, timeout: LONG, ..options };
        Load::start(url, &options).unwrap()
    }

    #[test]
    fn load_passes_when_every_response_is_good_and_named() {
        let load = load(|_| GOOD, LoadOptions::default());
        load.wait_for_more(5, LONG).unwrap();
        let before = load.so_far().ok;
        load.wait_for_more(5, LONG).unwrap();
        let report = load.pass().unwrap();
        assert!(report.ok >= before + 5, "{before} and then {}", report.ok);
        assert_eq!(instance(&report, "a").unwrap().ok, report.ok);
    }

    #[test]
    fn load_fails_after_one_bad_or_unnamed_response() {
        for (other, expected) in [(BAD, "502"), (WRONG, "do not name their instance")] {
            let response = move |number| if number == 3 { other } else { GOOD };
            let load = load(response, LoadOptions::default());
            load.wait_for_more(10, LONG).unwrap();
            let error = load.pass().unwrap_err().to_string().replace("\n  ", " ");
            assert!(error.contains("did not pass") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn load_passes_although_it_could_not_send_all_requests_in_time() {
        let slow = |_| {
            thread::sleep(Duration::from_millis(20));
            GOOD
        };
        let load = load(slow, LoadOptions { rate: 10_000, connections: 1, ..LoadOptions::default() });
        load.wait_for_more(20, LONG).unwrap();
        let report = load.pass().unwrap();
        assert_eq!(report.requests, report.ok);
    }

    #[test]
    fn load_fails_without_a_server() {
        let free = crate::Loopback::new().free().unwrap();
        let load = Load::start(format!("http://{free}/"), &LoadOptions::default()).unwrap();
        crate::eventually(LONG, || load.so_far().failed > 0).unwrap();
        assert!(load.pass().unwrap_err().to_string().contains("refused"));
    }

    #[test]
    fn load_fails_if_it_ended_before_it_was_stopped() {
        let max_duration = Duration::from_millis(20);
        let load = load(|_| GOOD, LoadOptions { max_duration, ..LoadOptions::default() });
        crate::eventually(LONG, || load.so_far().seconds > 0.02).unwrap();
        assert!(load.pass().unwrap_err().to_string().contains("ended too soon"));
    }
}
