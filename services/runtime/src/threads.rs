//! The threads that serve beside the one which runs the server.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

/// Threads that run what is spawned on them, until the last copy of this is dropped. By default there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Threads {
    others: Arc<[Handle]>,
    /// Nothing is ever sent: they wait for its end.
    _alive: Option<watch::Sender<()>>,
}

impl Threads {
    /// Starts so many.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        if count == 0 {
            return Ok(Self::default());
        }
        let alive = watch::Sender::new(());
        let others = (0..count).map(|_| start_one(alive.subscribe())).collect::<io::Result<_>>()?;
        Ok(Self { others, _alive: Some(alive) })
    }

    /// Where to spawn.
    pub(crate) fn others(&self) -> &[Handle] {
        &self.others
    }
}

/// A runtime for one thread.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

/// Runs until `future` is done. Its type is the same for all threads, so that the program has all of tokio's own loop once.
pub(crate) fn block_on(runtime: &Runtime, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
    runtime.block_on(future);
}

fn start_one(mut alive: watch::Receiver<()>) -> io::Result<Handle> {
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("serve".to_owned()).spawn(move || {
        // An error is the end of those who could send.
        block_on(&runtime, Box::pin(async { drop(alive.changed().await) }));
    })?;
    Ok(handle)
}
