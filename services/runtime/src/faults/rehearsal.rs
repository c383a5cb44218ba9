//! Faults of the whole process, by flag.

use std::time::Duration;

use clap::Args;
use cli::{EnvOption, env_option_with, parse_bool};
use parse::positive_duration;

/// What the process does wrong, on purpose.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rehearsals: what goes wrong on purpose")]
pub(crate) struct Rehearsal {
    /// Stay unready for so long
    #[arg(long, env = "SERVICE_SLOW_START", value_name = "TIME", value_parser = env_option_with(positive_duration))]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) slow_start: EnvOption<Duration>,
    /// Abort so long after the start
    #[arg(long, env = "SERVICE_CRASH_AFTER", value_name = "TIME", value_parser = env_option_with(positive_duration))]
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) crash_after: EnvOption<Duration>,
    /// Go on serving after SIGTERM
    #[arg(long, env = "SERVICE_IGNORE_SIGTERM", value_parser = parse_bool)]
    pub(crate) ignore_sigterm: bool,
    /// Never end after a drain
    #[arg(long, env = "SERVICE_HANG_ON_DRAIN", value_parser = parse_bool)]
    pub(crate) hang_on_drain: bool,
}

impl Rehearsal {
    /// Which of them there are, by the names of their flags.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.list().map(|(name, _)| name)
    }

    /// The same in words.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        self.list().map(|(_, sentence)| sentence)
    }

    fn list(&self) -> impl Iterator<Item = (&'static str, String)> {
        let slow = self.slow_start.0.map(|time| ("slow-start", format!("unready for {time:?}")));
        let crash =
            self.crash_after.0.map(|time| ("crash-after", format!("aborts {time:?} after its start")));
        let deaf =
            self.ignore_sigterm.then(|| ("ignore-sigterm", "goes on serving after SIGTERM".to_owned()));
        let hang = self.hang_on_drain.then(|| ("hang-on-drain", "never ends after a drain".to_owned()));
        [slow, crash, deaf, hang].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_shown() {
        assert_eq!(Rehearsal::default().names().count(), 0);
        let rehearsal = Rehearsal {
            crash_after: EnvOption(Some(Duration::from_secs(90))),
            hang_on_drain: true,
            ..Rehearsal::default()
        };
        assert!(rehearsal.names().eq(["crash-after", "hang-on-drain"]));
        assert!(rehearsal.sentences().eq(["aborts 90s after its start", "never ends after a drain"]));
    }
}
