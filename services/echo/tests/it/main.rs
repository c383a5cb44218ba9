//! The program `echo` from outside.

mod process;

/// What it says of itself, and when it does not start.
mod command_line;
/// That it keeps to what is written about it.
mod description;
/// How it ends, and what becomes of answers that have no end.
mod end;
/// Who asked, behind proxies.
mod hops;
/// How large an answer is, how long it takes, and what it costs.
mod knobs;
/// What it shares with whoami.
mod whoami;
