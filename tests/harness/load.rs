//! Load that tests and benchmarks send: `load`'s own engine, as fast as a test needs it, until it is stopped.

use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use load::engine::{Running, Stopper};
use load::pace::turns;
use load::plan::{Http, Plan};
pub use load::report::{Class, Report};
use load::report::{Ended, Instance};
use load::target::Target;
pub use load::text::text;

/// What ping says, and who it is.
pub const PONG: &str = r"body:^Pong from (\S+)\n$";

/// What hello says to Viktor, and who it is.
pub const HELLO: &str = r"body:^Hello, Viktor! \(from (\S+)\)\n$";

/// Gaps from this on are listed.
const GAP: Duration = Duration::from_millis(250);

/// How load is made.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Requests per second, whatever the answers take. A connection has one at a time; what waits for one is sent as soon
    /// as there is one.
    pub rate: u32,
    /// Connections at a time.
    pub connections: u32,
    /// Whether a connection is kept, or each request has its own.
    pub keep_alive: bool,
    /// After this a request has failed.
    pub timeout: Duration,
    /// What tells instances apart, as `load --instance` has it. An answer that does not tell does not pass: see [`Load::pass`].
    pub instance: &'static str,
    /// Load that is not stopped ends after this time, and does not pass.
    pub longest: Duration,
}

impl Default for LoadOptions {
    /// Asks ping 400 times a second, by four connections.
    fn default() -> Self {
        Self {
            rate: 400,
            connections: 4,
            keep_alive: true,
            timeout: Duration::from_secs(2),
            instance: PONG,
            longest: Duration::from_mins(5),
        }
    }
}

impl LoadOptions {
    fn plan(&self, url: &str) -> Result<Plan> {
        let target: Target = url.parse().map_err(|error| anyhow!("load on {url}: {error}"))?;
        ensure!(!target.origin.tls, "load on {url}: tests have no certificates");
        let targets = vec![target];
        let (origins, origin_of) = Plan::origins(&targets);
        Ok(Plan {
            turns: turns(&[1]),
            targets,
            origins,
            origin_of,
            method: "GET".parse()?,
            fields: Vec::new(),
            body: Vec::new(),
            http: Some(Http::One),
            keep_alive: self.keep_alive,
            connections: self.connections,
            streams: 1,
            threads: 1,
            rate: Some(self.rate.into()),
            ramp: Duration::ZERO,
            duration: Some(self.longest),
            requests: None,
            timeout: self.timeout,
            instance: self.instance.parse().map_err(Error::msg)?,
            gap: GAP,
            tls: None,
        })
    }
}

/// Load that is under way. Dropped, it ends.
pub struct Load {
    running: Running,
    stopper: Stopper,
    url: String,
}

impl Load {
    /// Starts to ask for `url`.
    pub fn start(url: impl Into<String>, options: &LoadOptions) -> Result<Self> {
        let (url, stopper) = (url.into(), Stopper::new());
        let running = Running::start(options.plan(&url)?, vec![Http::One], &stopper)?;
        Ok(Self { running, stopper, url })
    }

    /// What has come of it so far.
    pub fn so_far(&self) -> Report {
        self.running.so_far()
    }

    /// Waits until `count` more requests have been answered with a status below 400 than at the time of the call, so that
    /// whatever happened before has been under load. Failures do not count; whether answers tell whose they are is seen in
    /// the end, by [`Load::pass`].
    pub fn wait_for_more(&self, count: u64, timeout: Duration) -> Result<()> {
        let wanted = self.running.ok() + count;
        let answered = crate::eventually(timeout, || {
            let ok = self.running.ok();
            ensure!(ok >= wanted, "{ok} of {wanted} requests");
            Ok(())
        });
        answered.with_context(|| format!("load on {} goes on: {}", self.url, text(&self.so_far())))
    }

    /// Ends it, waiting for requests that are under way, which count.
    pub fn stop(self) -> Result<Report> {
        self.stopper.stop();
        Ok(self.running.finish()?)
    }

    /// Ends it, and is an error with the whole report unless there was load to the end, and each request had an answer with
    /// a status below 400 that told whose it was.
    pub fn pass(self) -> Result<Report> {
        let url = self.url.clone();
        let report = self.stop()?;
        ensure!(report.ended == Ended::Interrupted, "load on {url} was over too soon: {}", text(&report));
        let passed = report.ok > 0 && report.failed + unnamed(&report) == 0;
        ensure!(passed, "load on {url} did not pass: {}", text(&report));
        Ok(report)
    }
}

/// Waits until each of `loads` has been answered so many times more: see [`Load::wait_for_more`].
pub fn all_go_on(loads: &[Load], count: u64, timeout: Duration) -> Result<()> {
    loads.iter().try_for_each(|load| load.wait_for_more(count, timeout))
}

/// Good answers that did not tell whose they were: not what was asked for.
pub fn unnamed(report: &Report) -> u64 {
    report.instances.iter().filter(|one| one.name.is_none()).map(|one| one.ok).sum()
}

/// Who of this name has answered, if anybody has.
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

    /// Load on a server that gives request number n, from 0, what `answer` returns for n, on a connection of its own.
    fn load(answer: impl Fn(u64) -> &'static str + Send + 'static, options: LoadOptions) -> Load {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (mut stream, number) in listener.incoming().flatten().zip(0..) {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer(number).as_bytes());
            }
        });
        let options = LoadOptions { keep_alive: false, timeout: LONG, ..options };
        Load::start(url, &options).unwrap()
    }

    #[test]
    fn load_passes_when_every_answer_was_good_and_told_whose_it_was() {
        let load = load(|_| GOOD, LoadOptions::default());
        load.wait_for_more(5, LONG).unwrap();
        let before = load.so_far().ok;
        load.wait_for_more(5, LONG).unwrap();
        let report = load.pass().unwrap();
        assert!(report.ok >= before + 5, "{before} and then {}", report.ok);
        assert_eq!(instance(&report, "a").unwrap().ok, report.ok);
    }

    #[test]
    fn one_bad_answer_or_one_that_is_not_what_was_asked_for_does_not_pass() {
        for (other, expected) in [(BAD, "502"), (WRONG, "do not say whose they are")] {
            let answer = move |number| if number == 3 { other } else { GOOD };
            let load = load(answer, LoadOptions::default());
            load.wait_for_more(10, LONG).unwrap();
            let error = load.pass().unwrap_err().to_string();
            assert!(error.contains("did not pass") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn load_that_nobody_answered_does_not_pass() {
        let nobody = crate::Loopback::new().free().unwrap();
        let load = Load::start(format!("http://{nobody}/"), &LoadOptions::default()).unwrap();
        crate::eventually(LONG, || load.so_far().failed > 0).unwrap();
        assert!(load.pass().unwrap_err().to_string().contains("refused"));
    }

    #[test]
    fn load_that_was_over_before_it_was_stopped_does_not_pass() {
        let longest = Duration::from_millis(20);
        let load = load(|_| GOOD, LoadOptions { longest, ..LoadOptions::default() });
        crate::eventually(LONG, || load.so_far().seconds > 0.02).unwrap();
        assert!(load.pass().unwrap_err().to_string().contains("was over too soon"));
    }
}
