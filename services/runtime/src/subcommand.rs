//! What a program can be asked for instead of serving.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command};
use cli::Failure;

/// Something that a program does and then ends, beside what every service can be asked for.
pub trait SubcommandHandler: Args {
    /// The subcommand's name.
    const NAME: &'static str;
    /// What it does, in a sentence.
    const DESCRIPTION: &'static str;
    /// The lines under "Examples:" in its `--help`, indented; line breaks around them do not count.
    const EXAMPLES: &'static str;

    /// Does it.
    fn run(self) -> Result<ExitCode, Failure>;
}

/// An [`SubcommandHandler`] for an [`AppInfo`](crate::AppInfo).
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    pub(crate) name: &'static str,
    description: &'static str,
    examples: &'static str,
    augment: fn(Command) -> Command,
    read: fn(&ArgMatches) -> Result<Ready, clap::Error>,
}

/// An errand that is ready to run.
pub(crate) type Ready = Box<dyn FnOnce() -> Result<ExitCode, Failure>>;

impl Subcommand {
    /// The subcommand that runs `E`.
    pub const fn of<E: SubcommandHandler + 'static>() -> Self {
        Self {
            name: E::NAME,
            description: E::DESCRIPTION,
            examples: E::EXAMPLES,
            augment: E::augment_args,
            read: read::<E>,
        }
    }

    pub(crate) fn command(self) -> Command {
        (self.augment)(Command::new(self.name))
            .about(self.description)
            .after_help(format!("Examples:\n{}", self.examples.trim_matches('\n')))
    }

    pub(crate) fn read(self, matches: &ArgMatches) -> Result<Ready, clap::Error> {
        (self.read)(matches)
    }
}

fn read<E: SubcommandHandler + 'static>(matches: &ArgMatches) -> Result<Ready, clap::Error> {
    let errand = E::from_arg_matches(matches)?;
    Ok(Box::new(move || errand.run()))
}
