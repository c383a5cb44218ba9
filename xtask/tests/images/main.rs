//! `cargo xtask images` and the Dockerfile.

/// An image with this machine's toolchain, to compile in.
mod builder;
/// Images compiled from source, with nothing but Docker.
mod compiled;
/// Images for several platforms: written, pushed, pulled and run.
mod published;
/// A release: published by the workflow's commands, deployed on three hosts, and used by a separate repository.
mod release;
/// Images of a service in a separate repository.
mod repository;
/// A lab with an engine and a registry, shared by all tests.
mod stage;
