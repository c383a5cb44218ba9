//! What every Swarmlings binary shares, so that they all read alike from outside:
//!
//! - [`parse`]: command line and environment, exit code 64 on bad usage;
//! - [`LogArgs`]: `--log-format`, `--log-level`, lines to stderr;
//! - [`EnvOption`], [`parse_bool`]: values that may be empty;
//! - [`Token`]: a secret that callers have to know;
//! - [`probe`], [`probe_unix`], [`request`]: one HTTP request to oneself, in images that hold nothing else to send one;
//! - [`Failure`], [`reason`] and [`exit_with`]: how a program says why it ends.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, Parser};

mod log;
mod probe;
mod token;
#[cfg(all(target_env = "musl", panic = "abort"))]
mod unwinding;
mod value;

pub use log::{LogArgs, LogFormat, log_level, set_log_level};
pub use probe::{ProbeError, probe, probe_unix, request};
pub use token::{Token, TokenError};
pub use value::{EnvOption, env_option, env_option_with, parse_bool};

/// Exit code for bad usage: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// Parses the command line and the environment.
///
/// If there is nothing to run, because the arguments ask for help or the version or are invalid, prints the text and
/// returns the exit code: 0 or [`EXIT_USAGE`].
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    parse_with(T::command(), T::from_arg_matches)
}

/// Parses as [`parse`] does, for a command that is built at run time; `read` converts the matches.
pub fn parse_with<T>(
    command: Command,
    read: impl FnOnce(&ArgMatches) -> Result<T, clap::Error>,
) -> Result<T, ExitCode> {
    let mut command = with_help_style(command);
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = matches.and_then(|matches| read(&matches).map_err(|error| error.format(&mut command)));
    parsed.map_err(|error| {
        // Nothing is left to do when stdout or stderr is closed.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Gives a command and its subcommands the help of all programs: `-h` and `--help` print the same compact text, wrapped
/// at the terminal's width or 100 columns, and variables are shown without their current values.
fn with_help_style(command: Command) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print help");
    command
        .max_term_width(100)
        .disable_help_flag(true)
        .mut_args(|arg| {
            let help = arg.get_long_help().or(arg.get_help()).cloned().unwrap_or_default();
            arg.hide_env_values(true).help(help)
        })
        .next_help_heading(None)
        .arg(help)
        .mut_subcommands(with_help_style)
}

/// What the system says of a fault, as the end of a sentence: `permission denied`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match text.as_bytes() {
        // Not so where the first word is an abbreviation, as in "I/O error".
        [first, second, ..] if second.is_ascii_lowercase() => {
            format!("{}{}", char::from(first.to_ascii_lowercase()), &text[1..])
        }
        _ => text.to_owned(),
    }
}

/// Why a program ends early: the exit code, and a message that names the action and the object.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Ends with exit code 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::with_code(1, message)
    }

    /// Ends with [`EXIT_USAGE`]: the fault is in what the user gave.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::with_code(EXIT_USAGE, message)
    }

    /// Ends with `code`.
    pub fn with_code(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Turns the outcome of `program` into its exit code; a failure is said on stderr as `program: message`.
pub fn exit_with(program: &str, outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|failure| {
        // Nothing is left to do when stderr is closed.
        let _ = writeln!(io::stderr(), "{program}: {failure}");
        ExitCode::from(failure.code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_the_end_of_a_sentence() {
        let in_use = io::Error::from_raw_os_error(98);
        assert_eq!(reason(&in_use), "address already in use");
        assert_eq!(reason(&io::Error::other("I/O error (os error 5)")), "I/O error");
        assert_eq!(reason(&io::Error::other("é")), "é");
    }
}
