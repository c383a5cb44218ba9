//! Constant load, counted.

mod client;
mod options;
mod report;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use client::Shared;
pub use options::{LoadOptions, Pace};
pub use report::{Failure, Latency, Report, Seen};

/// Load that is under way. Dropped, it ends.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to ask for `url`.
    pub fn start(url: impl Into<String>, options: LoadOptions) -> Self {
        let threads = options.threads;
        let shared = Arc::new(Shared::new(url.into(), options));
        let client = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.client())
        };
        let threads = (0..threads).map(client).collect();
        Self { shared, threads }
    }

    /// What has come of it so far.
    pub fn so_far(&self) -> Report {
        self.shared.report()
    }

    /// Waits until `count` more requests have been answered well than at the time of the call, so that whatever
    /// happened before has been under load. Failures do not count.
    pub fn wait_for_more(&self, count: u64, timeout: Duration) -> Result<()> {
        let ok = || self.shared.tally().ok();
        let wanted = ok() + count;
        let answered = crate::eventually(timeout, || {
            let ok = ok();
            ensure!(ok >= wanted, "{ok} of {wanted} requests");
            Ok(())
        });
        answered.with_context(|| format!("load goes on: {}", self.so_far()))
    }

    /// Ends it, waiting for requests that are under way, which count.
    pub fn stop(mut self) -> Report {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.shared.end_now(false);
        for thread in self.threads.drain(..) {
            // A client that panicked has said so; its requests are missing, which is a failure too.
            if thread.join().is_err()
                && let Some(end) = &mut *self.shared.end()
            {
                end.cut_short = true;
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Loopback, eventually};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Barrier, Mutex, mpsc};

    const LONG: Duration = Duration::from_secs(20);
    const GOOD: &str = "HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 12\r\n\r\nPong from a\n";
    const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";

    /// The URL of a server that gives request number n, from 0, what `answer` returns for n; each on a connection and a
    /// thread of its own.
    fn serve(answer: impl Fn(u64) -> &'static str + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (answer, requests) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
                thread::spawn(move || {
                    let _ = stream.read(&mut [0; 1024]);
                    let answer = answer(requests.fetch_add(1, Ordering::Relaxed));
                    let _ = stream.write_all(answer.as_bytes());
                });
            }
        });
        url
    }

    /// Runs load until a limit ends it.
    fn run(url: String, options: &LoadOptions) -> Report {
        let load = Load::start(url, LoadOptions { keep_alive: false, timeout: LONG, ..options.clone() });
        eventually(LONG, || load.so_far().cut_short).unwrap();
        load.stop()
    }

    fn one_client(answer: &'static str, most_requests: u64) -> Report {
        let options = LoadOptions { threads: 1, most_requests, ..LoadOptions::default() };
        run(serve(move |_| answer), &options)
    }

    fn per_second(rate: u32) -> LoadOptions {
        LoadOptions::per_second(NonZeroU32::new(rate).unwrap())
    }

    #[test]
    fn good_answers_are_counted_by_instance() {
        let options = LoadOptions { threads: 2, keep_alive: false, ..LoadOptions::default() };
        let load = Load::start(serve(|_| GOOD), options);
        load.wait_for_more(5, LONG).unwrap();
        let before = load.so_far();
        load.wait_for_more(5, LONG).unwrap();
        let report = load.so_far();
        assert!(report.ok >= before.ok + 5, "{} and then {}", before.ok, report.ok);
        let report = load.stop();
        report.no_failures().unwrap();
        assert_eq!(report.by_instance["a"].count() as u64, report.ok);
        assert_eq!(report.started, before.started);
    }

    #[test]
    fn every_kind_of_failure_is_one() {
        let failures = |answer| one_client(answer, 2).failed.into_keys().collect::<Vec<_>>();
        assert_eq!(failures(BAD), [Failure::Status(502)]);
        assert_eq!(
            failures("HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 2\r\n\r\nno"),
            [Failure::Wrong]
        );
        assert_eq!(failures("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nPong from a\n"), [Failure::Wrong]);
        assert_eq!(
            failures("HTTP/1.1 200 OK\r\nx-served-by: a\r\ncontent-length: 12\r\n\r\nPong"),
            [Failure::Cut]
        );

        let nobody = Loopback::new().free().unwrap();
        let load = Load::start(format!("http://{nobody}/"), LoadOptions::default());
        eventually(LONG, || load.so_far().failures() > 0).unwrap();
        assert_eq!(load.stop().failed.into_keys().collect::<Vec<_>>(), [Failure::Refused]);
    }

    #[test]
    fn every_failure_has_its_time_and_the_first_ones_their_text() {
        let report = one_client(BAD, 12);
        assert_eq!((report.ok, report.failures(), report.failed_at.len()), (0, 12, 12));
        assert!(report.failed_at.is_sorted_by(|one, next| one < next), "{:?}", report.failed_at);
        assert_eq!(report.last_failure(), Some(report.failed_at[11]));
        let at: Vec<_> = report.first_failures.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, report.failed_at[..5]);
        assert_eq!(report.longest_gap, report.elapsed, "no answer was good");
    }

    #[test]
    fn load_that_a_limit_has_ended_does_not_pass() {
        let report = one_client(GOOD, 3);
        assert_eq!((report.ok, report.failures()), (3, 0));
        assert!(report.no_failures().unwrap_err().to_string().contains("cut short"));

        let longest = Duration::from_millis(20);
        let report = run(serve(|_| GOOD), &LoadOptions { longest, ..LoadOptions::default() });
        assert!(report.elapsed >= longest, "{report}");
    }

    #[test]
    fn requests_that_one_client_makes_of_an_instance_are_seen_in_order() {
        const OTHER: &str = "HTTP/1.1 200 OK\r\nx-served-by: b\r\ncontent-length: 12\r\n\r\nPong from b\n";
        let url = serve(|n| if n % 3 == 0 { OTHER } else { GOOD });
        let report = run(url, &LoadOptions { threads: 1, most_requests: 9, ..LoadOptions::default() });
        let [a, b] = ["a", "b"].map(|instance| &report.by_instance[instance]);
        assert_eq!((a.count(), b.count()), (6, 3));
        for seen in [a, b] {
            assert!(seen.requests.is_sorted_by(|one, next| one < next), "{seen:?}");
            assert_eq!(
                (seen.first(), seen.last()),
                (seen.requests.first().copied(), seen.requests.last().copied())
            );
        }
        assert!(b.first() < a.first() && b.last() < a.last(), "{a:?} {b:?}");
        assert_eq!(b.since(b.requests[1]), 2);
    }

    #[test]
    fn at_a_rate_requests_begin_when_they_are_due_though_none_is_answered() {
        const COUNT: u32 = 8;
        let all = Barrier::new(COUNT as usize);
        let url = serve(move |_| {
            all.wait();
            GOOD
        });
        let report = run(url, &LoadOptions { most_requests: COUNT.into(), ..per_second(50) });
        assert_eq!((report.ok, report.failures()), (u64::from(COUNT), 0), "{report}");
        let mut began = report.by_instance["a"].requests.clone();
        began.sort();
        for (began, n) in began.iter().zip(0..) {
            assert!(*began >= Duration::from_millis(20) * n, "request {n} began at {began:?}");
        }
    }

    #[test]
    fn requests_that_a_stall_has_kept_back_are_made_up_for_and_late() {
        const STALL: Duration = Duration::from_millis(200);
        let (release, stall) = mpsc::channel::<()>();
        let stall = Mutex::new(stall);
        let url = serve(move |n| {
            if n == 0 {
                let _ = stall.lock().unwrap().recv();
            }
            GOOD
        });
        // One is due each 10 ms, and the only client waits for the first one.
        let options = LoadOptions { threads: 1, most_requests: 20, ..per_second(100) };
        let load = Load::start(url, LoadOptions { keep_alive: false, timeout: LONG, ..options });
        eventually(LONG, || load.so_far().elapsed >= STALL).unwrap();
        drop(release);
        eventually(LONG, || load.so_far().cut_short).unwrap();
        let report = load.stop();
        assert_eq!((report.ok, report.failures()), (20, 0), "{report}");
        // All but the first one, and the last one, which was due 10 ms before the end of the stall.
        assert!(report.late >= 18, "{report}");
        assert!(report.latency.max >= STALL && report.latency.p50 >= STALL / 2, "{report}");
        assert!(report.longest_gap >= STALL, "{report}");
    }

    #[test]
    fn requests_under_way_when_load_is_stopped_count_but_the_time_they_take_is_no_gap() {
        let (arrived, arrival) = mpsc::channel();
        let (release, answer) = mpsc::channel::<()>();
        let answer = Mutex::new(answer);
        let url = serve(move |_| {
            arrived.send(()).unwrap();
            let _ = answer.lock().unwrap().recv();
            GOOD
        });
        let options = LoadOptions { threads: 1, keep_alive: false, timeout: LONG, ..per_second(1000) };
        let load = Load::start(url, options);
        arrival.recv_timeout(LONG).unwrap();
        // Others are due meanwhile, and are given up.
        eventually(LONG, || load.so_far().elapsed >= Duration::from_millis(20)).unwrap();
        let shared = Arc::clone(&load.shared);
        let stop = thread::spawn(|| load.stop());
        let end = eventually(LONG, || *shared.end()).unwrap();
        drop(release);
        let report = stop.join().unwrap();
        report.no_failures().unwrap();
        assert_eq!((report.ok, report.elapsed, report.longest_gap), (1, end.at, end.at), "{report}");
    }

    #[test]
    fn stopping_does_not_wait_until_requests_are_due() {
        let options = LoadOptions { threads: 2, keep_alive: false, ..LoadOptions::every(LONG * 100) };
        let load = Load::start(serve(|_| GOOD), options);
        load.wait_for_more(2, LONG).unwrap();
        let (stopped, stop) = mpsc::channel();
        thread::spawn(move || stopped.send(load.stop().ok));
        assert_eq!(stop.recv_timeout(LONG).unwrap(), 2);
    }
}
