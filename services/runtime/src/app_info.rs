//! Description of a program: name, version, help, subcommands.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command};
use cli::Failure;

/// A program's name, version and help, and the place of its operational endpoints. Created by
/// [`app_info!`](crate::app_info!).
#[derive(Clone, Copy, Debug)]
pub struct AppInfo {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) description: &'static str,
    pub(crate) examples: &'static str,
    pub(crate) healthcheck_path: &'static str,
    pub(crate) admin_port: bool,
    pub(crate) env_aliases: &'static [(&'static str, &'static str)],
    pub(crate) subcommands: &'static [Subcommand],
}

impl AppInfo {
    /// Describes a service with an admin port, whose `healthcheck` requests `/readyz`.
    pub const fn new(name: &'static str, version: &'static str, description: &'static str) -> Self {
        Self {
            name,
            version,
            description,
            examples: "",
            healthcheck_path: "/readyz",
            admin_port: true,
            env_aliases: &[],
            subcommands: &[],
        }
    }

    /// Sets the indented lines under "Examples:" in `--help`. Line breaks at both ends are removed.
    #[must_use]
    pub const fn examples(self, examples: &'static str) -> Self {
        Self { examples, ..self }
    }

    /// Sets the path that `healthcheck` requests.
    #[must_use]
    pub const fn healthcheck_path(self, path: &'static str) -> Self {
        Self { healthcheck_path: path, ..self }
    }

    /// Sets alternative names of environment variables, as pairs of alias and name:
    /// `&[("WHOAMI_PORT_NUMBER", "SERVICE_PORT")]`. An alias applies if it is not empty and the variable is not set.
    #[must_use]
    pub const fn env_aliases(self, aliases: &'static [(&'static str, &'static str)]) -> Self {
        Self { env_aliases: aliases, ..self }
    }

    /// Adds subcommands to those of every service.
    #[must_use]
    pub const fn subcommands(self, subcommands: &'static [Subcommand]) -> Self {
        Self { subcommands, ..self }
    }

    /// Removes the admin port. The service then serves [`Admin::handle`](crate::Admin::handle) on its own port, where
    /// `healthcheck` looks for it.
    #[must_use]
    pub const fn without_admin_port(self) -> Self {
        Self { admin_port: false, ..self }
    }
}

/// Creates the [`AppInfo`] of the calling crate: name and version come from the package, the description is the argument.
#[macro_export]
macro_rules! app_info {
    ($description:expr) => {
        $crate::AppInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $description)
    };
}

/// A subcommand that runs instead of the service: its flags, and the code to run.
pub trait SubcommandHandler: Args {
    /// Name of the subcommand.
    const NAME: &'static str;
    /// Description for `--help`, one sentence.
    const DESCRIPTION: &'static str;
    /// Indented lines under "Examples:" in `--help`. Line breaks at both ends are removed.
    const EXAMPLES: &'static str;

    /// Runs the subcommand.
    fn run(self) -> Result<ExitCode, Failure>;
}

/// A [`SubcommandHandler`] in the form that [`AppInfo::subcommands`] takes.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    pub(crate) name: &'static str,
    description: &'static str,
    examples: &'static str,
    augment: fn(Command) -> Command,
    read: fn(&ArgMatches) -> Result<RunSubcommand, clap::Error>,
}

/// Runs a subcommand whose flags are parsed.
pub(crate) type RunSubcommand = Box<dyn FnOnce() -> Result<ExitCode, Failure>>;

impl Subcommand {
    /// Creates the subcommand that is handled by `H`.
    pub const fn of<H: SubcommandHandler + 'static>() -> Self {
        Self {
            name: H::NAME,
            description: H::DESCRIPTION,
            examples: H::EXAMPLES,
            augment: H::augment_args,
            read: |matches| {
                let handler = H::from_arg_matches(matches)?;
                Ok(Box::new(move || handler.run()))
            },
        }
    }

    pub(crate) fn command(self) -> Command {
        (self.augment)(Command::new(self.name))
            .about(self.description)
            .after_help(format!("Examples:\n{}", self.examples.trim_matches('\n')))
    }

    pub(crate) fn read(self, matches: &ArgMatches) -> Result<RunSubcommand, clap::Error> {
        (self.read)(matches)
    }
}
