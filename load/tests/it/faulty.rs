//! Cases of servers that handle every fifth request wrongly: `load` counts exactly these.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use load::report::{ErrorClass, Report};

/// Number of requests of a run.
pub(crate) const REQUESTS: u64 = 40;

/// Number of faulty requests of a run.
pub(crate) const FAULTY: u64 = REQUESTS / 5;

/// Whether the server handles request n, counted from 0, wrongly.
pub(crate) fn is_faulty(number: u64) -> bool {
    number % 5 == 3
}

/// Expected result of a request that the server handles wrongly or unusually.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Successful, although the response is unusual.
    Ok,
    /// Failed without a complete response.
    Failed(ErrorClass),
    /// Failed by this status.
    Status(u16),
}

/// Checks that a report has all requests, and exactly the faulty ones as failures of the expected class.
pub(crate) fn assert_exact(name: &str, report: &Report, expected: Expected) {
    let (class, status) = match expected {
        Expected::Ok => (None, None),
        Expected::Failed(class) => (Some(class), None),
        Expected::Status(status) => {
            let class = match status {
                ..300 => ErrorClass::Status2xx,
                300..400 => ErrorClass::Status3xx,
                400..500 => ErrorClass::Status4xx,
                500.. => ErrorClass::Status5xx,
            };
            (Some(class), Some(status))
        }
    };
    let failures = &report.failures;
    let failed = if class.is_some() { FAULTY } else { 0 };
    let by_class: BTreeMap<_, _> = class.map(|class| (class, failed)).into_iter().collect();
    assert_eq!(failures.by_class, by_class, "{name}: {:#?}", failures.listed);
    assert_eq!(
        (report.requests, report.ok, report.failed, report.abandoned),
        (REQUESTS, REQUESTS - failed, failed, 0),
        "{name}"
    );
    let by_status: BTreeMap<_, _> = status.map(|status| (status, failed)).into_iter().collect();
    assert_eq!(failures.by_status, by_status, "{name}");
    assert_eq!(report.ok_by_status.values().sum::<u64>(), report.ok, "{name}");
    assert_eq!(report.latency.count, report.ok, "{name}");
    assert_eq!(report.timeline.ok.iter().sum::<u64>(), report.ok, "{name}");
    let over_time: u64 = report.timeline.failed.values().flatten().sum();
    assert_eq!((over_time, failures.listed.len() as u64, failures.unlisted), (failed, failed, 0), "{name}");
}

/// Starts a server that handles each connection with `serve`. Returns its URL and the number of requests that it received.
pub(crate) fn start<C: Send + Sync + 'static, R: Send + 'static>(
    case: &Arc<C>,
    serve: fn(TcpStream, &AtomicU64, &C) -> R,
) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicU64::new(0));
    let (counter, shared) = (Arc::clone(&requests), Arc::clone(case));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (requests, case) = (Arc::clone(&counter), Arc::clone(&shared));
            thread::spawn(move || serve(stream, &requests, &case));
        }
    });
    (url, requests)
}

/// Runs the cases, some at the same time.
pub(crate) fn run_all<T: Sync>(cases: &[T], run: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    run(case);
                }
            });
        }
    });
}
