//! Fault injection, to rehearse health checks, retries and rollbacks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use cli::parse_bool;
use http::StatusCode;
use parse::positive_duration;

use crate::exposition::{family, metric, sample};
use crate::fault_spec::FaultSpec;
use crate::sampler::Sampler;

/// Faults of the whole process.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Fault injection")]
pub(crate) struct FaultInjection {
    /// Stay unready for this time after the start
    #[arg(long, env = "SERVICE_SLOW_START", value_name = "DURATION", value_parser = positive_duration)]
    pub(crate) slow_start: Option<Duration>,
    /// Abort this time after the start
    #[arg(long, env = "SERVICE_CRASH_AFTER", value_name = "DURATION", value_parser = positive_duration)]
    pub(crate) crash_after: Option<Duration>,
    /// Keep serving after SIGTERM
    #[arg(long, env = "SERVICE_IGNORE_SIGTERM", value_parser = parse_bool)]
    pub(crate) ignore_sigterm: bool,
    /// Keep running after the drain
    #[arg(long, env = "SERVICE_HANG_ON_DRAIN", value_parser = parse_bool)]
    pub(crate) hang_on_drain: bool,
}

impl FaultInjection {
    /// Returns the flag and the description of each active fault.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&'static str, String)> {
        let slow =
            self.slow_start.map(|time| ("slow-start", format!("unready for {time:?} after the start")));
        let crash = self.crash_after.map(|time| ("crash-after", format!("abort {time:?} after the start")));
        let ignore = self.ignore_sigterm.then(|| ("ignore-sigterm", "keep serving after SIGTERM".to_owned()));
        let hang = self.hang_on_drain.then(|| ("hang-on-drain", "keep running after the drain".to_owned()));
        [slow, crash, ignore, hang].into_iter().flatten()
    }
}

/// Faults of one service: at most one for its requests, and those of the process. Without a fault, a request pays for one
/// atomic load.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Whether `current` may be set.
    enabled: AtomicBool,
    current: Mutex<Option<ActiveFault>>,
    injected: AtomicU64,
    process: OnceLock<FaultInjection>,
}

#[derive(Debug)]
struct ActiveFault {
    spec: FaultSpec,
    sampler: Sampler,
    end: Instant,
}

/// A fault in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InjectedFault {
    /// Time before the response.
    pub(crate) delay: Duration,
    /// Code of the response, if it replaces the service's.
    pub(crate) status: Option<StatusCode>,
}

impl Faults {
    /// Decides whether to inject a fault into a request.
    pub(crate) fn sample(&self) -> Option<InjectedFault> {
        if self.enabled.load(Ordering::Relaxed) { self.sample_at(Instant::now()) } else { None }
    }

    #[cold]
    fn sample_at(&self, now: Instant) -> Option<InjectedFault> {
        let fault = {
            let current = self.current(now);
            let ActiveFault { spec, sampler, .. } = current.as_ref()?;
            sampler.sample().then_some(InjectedFault { delay: spec.delay, status: spec.status })?
        };
        self.injected.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    /// Starts a fault, which replaces the current one.
    pub(crate) fn start(&self, spec: FaultSpec, now: Instant) {
        let (sampler, end) = (Sampler::new(spec.rate), now + spec.time);
        *self.lock() = Some(ActiveFault { spec, sampler, end });
        self.enabled.store(true, Ordering::Relaxed);
    }

    /// Stops the current fault.
    pub(crate) fn stop(&self) {
        *self.lock() = None;
        self.enabled.store(false, Ordering::Relaxed);
    }

    /// Returns the current fault, with its remaining time.
    pub(crate) fn spec(&self, now: Instant) -> Option<FaultSpec> {
        let current = self.current(now);
        current.as_ref().map(|fault| FaultSpec { time: fault.end - now, ..fault.spec.clone() })
    }

    /// Returns the current fault, unless its end is before `now`.
    fn current(&self, now: Instant) -> MutexGuard<'_, Option<ActiveFault>> {
        let mut current = self.lock();
        if current.take_if(|fault| fault.end <= now).is_some() {
            self.enabled.store(false, Ordering::Relaxed);
            tracing::warn!("fault ended");
        }
        current
    }

    fn lock(&self) -> MutexGuard<'_, Option<ActiveFault>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the faults of the process, which last until its end.
    pub(crate) fn set_process_faults(&self, faults: FaultInjection) {
        let _ = self.process.set(faults);
    }

    fn process_faults(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.process.get().into_iter().flat_map(FaultInjection::active)
    }

    /// Appends the metrics of faults. Appends nothing if there was no fault yet.
    pub(crate) fn render(&self, now: Instant, out: &mut String) {
        let request_fault = self.spec(now).map(|_| "requests").into_iter();
        let mut active = request_fault.chain(self.process_faults().map(|(name, _)| name)).peekable();
        if active.peek().is_some() {
            let name = "swarmlings_fault_active";
            family(out, name, "gauge", "Active injected faults.");
            active.for_each(|fault| sample(out, name, &[("fault", fault)], 1));
        }
        let injected = self.injected.load(Ordering::Relaxed);
        if injected > 0 {
            metric(
                out,
                "swarmlings_faults_injected_total",
                "counter",
                "Requests with an injected fault.",
                injected,
            );
        }
    }

    /// Describes each active fault in a line.
    pub(crate) fn describe(&self, now: Instant) -> String {
        let request_fault = self.spec(now).map(|spec| spec.describe()).into_iter();
        let descriptions = request_fault.chain(self.process_faults().map(|(_, description)| description));
        descriptions.fold(String::new(), |lines, description| lines + "fault: " + &description + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> FaultSpec {
        FaultSpec::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn fault_is_injected_and_shown_until_its_end() {
        let (faults, now) = (Faults::default(), Instant::now());
        assert_eq!(faults.sample(), None);
        faults.start(spec(r#"{"status": 503, "delay": "200ms", "for": "60s"}"#), now);
        let fault = InjectedFault {
            delay: Duration::from_millis(200),
            status: Some(StatusCode::SERVICE_UNAVAILABLE),
        };
        assert_eq!(faults.sample_at(now + Duration::from_secs(59)), Some(fault));
        assert_eq!(
            faults.describe(now + Duration::from_secs(20)),
            "fault: 100 % of requests get status 503 after 200ms; ends in 40s\n"
        );
        let mut metrics = String::new();
        faults.render(now, &mut metrics);
        assert!(metrics.contains("swarmlings_fault_active{fault=\"requests\"} 1\n"), "{metrics}");
        assert!(metrics.contains("swarmlings_faults_injected_total 1\n"), "{metrics}");

        assert_eq!(faults.sample_at(now + Duration::from_mins(1)), None);
        assert!(!faults.enabled.load(Ordering::Relaxed), "requests do not read the clock any more");
        metrics.clear();
        faults.render(now, &mut metrics);
        assert!(!metrics.contains("active") && metrics.contains("injected_total 1\n"), "{metrics}");
        assert_eq!(faults.describe(now), "");
    }

    #[test]
    fn later_fault_replaces_the_current_one_and_can_be_stopped() {
        let (faults, now) = (Faults::default(), Instant::now());
        faults.start(spec(r#"{"status": 503, "for": "60s"}"#), now);
        faults.start(spec(r#"{"rate": 0, "delay": "1s", "for": "60s"}"#), now);
        assert_eq!(faults.sample_at(now), None);
        assert_eq!(faults.describe(now), "fault: 0 % of requests are delayed by 1s; ends in 60s\n");
        faults.stop();
        assert_eq!((faults.sample(), faults.spec(now).is_none()), (None, true));
    }

    #[test]
    fn metrics_are_empty_without_faults() {
        let mut metrics = String::new();
        Faults::default().render(Instant::now(), &mut metrics);
        assert_eq!(metrics, "");
    }

    #[test]
    fn only_given_flags_are_active() {
        assert_eq!(FaultInjection::default().active().count(), 0);
        let faults = FaultInjection {
            crash_after: Some(Duration::from_secs(90)),
            hang_on_drain: true,
            ..FaultInjection::default()
        };
        assert!(faults.active().eq([
            ("crash-after", "abort 90s after the start".to_owned()),
            ("hang-on-drain", "keep running after the drain".to_owned()),
        ]));
    }
}
