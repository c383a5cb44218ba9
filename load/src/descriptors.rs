//! How many files a process may have open.

use cli::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the program has beside connections: its outputs, timers, and what resolves names.
const OTHERS: u64 = 64;

/// Sees to it that there may be so many connections.
pub fn allow(connections: u64) -> Result<(), Failure> {
    let needed = connections + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let refused = || {
        let most = maximum.unwrap_or(u64::MAX).saturating_sub(OTHERS);
        Failure::usage(format_args!(
            "{connections} connections are more than the {most} that the limit on open files allows: see ulimit -Hn"
        ))
    };
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(refused());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|_| refused())
}
