//! Log lines on stderr, as text or JSON.

use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber, callsite};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text
    Text,
    /// One JSON object per line
    Json,
}

/// Log flags.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Format of log lines
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Minimum level of log lines: error, warn, info, debug, trace or off
    #[arg(long, env = "LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub log_level: LevelFilter,
}

impl LogArgs {
    /// Installs the process-wide subscriber. Only the first call has an effect.
    pub fn init(&self) {
        set(self.log_level);
        let builder = tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(LevelFilter::TRACE)
            .with_target(false)
            .with_ansi(false)
            // Internal errors are printed on stderr, which panics if stderr is what fails.
            .log_internal_errors(false);
        // Fails only if a subscriber is installed already, as in tests.
        let _ = match self.log_format {
            LogFormat::Text => builder.finish().with(LevelLayer).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).finish().with(LevelLayer).try_init(),
        };
    }
}

/// Index in [`LEVELS`] of the minimum level.
static LEVEL: AtomicUsize = AtomicUsize::new(0);

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

/// Returns the minimum level of log lines.
pub fn log_level() -> LevelFilter {
    LEVELS[LEVEL.load(Ordering::Relaxed)]
}

/// Sets the minimum level of log lines by name.
pub fn set_log_level(name: &str) -> Result<(), String> {
    set(level(name)?);
    // Each call site caches whether it is enabled.
    callsite::rebuild_interest_cache();
    Ok(())
}

fn set(level: LevelFilter) {
    let place = LEVELS.iter().position(|&known| known == level);
    LEVEL.store(place.unwrap_or(0), Ordering::Relaxed);
}

/// Filters by the current level. The filters of tracing-subscriber take a lock for each line, or parse directives.
struct LevelLayer;

impl<S: Subscriber> Layer<S> for LevelLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= log_level() { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= log_level()
    }
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "expected error, warn, info, debug, trace or off".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_can_be_changed_by_name() {
        for name in ["error", "debug", "off", "info"] {
            set_log_level(name).unwrap();
            assert_eq!(log_level().to_string(), name);
        }
        assert!(set_log_level("loud").unwrap_err().contains("error, warn"));
        assert_eq!(log_level(), LevelFilter::INFO);
    }
}
