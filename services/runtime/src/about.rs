//! What a program says of itself.

use crate::Subcommand;

/// A program's name, version and help, and where its operational endpoints are. Made by [`about!`](crate::about!).
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) description: &'static str,
    pub(crate) examples: &'static str,
    pub(crate) probe: &'static str,
    pub(crate) admin_port: bool,
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) subcommands: &'static [Subcommand],
}

impl About {
    /// A service with an admin port of its own, whose `healthcheck` asks for `/readyz`.
    pub const fn new(name: &'static str, version: &'static str, description: &'static str) -> Self {
        Self {
            name,
            version,
            description,
            examples: "",
            probe: "/readyz",
            admin_port: true,
            variables: &[],
            subcommands: &[],
        }
    }

    /// The lines under "Examples:" in `--help`, indented; line breaks around them do not count.
    #[must_use]
    pub const fn examples(self, examples: &'static str) -> Self {
        Self { examples, ..self }
    }

    /// The path that `healthcheck` asks for.
    #[must_use]
    pub const fn probe(self, path: &'static str) -> Self {
        Self { probe: path, ..self }
    }

    /// Other names of environment variables, each before the one that it stands in for when that is not set:
    /// `&[("WHOAMI_PORT_NUMBER", "SERVICE_PORT")]`. One that is empty is as good as none.
    #[must_use]
    pub const fn variables(self, variables: &'static [(&'static str, &'static str)]) -> Self {
        Self { variables, ..self }
    }

    /// What the program can be asked for beside what every service can.
    #[must_use]
    pub const fn subcommands(self, subcommands: &'static [Subcommand]) -> Self {
        Self { subcommands, ..self }
    }

    /// No admin port: the service answers by [`Admin::answer`](crate::Admin::answer) on its own one, where
    /// `healthcheck` asks then.
    #[must_use]
    pub const fn without_admin_port(self) -> Self {
        Self { admin_port: false, ..self }
    }
}

/// An [`About`] of the crate it stands in: name and version are the package's, the description is given.
#[macro_export]
macro_rules! about {
    ($description:expr) => {
        $crate::About::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $description)
    };
}
