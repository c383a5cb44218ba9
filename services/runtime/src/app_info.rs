//! What a program says of itself.

use crate::Subcommand;

/// A program's name, version and help, and where its operational endpoints are. Made by [`app_info!`](crate::app_info!).
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
    /// A service with an admin port of its own, whose `healthcheck` asks for `/readyz`.
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

    /// The lines under "Examples:" in `--help`, indented; line breaks around them do not count.
    #[must_use]
    pub const fn examples(self, examples: &'static str) -> Self {
        Self { examples, ..self }
    }

    /// The path that `healthcheck` asks for.
    #[must_use]
    pub const fn healthcheck_path(self, path: &'static str) -> Self {
        Self { healthcheck_path: path, ..self }
    }

    /// Other names of environment variables, each before the one that it stands in for when that is not set:
    /// `&[("WHOAMI_PORT_NUMBER", "SERVICE_PORT")]`. One that is empty is as good as none.
    #[must_use]
    pub const fn env_aliases(self, variables: &'static [(&'static str, &'static str)]) -> Self {
        Self { env_aliases: variables, ..self }
    }

    /// What the program can be asked for beside what every service can.
    #[must_use]
    pub const fn subcommands(self, subcommands: &'static [Subcommand]) -> Self {
        Self { subcommands, ..self }
    }

    /// No admin port: the service answers by [`Admin::handle`](crate::Admin::handle) on its own one, where
    /// `healthcheck` asks then.
    #[must_use]
    pub const fn without_admin_port(self) -> Self {
        Self { admin_port: false, ..self }
    }
}

/// An [`AppInfo`] of the crate it stands in: name and version are the package's, the description is given.
#[macro_export]
macro_rules! app_info {
    ($description:expr) => {
        $crate::AppInfo::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $description)
    };
}
