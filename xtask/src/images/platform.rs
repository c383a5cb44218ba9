//! Platforms of images.

use anyhow::{Context, Result};
use clap::ValueEnum;

/// A platform, by its name in Docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Platform {
    #[value(name = "linux/amd64")]
    Amd64,
    #[value(name = "linux/arm64")]
    Arm64,
    #[value(name = "linux/386")]
    I386,
    #[value(name = "linux/arm/v7")]
    ArmV7,
    #[value(name = "linux/riscv64")]
    Riscv64,
}

impl Platform {
    /// The platform of an engine whose `docker info` shows `architecture`.
    pub(crate) fn of_engine(architecture: &str) -> Result<Self> {
        // Engines do not report the version of ARM. Programs for version 7 run on later versions too.
        let name = if architecture == "arm" { "arm/v7" } else { architecture };
        let found = Self::value_variants().iter().find(|platform| platform.name() == format!("linux/{name}"));
        found.copied().with_context(|| {
            let names: Vec<_> = Self::value_variants().iter().map(|platform| platform.name()).collect();
            format!(
                "cannot build images for the Docker engine's platform linux/{architecture}, only for {}",
                names.join(", ")
            )
        })
    }

    /// The name in Docker, such as `linux/arm/v7`.
    pub(crate) fn name(self) -> &'static str {
        self.names().0
    }

    /// The Rust target of static programs.
    pub(crate) fn target(self) -> &'static str {
        self.names().1
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Amd64 => ("linux/amd64", "x86_64-unknown-linux-musl"),
            Self::Arm64 => ("linux/arm64", "aarch64-unknown-linux-musl"),
            Self::I386 => ("linux/386", "i686-unknown-linux-musl"),
            Self::ArmV7 => ("linux/arm/v7", "armv7-unknown-linux-musleabihf"),
            Self::Riscv64 => ("linux/riscv64", "riscv64gc-unknown-linux-musl"),
        }
    }

    /// The directory in the Dockerfile's build context: architecture and variant, such as `armv7`.
    pub(crate) fn directory(self) -> String {
        self.name().trim_start_matches("linux/").replace('/', "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_engine_architecture_is_named() {
        assert_eq!(Platform::of_engine("arm64").unwrap(), Platform::Arm64);
        assert_eq!(Platform::of_engine("arm").unwrap().directory(), "armv7");
        let error = Platform::of_engine("s390x").unwrap_err().to_string();
        assert!(error.contains("linux/s390x") && error.contains("linux/arm/v7"), "{error}");
    }

    #[test]
    fn compile_script_uses_the_same_targets() {
        let script = include_str!("../../compile.sh");
        for platform in Platform::value_variants() {
            let (directory, target) = (platform.directory(), platform.target());
            let case = script.lines().find(|line| line.contains(&format!("target={target} ")));
            assert!(case.is_some_and(|case| case.trim().starts_with(&directory)), "{directory}: {target}");
        }
    }

    #[test]
    fn command_line_accepts_docker_platform_names() {
        for platform in Platform::value_variants() {
            assert_eq!(platform.to_possible_value().unwrap().get_name(), platform.name());
        }
    }
}
