//! Command line, log and errors of all programs.
//!
//! - [`parse`]: command line and environment, help in one style, exit code 64 on bad usage;
//! - [`LogArgs`]: `--log-format`, `--log-level`, log lines on stderr;
//! - [`EnvOption`], [`parse_bool`]: values of flags and variables that may be empty;
//! - [`Token`]: bearer tokens from files;
//! - [`probe`], [`probe_unix`], [`request`]: blocking HTTP requests to a program's own ports;
//! - [`Failure`], [`reason`] and [`exit_with`]: exit codes and error messages.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::{env, fmt, iter};

use clap::error::{ContextKind, ContextValue};
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
pub use value::{EnvOption, env_option_with, integer, ip_address, parse_bool, port};

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
    let args: Vec<_> = env::args_os().collect();
    let matches = command.try_get_matches_from_mut(&args);
    let parsed = matches.and_then(|matches| read(&matches).map_err(|error| error.format(&mut command)));
    parsed.map_err(|mut error| {
        name_variable(&mut error, &mut command, &args);
        // Nothing is left to do when stdout or stderr is closed.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Adds the name of the environment variable to an error about a value from the environment.
fn name_variable(error: &mut clap::Error, command: &mut Command, args: &[OsString]) {
    // clap has built only the subcommand that was used. An argument that is not built cannot be displayed.
    command.build();
    let command = &*command;
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else { return };
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value,
        _ => "",
    };
    let mut arguments = iter::once(command).chain(command.get_subcommands()).flat_map(Command::get_arguments);
    let Some(argument) = arguments.find(|argument| argument.to_string() == *name) else { return };
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let is_given = args.iter().map(|arg| arg.to_string_lossy()).any(|arg| {
        long.as_deref() == arg.split('=').next() || short.as_ref().is_some_and(|short| arg.starts_with(short))
    });
    let holds_value = |name: &&OsStr| env::var(name).is_ok_and(|text| text.contains(value));
    if let Some(variable) = argument.get_env().filter(holds_value).filter(|_| !is_given) {
        let tip = format!("the value comes from the environment variable {}", variable.display());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Adds to a failure the environment variables of the flags that its message names.
pub fn name_variables(mut failure: Failure, command: &Command) -> Failure {
    let is_given =
        |flag: &str| env::args_os().any(|arg| arg.to_string_lossy().split('=').next() == Some(flag));
    for word in failure.message.clone().split([' ', ':', ';']).filter(|word| word.starts_with("--")) {
        let argument =
            command.get_arguments().find(|argument| argument.get_long() == word.strip_prefix("--"));
        let variable = argument.and_then(Arg::get_env).filter(|name| env::var_os(name).is_some());
        if let Some(variable) = variable.filter(|_| !is_given(word)) {
            let variable = variable.display();
            // Writing to a string cannot fail.
            let _ = write!(failure.message, "; {word} comes from the environment variable {variable}");
        }
    }
    failure
}

/// Gives a command and its subcommands the help of all programs: `-h` and `--help` print the same compact text, wrapped
/// at the terminal's width or 100 columns. It shows neither the current values of variables nor empty defaults.
fn with_help_style(command: Command) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print help");
    command
        .max_term_width(100)
        .disable_help_flag(true)
        .mut_args(|arg| {
            let help = arg.get_long_help().or(arg.get_help()).cloned().unwrap_or_default();
            let is_unset = arg.get_default_values().first().is_some_and(|value| value.is_empty());
            arg.hide_env_values(true).hide_default_value(is_unset).help(help)
        })
        .next_help_heading(None)
        .arg(help)
        .mut_subcommands(with_help_style)
}

/// Returns the cause of an I/O error, to be put at the end of a message: `permission denied`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match text.as_bytes() {
        // Abbreviations such as "I/O error" keep their capitals.
        [first, second, ..] if second.is_ascii_lowercase() => {
            format!("{}{}", char::from(first.to_ascii_lowercase()), &text[1..])
        }
        _ => text.to_owned(),
    }
}

/// A fatal error: the exit code, and a message that names action, object and cause.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Returns a failure with exit code 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::with_code(1, message)
    }

    /// Returns a failure with [`EXIT_USAGE`]: flags, variables or files of the user are invalid.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::with_code(EXIT_USAGE, message)
    }

    /// Returns a failure with exit code `code`.
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

/// Returns the exit code of `program`. Prints a failure on stderr as `program: message`.
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
    fn reason_starts_in_lower_case() {
        let in_use = io::Error::from_raw_os_error(98);
        assert_eq!(reason(&in_use), "address already in use");
        assert_eq!(reason(&io::Error::other("I/O error (os error 5)")), "I/O error");
        assert_eq!(reason(&io::Error::other("é")), "é");
    }

    #[test]
    fn only_a_value_from_the_environment_is_said_to_come_from_it() {
        // Cargo sets the variable to the name of a package.
        let number = || Arg::new("number").short('n').long("number").env("CARGO_PKG_NAME");
        let place = || Arg::new("place").env("CARGO_PKG_NAME");
        for (argument, args, is_named) in [
            (number(), &["test", "used"][..], true),
            (number(), &["test", "used", "--number", "1e5"], false),
            (number(), &["test", "used", "--number=1e5"], false),
            (number(), &["test", "used", "-n", "1e5"], false),
            (number(), &["test", "used", "-n1e5"], false),
            (place(), &["test", "used"], true),
            (place(), &["test", "used", "1e5"], false),
        ] {
            let argument = argument.value_parser(clap::value_parser!(u16));
            let other = Command::new("other").arg(Arg::new("other").long("other"));
            let used = Command::new("used").arg(argument);
            let mut command = Command::new("test").subcommand(other).subcommand(used);
            let mut error = command.try_get_matches_from_mut(args).unwrap_err();
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            name_variable(&mut error, &mut command, &args);
            assert_eq!(error.to_string().contains("variable CARGO_PKG_NAME"), is_named, "{args:?}: {error}");
        }
    }
}
