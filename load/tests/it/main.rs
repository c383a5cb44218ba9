//! Runs `load` as a process, against servers that know what they were asked.

/// Counts: each request once, each failure in its class.
mod counts;
/// How it ends: by itself, by signals, with which exit code.
mod end;
/// Never more than it was told.
mod limits;
mod peer;
mod run;
mod terminal;
/// Bad usage, which no request is sent for.
mod usage;
