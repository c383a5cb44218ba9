//! Log lines, to stderr, as text or JSON.

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The flags for logging, to be flattened into a program's own.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// How log lines are written
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Least level that is logged: error, warn, info, debug, trace or off
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub log_level: LevelFilter,
}

impl LogArgs {
    /// Installs the process-wide subscriber. Only the first call has an effect.
    pub fn init(&self) {
        let builder = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(self.log_level)
            .with_target(false)
            .with_ansi(false)
            // It would say so on stderr, and panic, when stderr is what fails.
            .log_internal_errors(false);
        // Fails only when a subscriber is installed already, as in tests.
        let _ = match self.log_format {
            LogFormat::Text => builder.try_init(),
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
        };
    }
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "one of error, warn, info, debug, trace, off is expected".to_owned())
}
