//! Reports of simulated runs: requests at a rate, to instances that join and leave.

use std::cell::Cell;
use std::time::Duration;

use load::assertions::{Assertions, Limit};
use load::error::RequestError;
use load::plan::{HttpVersion, Plan};
use load::recorder::{Attempt, Recorder, Response, Seen, SendRecord, Times, histogram, record};
use load::report::{Connections, EndReason, ErrorClass, Report};
use load::summary::{self, RunInfo};
use load::timeline::LatencySeries;

/// Text of failures during outages.
const BAD_GATEWAY: &str = "status 502";

/// An instance that responds during a part of the run.
pub(super) struct SimulatedInstance {
    pub(super) name: Option<String>,
    /// Start and end, in seconds.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Median latency in milliseconds.
    pub(super) p50: f64,
}

/// A simulated run.
pub(super) struct Run {
    pub(super) seconds: u32,
    pub(super) rate: u32,
    pub(super) instances: Vec<SimulatedInstance>,
    /// Outages: start, end, and n if every n-th request fails; the others wait for the end.
    pub(super) outages: Vec<(f64, f64, u64)>,
    /// Single failures: time, class, status sent by the last instance, and error message without a status.
    pub(super) failures: Vec<(f64, ErrorClass, Option<u16>, &'static str)>,
}

/// Pseudo-random numbers (xorshift), the same in each run.
struct Random(u64);

impl Random {
    /// From 0 up to, but not including, 1.
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from((self.0 >> 32) as u32) / f64::from(u32::MAX).next_up()
    }

    /// Approximately normal, with mean 0 and standard deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Simulates a run, and returns its report.
pub(super) fn report(run: &Run) -> Report {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut plan = Plan::new(vec!["http://swarm.lan/ping".parse().unwrap()]);
    plan.rate = Some(run.rate.into());
    plan.duration = Some(Duration::from_secs(run.seconds.into()));
    plan.outage_threshold = Duration::from_millis(100);
    let mut recorder = Recorder::new(plan.outage_threshold, 1);
    let end = f64::from(run.seconds);
    let mut latencies = vec![histogram(); run.seconds as usize];
    let mut latest_ok = Duration::ZERO;
    let seen = Cell::new(Seen::default());

    for (at, class, status, text) in &run.failures {
        let name = run.instances.last().and_then(|last| last.name.as_deref()).unwrap_or_default();
        let outcome = match status {
            Some(status) => {
                Ok(Response { status: *status, is_ok: false, bytes: 0, first_byte: Duration::ZERO })
            }
            None => Err(RequestError::new(*class, text)),
        };
        let times = times(at - 0.004, at - 0.004, *at);
        recorder.record(attempt(times, &seen), outcome, name.as_bytes(), |at| (at, at));
    }
    for number in 0..run.seconds * run.rate {
        let due = f64::from(number) / f64::from(run.rate);
        // One request is late.
        let sent = if number == 7 { due + 0.0017 } else { due };
        let present: Vec<_> =
            run.instances.iter().filter(|instance| (instance.from..instance.to).contains(&due)).collect();
        let outage = run.outages.iter().find(|(from, to, _)| (*from..*to).contains(&due));
        let waited = match outage {
            Some((_, _, every)) if u64::from(number).is_multiple_of(*every) || present.is_empty() => {
                let error = RequestError::new(ErrorClass::Status5xx, BAD_GATEWAY);
                let times = times(due, sent, due + 0.003);
                recorder.record(attempt(times, &seen), Err(error), b"", |at| (at, at));
                continue;
            }
            Some((_, to, _)) => to - due,
            None => 0.0,
        };
        let count = u32::try_from(present.len()).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than 1,000")]
        let Some(instance) = present.get((random.uniform() * f64::from(count)) as usize) else { continue };
        // Two of 1,000 requests are slow.
        let slow = if random.uniform() < 0.002 { 4.0 + 6.0 * random.uniform() } else { 1.0 };
        let latency = waited + instance.p50 / 1000.0 * (0.35 * random.normal()).exp() * slow;
        let times = times(due, sent, (due + latency).min(end - 1e-6));
        let second = usize::try_from(times.done.as_secs()).unwrap();
        record(&mut latencies[second], times.done.saturating_sub(times.due));
        let name = instance.name.as_deref().unwrap_or_default().as_bytes();
        let response = Response {
            status: 200,
            is_ok: true,
            bytes: 21,
            first_byte: times.done.saturating_sub(times.due),
        };
        recorder.record(attempt(times, &seen), Ok(response), name, |at| (latest_ok, at));
        latest_ok = latest_ok.max(times.done);
    }

    let mut series = LatencySeries::default();
    (0..).zip(&latencies).for_each(|(second, latencies)| series.add(second, latencies));
    let info = RunInfo {
        ended: EndReason::Duration,
        elapsed: Duration::from_secs_f64(end),
        // 25 November 2025.
        started_at: Duration::from_hours(490_030),
        cpu: Duration::from_secs_f64(end * 0.21),
        cores: 2,
        latest_ok,
    };
    let mut report = summary::report(&plan, &[HttpVersion::Http1], recorder, &series, &info);
    report.failures.listed.sort_by(|one, next| one.at.total_cmp(&next.at));
    for failed in report.failures.listed.iter_mut().filter(|failed| failed.text == BAD_GATEWAY) {
        // A status that was sent by no instance.
        failed.status = Some(502);
        *report.failures.by_status.entry(502).or_default() += 1;
    }
    report.connections = Connections { opened: 64, closed_idle: 2 };
    let assertions = Assertions {
        max_failed: Some(Limit::Count(0)),
        max_gap: Some(Duration::from_secs(1)),
        max_p99: Some(Duration::from_millis(20)),
        ..Assertions::default()
    };
    report.assertions = assertions.check(&report);
    report
}

fn attempt(times: Times, connection: &Cell<Seen>) -> Attempt<'_> {
    Attempt { times, send: SendRecord::Scheduled, url: 0, connection }
}

fn times(due: f64, sent: f64, done: f64) -> Times {
    let [due, sent, done] = [due, sent, done].map(Duration::from_secs_f64);
    Times { due, sent, done }
}
