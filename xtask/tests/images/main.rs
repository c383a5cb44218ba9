//! `cargo xtask images` and the Dockerfile, as a user sees them.

/// An image to compile in, made of this machine's own toolchain.
mod builder;
/// From source, with nothing but Docker.
mod compiled;
/// Of a service that has a repository of its own.
mod own;
/// For several platforms: written down, pushed, pulled and run.
mod published;
/// A lab with an engine and a registry, which all tests share.
mod stage;
