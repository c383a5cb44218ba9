//! A slow service: responds after 1, 2, 3, 4 and 5 seconds in turn.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::{Connection, Request, Response, Service, app_info, text};

struct Slow {
    host: String,
    requests: AtomicU64,
}

impl Service for Slow {
    async fn call(&self, _request: Request, _connection: &Connection) -> Response {
        let seconds = 1 + self.requests.fetch_add(1, Ordering::Relaxed) % 5;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        text(format!("Slow after {seconds} s from {}\n", self.host))
    }
}

fn main() -> ExitCode {
    runtime::main(app_info!("Responds after one to five seconds"), |context| Slow {
        host: context.host().to_owned(),
        requests: AtomicU64::new(0),
    })
}
