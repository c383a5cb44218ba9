//! The one small tokio runtime.

use std::time::Duration;

use cli::Failure;
use tokio::runtime::{Builder, Runtime};

/// Runs `future` on this thread to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = build().map_err(|error| Failure::new(format!("starting the runtime: {error}")))?;
    let outcome = runtime.block_on(future);
    // A name server that does not answer must not hold up the exit.
    runtime.shutdown_background();
    Ok(outcome)
}

fn build() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        // Other threads only ever look up a name.
        .max_blocking_threads(2)
        .thread_stack_size(256 * 1024)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
}
