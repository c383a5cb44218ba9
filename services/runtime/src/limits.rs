//! What a client may take, in bytes and in time.

use std::time::Duration;

use clap::{Args, value_parser};
use parse::duration;

/// Bounds on what clients and drains may take.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Time for in-flight requests to finish after SIGTERM
    #[arg(long, env = "SERVICE_GRACE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub grace: Duration,
    /// How long after SIGTERM new connections are still accepted and idle ones kept
    #[arg(long, env = "SERVICE_LINGER", value_name = "TIME", default_value = "250ms", value_parser = duration)]
    pub linger: Duration,
    /// Time from the first byte of a request's header to its last
    #[arg(long, env = "SERVICE_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Time for a request's body to come
    #[arg(long, env = "SERVICE_BODY_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// How long a client may take nothing of its answer
    #[arg(long, env = "SERVICE_STALL_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub stall_timeout: Duration,
    // Longer than Go's clients, and so Traefik, keep an idle connection, which is 90 s: so it is they who close it, and
    // not this side just when a request is under way.
    /// How long a connection may wait for its next request
    #[arg(long, env = "SERVICE_IDLE_TIMEOUT", value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub idle_timeout: Duration,
    /// Size of a request's header, at least 8192
    #[arg(long, env = "SERVICE_MAX_HEADER_BYTES", value_name = "N", default_value = "16384")]
    #[arg(value_parser = value_parser!(u32).range(8192..))]
    pub max_header_bytes: u32,
    /// Size of a request's body
    #[arg(long, env = "SERVICE_MAX_BODY_BYTES", value_name = "N", default_value = "1048576")]
    pub max_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            linger: Duration::from_millis(250),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(2),
            max_header_bytes: 16 * 1024,
            max_body_bytes: 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    #[test]
    fn defaults_are_the_same_from_code_and_from_the_command_line() {
        let command = Limits::augment_args(Command::new("test")).mut_args(|arg| arg.env(None));
        let limits = Limits::from_arg_matches(&command.get_matches_from(["test"])).unwrap();
        assert_eq!(limits, Limits::default());
    }
}
