//! Log lines on stderr, as text or JSON.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
            .with_writer(|| EscapedStderr)
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

/// Stderr, one line for each write, without control characters within the line. Names and headers come from clients, which
/// could forge lines otherwise, or send commands to the operator's terminal.
struct EscapedStderr;

impl Write for EscapedStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(escaped(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces control characters, except for the end of the line, and those that change the order or the number of lines in
/// which text is shown. The escapes are those of JSON, so that a line in JSON stays valid.
fn escaped(line: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    if !text.contains(is_unsafe) {
        return line.into();
    }
    let mut out = String::with_capacity(line.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Writing to a string cannot fail.
            c if is_unsafe(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    (out + end).into()
}

/// Limits the log lines of one kind that clients can cause to one a second.
#[derive(Debug)]
pub struct LogLimit(Mutex<Suppressed>);

#[derive(Debug)]
struct Suppressed {
    /// Time of the last line.
    logged: Option<Instant>,
    /// Number of lines since then.
    count: u64,
}

impl LogLimit {
    /// Creates a limit that admits the first line.
    pub const fn new() -> Self {
        Self(Mutex::new(Suppressed { logged: None, count: 0 }))
    }

    /// Returns the number of lines that were not logged since the last one, if a line may be logged now.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.logged.is_some_and(|at| now < at + Duration::from_secs(1)) {
            state.count += 1;
            return None;
        }
        state.logged = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
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

    #[test]
    fn line_shows_control_characters_as_escapes() {
        for (line, expected) in [
            ("INFO listening address=[::]:80 é\n", "INFO listening address=[::]:80 é\n"),
            ("WARN refused: a\nINFO ready\n", "WARN refused: a\\nINFO ready\n"),
            ("a\u{1b}[2Jb\rc\td\u{9b}e\u{7f}", "a\\u001b[2Jb\\rc\\td\\u009be\\u007f"),
            ("a\u{202e}b\u{2028}c\n", "a\\u202eb\\u2028c\n"),
        ] {
            assert_eq!(escaped(line), expected);
        }
    }

    #[test]
    fn one_line_a_second_is_admitted_and_the_others_are_counted() {
        let (limit, now) = (LogLimit::new(), Instant::now());
        assert_eq!(limit.admit_at(now), Some(0));
        assert_eq!([0, 1, 999].map(|ms| limit.admit_at(now + Duration::from_millis(ms))), [None; 3]);
        assert_eq!(limit.admit_at(now + Duration::from_secs(1)), Some(3));
        assert_eq!(limit.admit_at(now + Duration::from_secs(3)), Some(0));
    }
}
