//! Signals that end the load.

use std::io;
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::Stopper;

/// Has INT and TERM end the load, from now on. `heard` is called with the first of them.
pub fn end_by_signals(stopper: &Stopper, heard: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    // They are caught before this returns.
    let mut signals = {
        let _entered = runtime.enter();
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
    };
    let stopper = stopper.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let [int, term] = &mut signals;
            let mut heard = Some(heard);
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                }
                stopper.stop();
                if let Some(heard) = heard.take() {
                    heard();
                }
            }
        });
    })?;
    Ok(())
}
