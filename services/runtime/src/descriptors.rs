//! The limit on open connections, from the process's limit on file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors for other purposes than connections of clients: listeners, files, requests of the service itself, the
/// admin port, and [`LOOPBACK_CONNECTIONS`].
const RESERVED: u64 = 64;

/// File descriptors of one serving thread.
const PER_THREAD: u64 = 4;

/// Maximum number of connections to the admin port.
pub(crate) const ADMIN_CONNECTIONS: u32 = 16;

/// Number of connections over loopback beyond the maximum, so that the health check succeeds when clients hold the others.
pub(crate) const LOOPBACK_CONNECTIONS: usize = 8;

/// Raises the soft limit on file descriptors to the hard one. Docker sets it to 1,024 for programs that use select(2).
pub(crate) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If that is not permitted, the current limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Default of `--max-connections`, for a program with `threads` serving threads.
pub(crate) fn max_connections(threads: usize) -> u32 {
    default_for(getrlimit(Resource::Nofile).current, threads)
}

fn default_for(descriptors: Option<u64>, threads: usize) -> u32 {
    let descriptors = descriptors.unwrap_or(u64::MAX);
    let reserved = RESERVED + PER_THREAD * threads as u64;
    u32::try_from(descriptors.saturating_sub(reserved).max(descriptors / 4).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_leaves_descriptors_for_other_purposes() {
        for (descriptors, threads, expected) in [
            (Some(256), 1, 188),
            (Some(1_048_576), 2, 1_048_504),
            (Some(64), 1, 16),
            (Some(1), 1, 1),
            (None, 1, u32::MAX),
        ] {
            assert_eq!(default_for(descriptors, threads), expected);
        }
    }
}
