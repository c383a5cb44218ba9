//! Reports as load could have made them: requests at a rate, to instances that come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use load::gaps::GapLog;
use load::presence::{Presence, evenness, handovers};
use load::report::{
    Asked, Bucket, Class, Connections, Demand, Ended, Failed, Failures, Instance, Late, Latency, Report,
    Timeline, VERSION, WeightedUrl,
};

/// An instance that answers from one second to another.
pub(super) struct Answering {
    pub(super) name: Option<String>,
    pub(super) from: f64,
    pub(super) to: f64,
    /// Half of its answers take no longer, in milliseconds.
    pub(super) p50: f64,
}

/// What is sent, and what comes of it.
pub(super) struct Run {
    pub(super) seconds: u32,
    pub(super) rate: u32,
    pub(super) instances: Vec<Answering>,
    /// When nobody answers, and what becomes of requests then: one in so many fails.
    pub(super) outages: Vec<(f64, f64, u64)>,
    /// Single failures.
    pub(super) failures: Vec<(f64, Class, Option<u16>, &'static str)>,
}

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Its upper 32 bits are chance enough.
        f64::from((self.0 >> 32) as u32) / f64::from(u32::MAX).next_up()
    }

    /// Around 0, with a deviation of 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.roll()).sum::<f64>() - 6.0
    }
}

/// Latencies and counts in seconds.
#[derive(Clone, Default)]
struct Seen {
    latencies: Vec<f64>,
    ok: Vec<u64>,
    failed: Vec<u64>,
    first: Option<f64>,
    last: f64,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand seconds at most")]
fn whole(at: f64) -> usize {
    at as usize
}

#[expect(clippy::cast_precision_loss, reason = "a few million at most")]
fn float(number: usize) -> f64 {
    number as f64
}

fn latency(latencies: &[f64]) -> Latency {
    let mut sorted = latencies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(max) = sorted.last().copied() else { return Latency::default() };
    let at = |part: f64| sorted[whole(float(sorted.len() - 1) * part)];
    let mut buckets: BTreeMap<usize, u64> = BTreeMap::new();
    for latency in &sorted {
        // As load has them: four double the time.
        let quarters = whole((latency * 1e6).max(1.0).log2() * 4.0) + 1;
        let bound = whole((float(quarters) / 4.0).exp2());
        *buckets.entry(bound).or_default() += 1;
    }
    Latency {
        count: sorted.len() as u64,
        min: sorted[0],
        mean: sorted.iter().sum::<f64>() / float(sorted.len()),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max,
        buckets: buckets
            .iter()
            .map(|(to, count)| Bucket { up_to: float(*to) / 1e6, count: *count })
            .collect(),
    }
}

/// What comes of it.
pub(super) fn report(run: &Run) -> Report {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let end = f64::from(run.seconds);
    let spans = run.seconds as usize;
    let mut seen =
        vec![Seen { ok: vec![0; spans], failed: vec![0; spans], ..Seen::default() }; run.instances.len()];
    let mut per_second: Vec<Vec<f64>> = vec![Vec::new(); spans];
    let (mut gaps, mut before) = (GapLog::new(Duration::from_millis(100)), 0.0);
    let mut failed: Vec<Failed> = run
        .failures
        .iter()
        .map(|(at, class, status, text)| Failed {
            at: *at,
            sent: at - 0.004,
            class: *class,
            status: *status,
            instance: status.and_then(|_| run.instances.last()?.name.clone()),
            url: 0,
            text: (*text).to_owned(),
        })
        .collect();
    for number in 0..u64::from(run.seconds * run.rate) {
        let due = f64::from(u32::try_from(number).unwrap()) / f64::from(run.rate);
        let there: Vec<usize> = (0..run.instances.len())
            .filter(|place| (run.instances[*place].from..run.instances[*place].to).contains(&due))
            .collect();
        let outage = run.outages.iter().find(|(from, to, _)| (*from..*to).contains(&due));
        let waited = match outage {
            Some((_, _, every)) if number.is_multiple_of(*every) || there.is_empty() => {
                failed.push(Failed {
                    at: due + 0.003,
                    sent: due,
                    class: Class::Status5xx,
                    status: Some(502),
                    instance: None,
                    url: 0,
                    text: "502 Bad Gateway".to_owned(),
                });
                continue;
            }
            Some((_, to, _)) => to - due,
            None => 0.0,
        };
        let Some(place) = there.get(whole(dice.roll() * float(there.len()))).copied() else { continue };
        // A fifth of a thousand is slow.
        let slow = if dice.roll() < 0.002 { 4.0 + 6.0 * dice.roll() } else { 1.0 };
        let took = waited + run.instances[place].p50 / 1000.0 * (0.35 * dice.normal()).exp() * slow;
        let at = (due + took).min(end - 1e-6);
        let seen = &mut seen[place];
        seen.latencies.push(took);
        seen.ok[whole(at)] += 1;
        seen.first = Some(seen.first.map_or(at, |first| first.min(at)));
        seen.last = seen.last.max(at);
        per_second[whole(at)].push(took);
        if at > before {
            gaps.add(Duration::from_secs_f64(before), Duration::from_secs_f64(at));
            before = at;
        }
    }
    gaps.add(Duration::from_secs_f64(before), Duration::from_secs_f64(end.max(before)));
    failed.sort_by(|one, next| one.at.total_cmp(&next.at));
    summed(run, seen, &per_second, &gaps, failed)
}

fn summed(
    run: &Run,
    mut seen: Vec<Seen>,
    per_second: &[Vec<f64>],
    gaps: &GapLog,
    failed: Vec<Failed>,
) -> Report {
    let end = f64::from(run.seconds);
    let mut failures = Failures { listed: failed, ..Failures::default() };
    let mut timeline = Timeline { width: 1.0, ..Timeline::default() };
    let mut of_instance: Vec<BTreeMap<Class, u64>> = vec![BTreeMap::new(); seen.len()];
    for one in &failures.listed {
        *failures.by_class.entry(one.class).or_default() += 1;
        timeline.failed.entry(one.class).or_insert_with(|| vec![0; per_second.len()])[whole(one.at)] += 1;
        if let Some(status) = one.status {
            *failures.by_status.entry(status).or_default() += 1;
        }
        let place =
            run.instances.iter().position(|other| other.name == one.instance && one.instance.is_some());
        if let Some(place) = place {
            seen[place].failed[whole(one.at)] += 1;
            *of_instance[place].entry(one.class).or_default() += 1;
        }
    }
    for latencies in per_second {
        let figures = latency(latencies);
        timeline.ok.push(figures.count);
        timeline.p50.push(figures.p50);
        timeline.p99.push(figures.p99);
        timeline.max.push(figures.max);
    }
    let all = latency(&per_second.concat());
    let presences: Vec<_> = run
        .instances
        .iter()
        .zip(&seen)
        .map(|(one, seen)| {
            let first = seen.first.unwrap_or_default();
            (one.name.clone(), Presence::of(first, seen.last, seen.latencies.len() as u64, end, 0.25))
        })
        .collect();
    let counted: Vec<_> =
        presences.iter().zip(&seen).map(|((_, one), seen)| (one.clone(), seen.ok.clone())).collect();
    let instances = presences.iter().zip(&seen).zip(of_instance);
    let instances: Vec<_> = instances
        .filter(|((_, seen), _)| seen.first.is_some())
        .map(|(((name, presence), seen), failures)| Instance {
            name: name.clone(),
            share: float(seen.latencies.len()) / float(per_second.iter().map(Vec::len).sum::<usize>()),
            ok: seen.latencies.len() as u64,
            failed: failures.values().sum(),
            failures,
            latency: latency(&seen.latencies),
            first: presence.first,
            last: presence.last,
            first_sent: presence.first - seen.latencies.first().copied().unwrap_or_default(),
            last_sent: presence.last - seen.latencies.last().copied().unwrap_or_default(),
            joined: presence.joined,
            left: presence.left,
            ok_over_time: seen.ok.clone(),
            failed_over_time: seen.failed.clone(),
        })
        .collect();
    let failed = failures.listed.len() as u64;
    let late = Late { threshold: 0.001, count: 3, waited: 0, unsent: 0, max: 0.0017 };
    let demand = |name: &str, wanted: &str, got: String, met| Demand {
        name: name.to_owned(),
        wanted: wanted.to_owned(),
        got,
        met,
    };
    let gaps = gaps.report();
    Report {
        version: VERSION,
        asked: asked(run),
        started_unix_ms: 1_764_108_000_000,
        seconds: end,
        ended: Ended::Duration,
        requests: all.count + failed,
        ok: all.count,
        failed,
        abandoned: 0,
        rate: f64::from(u32::try_from(all.count + failed).unwrap()) / end,
        bytes: 21 * all.count,
        late: Some(late),
        evenness: evenness(&counted, 1.0),
        handovers: handovers(&presences),
        connections: Connections { opened: 64, closed_idle: 2 },
        timeline,
        generator_load: 0.21,
        warnings: Vec::new(),
        demands: vec![
            demand("max-failed", "0", failed.to_string(), failed == 0),
            demand("max-gap", "≤ 1 s", load::figures::brief(gaps.longest), gaps.longest <= 1.0),
            demand("max-p99", "≤ 20 ms", load::figures::brief(all.p99), all.p99 <= 0.02),
        ],
        latency: all,
        instances,
        gaps,
        failures,
    }
}

fn asked(run: &Run) -> Asked {
    Asked {
        urls: vec![WeightedUrl { url: "http://swarm.lan/ping".to_owned(), weight: 1 }],
        method: "GET".to_owned(),
        http: "1.1".to_owned(),
        keep_alive: true,
        connections: 64,
        streams: 1,
        threads: 1,
        rate: Some(f64::from(run.rate)),
        ramp: 0.0,
        duration: Some(f64::from(run.seconds)),
        requests: None,
        timeout: 10.0,
        instance: "header:x-served-by".to_owned(),
    }
}
