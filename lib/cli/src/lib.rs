//! Command line, log and errors of all programs.
//!
//! - [`parse`]: command line and environment, help in one style, exit code 64 on bad usage;
//! - [`LogArgs`]: `--log-format`, `--log-level`, log lines on stderr;
//! - [`integer`], [`ip_address`], [`parse_bool`], [`port`]: values of flags and variables;
//! - [`Token`]: bearer tokens from files;
//! - [`probe`], [`probe_unix`], [`request`]: blocking HTTP requests to a program's own ports;
//! - [`Failure`], [`reason`] and [`exit_with`]: exit codes and error messages.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::{env, fmt};

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};

mod log;
mod probe;
mod token;
#[cfg(all(target_env = "musl", panic = "abort"))]
mod unwinding;
mod value;

pub use log::{LogArgs, LogFormat, LogLimit, log_level, set_log_level};
pub use probe::{ProbeError, probe, probe_unix, request};
pub use token::{Token, TokenError, constant_time_eq};
pub use value::{integer, ip_address, parse_bool, port};

/// Exit code for bad usage: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// Parses the command line and the environment. An empty variable counts as not set: templates in stack files expand to an
/// empty text where there is nothing to insert. An empty value on the command line is a value.
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
    let variables = variables(&mut command, matches.as_ref().ok(), &args);
    let parsed = matches.and_then(|matches| read(&matches).map_err(|error| error.format(&mut command)));
    let result = parsed.map_err(|mut error| {
        name_variable(&mut error, &variables);
        // Nothing is left to do when stdout or stderr is closed.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
    });
    // Only the first command line counts. A program parses one.
    let _ = VARIABLES.set(variables);
    result
}

/// An argument whose value comes from the environment.
#[derive(Debug)]
struct FromVariable {
    /// As in clap's messages: `--number <N>`.
    argument: String,
    /// `--number`; empty without a flag.
    flag: String,
    variable: String,
}

/// The arguments of this process whose values come from the environment, for messages of [`exit_with`].
static VARIABLES: OnceLock<Vec<FromVariable>> = OnceLock::new();

/// Returns the arguments whose values come from the environment. Without `matches`, since a value is invalid, the command
/// line is parsed again, up to that value.
fn variables(command: &mut Command, matches: Option<&ArgMatches>, args: &[OsString]) -> Vec<FromVariable> {
    let mut found = Vec::new();
    let partial = || command.clone().ignore_errors(true).try_get_matches_from_mut(args).ok();
    if let Some(matches) = matches.cloned().or_else(partial) {
        add_variables(command, &matches, &mut found);
    }
    found
}

fn add_variables(command: &mut Command, matches: &ArgMatches, found: &mut Vec<FromVariable>) {
    // clap has built only the subcommand that was used. An argument that is not built cannot be displayed.
    command.build();
    let of_environment =
        |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable);
    found.extend(command.get_arguments().filter(of_environment).map(|arg| FromVariable {
        argument: arg.to_string(),
        flag: arg.get_long().map(|long| format!("--{long}")).unwrap_or_default(),
        variable: arg.get_env().map(|name| name.display().to_string()).unwrap_or_default(),
    }));
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = command.find_subcommand_mut(name)
    {
        add_variables(command, matches, found);
    }
}

/// Adds the name of the environment variable to an error about a value from the environment.
fn name_variable(error: &mut clap::Error, variables: &[FromVariable]) {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else { return };
    if let Some(found) = variables.iter().find(|found| found.argument == *name) {
        let tip = format!("the value comes from the environment variable {}", found.variable);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Returns a message with the environment variables of the flags that it names.
fn with_variables(message: &str, variables: &[FromVariable]) -> String {
    let mut text = message.to_owned();
    for word in message.split([' ', ':', ';', ',']).filter(|word| word.starts_with("--")) {
        if let Some(found) = variables.iter().find(|found| found.flag == word) {
            // Writing to a string cannot fail.
            let _ = write!(text, "; {word} comes from the environment variable {}", found.variable);
        }
    }
    text
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
            let is_empty =
                arg.get_env().is_some_and(|name| env::var_os(name).is_some_and(|value| value.is_empty()));
            let arg = if is_empty { arg.env(None::<&'static str>) } else { arg };
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
        let variables = VARIABLES.get().map_or(&[][..], Vec::as_slice);
        let _ = writeln!(io::stderr(), "{program}: {}", with_variables(&failure.message, variables));
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
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            let mut error = command.try_get_matches_from_mut(&args).unwrap_err();
            let variables = variables(&mut command, None, &args);
            name_variable(&mut error, &variables);
            assert_eq!(error.to_string().contains("variable CARGO_PKG_NAME"), is_named, "{args:?}: {error}");
        }
    }

    #[test]
    fn empty_variable_counts_as_not_set() {
        // Cargo sets the variable to an empty text.
        assert_eq!(env::var("CARGO_PKG_HOMEPAGE").as_deref(), Ok(""));
        let number = Arg::new("number").long("number").env("CARGO_PKG_HOMEPAGE").default_value("7");
        let command = Command::new("test").arg(number.value_parser(clap::value_parser!(u16)));
        let mut command = with_help_style(Command::new("outer").subcommand(command));
        let matches = command.try_get_matches_from_mut(["outer", "test"]).unwrap();
        assert_eq!(matches.subcommand().unwrap().1.get_one("number"), Some(&7_u16));
        let error = command.try_get_matches_from_mut(["outer", "test", "--number", ""]).unwrap_err();
        assert!(error.to_string().contains("--number"), "{error}");
    }

    #[test]
    fn failure_names_the_variables_of_the_flags_in_its_message() {
        let name = Arg::new("name").long("name").env("CARGO_PKG_NAME");
        let mut command = Command::new("test").arg(name);
        for (args, expected) in [
            (&["test"][..], "--name: no; --name comes from the environment variable CARGO_PKG_NAME"),
            (&["test", "--name", "x"], "--name: no"),
        ] {
            let matches = command.try_get_matches_from_mut(args).unwrap();
            let variables = variables(&mut command, Some(&matches), &[]);
            assert_eq!(with_variables("--name: no", &variables), expected);
        }
    }
}
