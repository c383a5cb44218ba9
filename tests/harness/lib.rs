//! What integration tests and `cargo xtask up` start the real thing with.
