//! Code shared by `cargo xtask` and its benchmarks: builds, and the tools that they need.

pub mod build;
pub mod needs;
