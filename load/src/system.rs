//! Limits of the process, and the signals that stop it.

use std::io;
use std::thread;

use cli::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::Stopper;

/// File descriptors for other purposes than connections: output, timers, DNS lookups.
const OTHER_DESCRIPTORS: u64 = 64;

/// Raises the limit on open files, if needed, to permit this number of connections.
pub fn raise_file_limit(connections: u64) -> Result<(), Failure> {
    let needed = connections + OTHER_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let too_low = || {
        let possible = maximum.unwrap_or(u64::MAX).saturating_sub(OTHER_DESCRIPTORS);
        Failure::usage(format_args!(
            "the limit on open files permits {possible} connections, not {connections}; raise the hard limit \
             (ulimit -Hn) or lower --connections"
        ))
    };
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(too_low());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|_| too_low())
}

/// Lets SIGINT and SIGTERM stop the run. Calls `on_first` after the first signal.
pub fn stop_on_signals(stopper: &Stopper, on_first: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    // The handlers are installed before this function returns.
    let mut signals = {
        let _entered = runtime.enter();
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
    };
    let stopper = stopper.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let [interrupt, terminate] = &mut signals;
            let mut on_first = Some(on_first);
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stopper.stop();
                if let Some(on_first) = on_first.take() {
                    on_first();
                }
            }
        });
    })?;
    Ok(())
}
