//! Faults that are made on purpose, and end by themselves: so that health checks, retries and rollbacks can be rehearsed.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::exposition::{family, sample};
use crate::sampler::Sampler;

mod order;
mod rehearsal;

pub(crate) use order::Order;
pub(crate) use rehearsal::Rehearsal;

/// The faults of one service. While there are none, a request that asks costs one load.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Whether there may be one.
    on: AtomicBool,
    current: Mutex<Option<Fault>>,
    injected: AtomicU64,
    rehearsal: OnceLock<Rehearsal>,
}

/// One fault, of which there is one at a time.
#[derive(Debug)]
struct Fault {
    order: Order,
    chance: Sampler,
    end: Instant,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// First it waits.
    pub(crate) delay: Duration,
    /// Then it gets this answer instead of the service's.
    pub(crate) status: Option<StatusCode>,
}

impl Faults {
    /// What happens to the request that asks.
    pub(crate) fn hit(&self) -> Option<Hit> {
        if self.on.load(Ordering::Relaxed) { self.hit_at(Instant::now()) } else { None }
    }

    #[cold]
    fn hit_at(&self, now: Instant) -> Option<Hit> {
        let hit = {
            let current = self.current(now);
            let fault = current.as_ref()?;
            fault.chance.sample().then_some(Hit { delay: fault.order.delay, status: fault.order.status })?
        };
        self.injected.fetch_add(1, Ordering::Relaxed);
        Some(hit)
    }

    /// Begins one at `now`, in place of the one before.
    pub(crate) fn begin(&self, order: Order, now: Instant) {
        let chance = Sampler::new(order.rate);
        let end = now + order.time;
        *self.lock() = Some(Fault { order, chance, end });
        self.on.store(true, Ordering::Relaxed);
    }

    /// Ends the one that there is.
    pub(crate) fn end(&self) {
        *self.lock() = None;
        self.on.store(false, Ordering::Relaxed);
    }

    /// What goes on at `now`, as it could be ordered anew for the rest of its time.
    pub(crate) fn order(&self, now: Instant) -> Option<Order> {
        let current = self.current(now);
        current.as_ref().map(|fault| Order { time: fault.end - now, ..fault.order.clone() })
    }

    /// The one that there is, unless it is over at `now`.
    fn current(&self, now: Instant) -> MutexGuard<'_, Option<Fault>> {
        let mut current = self.lock();
        if current.take_if(|fault| fault.end <= now).is_some() {
            self.on.store(false, Ordering::Relaxed);
            tracing::warn!("the fault is over");
        }
        current
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows these faults too, which are the process's own from its start to its end.
    pub(crate) fn rehearse(&self, rehearsal: Rehearsal) {
        let _ = self.rehearsal.set(rehearsal);
    }

    /// Appends the series of what goes on at `now`, and of what has. Nothing where nothing ever has.
    pub(crate) fn render(&self, now: Instant, out: &mut String) {
        let order = self.order(now).map(|_| "requests");
        let rehearsed = self.rehearsal.get().into_iter().flat_map(Rehearsal::names);
        let mut active = order.into_iter().chain(rehearsed).peekable();
        if active.peek().is_some() {
            let name = "swarmlings_fault_active";
            family(out, name, "gauge", "Faults that are made on purpose.");
            active.for_each(|fault| sample(out, name, &[("fault", fault)], 1));
        }
        let injected = self.injected.load(Ordering::Relaxed);
        if injected > 0 {
            let name = "swarmlings_faults_injected_total";
            family(out, name, "counter", "Requests that a fault was made of on purpose.");
            sample(out, name, &[], injected);
        }
    }

    /// A line for each that goes on at `now`.
    pub(crate) fn lines(&self, now: Instant) -> String {
        let order = self.order(now).map(|order| format!("fault: {}\n", Sentence(&order)));
        let rehearsed = self.rehearsal.get().into_iter().flat_map(Rehearsal::sentences);
        order.into_iter().chain(rehearsed.map(|sentence| format!("rehearsal: {sentence}\n"))).collect()
    }
}

/// An order in words.
struct Sentence<'a>(&'a Order);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Order { rate, status, delay, time, .. } = self.0;
        write!(f, "{} % of requests", rate * 100.0)?;
        if let Some(status) = status {
            write!(f, " are answered with {}", status.as_u16())?;
        }
        if !delay.is_zero() {
            let does = if status.is_some() { " after" } else { " wait" };
            write!(f, "{does} {delay:?}")?;
        }
        write!(f, ", for {} s more", time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(json: &str) -> Order {
        Order::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_fault_hits_until_its_end_and_says_so() {
        let (faults, now) = (Faults::default(), Instant::now());
        assert_eq!(faults.hit(), None);
        faults.begin(order(r#"{"status": 503, "delay": "200ms", "for": "60s"}"#), now);
        let hit = Hit { delay: Duration::from_millis(200), status: Some(StatusCode::SERVICE_UNAVAILABLE) };
        assert_eq!(faults.hit_at(now + Duration::from_secs(59)), Some(hit));
        assert_eq!(
            faults.lines(now + Duration::from_secs(20)),
            "fault: 100 % of requests are answered with 503 after 200ms, for 40 s more\n"
        );
        let mut metrics = String::new();
        faults.render(now, &mut metrics);
        assert!(metrics.contains("swarmlings_fault_active{fault=\"requests\"} 1\n"), "{metrics}");
        assert!(metrics.contains("swarmlings_faults_injected_total 1\n"), "{metrics}");

        assert_eq!(faults.hit_at(now + Duration::from_mins(1)), None);
        assert!(!faults.on.load(Ordering::Relaxed), "nobody asks for the time any more");
        metrics.clear();
        faults.render(now, &mut metrics);
        assert!(!metrics.contains("active") && metrics.contains("injected_total 1\n"), "{metrics}");
        assert_eq!(faults.lines(now), "");
    }

    #[test]
    fn one_takes_the_place_of_the_one_before_and_can_be_ended() {
        let (faults, now) = (Faults::default(), Instant::now());
        faults.begin(order(r#"{"status": 503, "for": "60s"}"#), now);
        faults.begin(order(r#"{"rate": 0, "delay": "1s", "for": "60s"}"#), now);
        assert_eq!(faults.hit_at(now), None);
        assert_eq!(faults.lines(now), "fault: 0 % of requests wait 1s, for 60 s more\n");
        faults.end();
        assert_eq!((faults.hit(), faults.order(now).is_none()), (None, true));
    }

    #[test]
    fn where_there_never_was_one_nothing_is_shown() {
        let mut metrics = String::new();
        Faults::default().render(Instant::now(), &mut metrics);
        assert_eq!(metrics, "");
    }
}
