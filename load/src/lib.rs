//! Load tester for routers: throughput and latency, and the share, outages and handovers of each instance.
//!
//! The path of a run: [`args`] (flags) → [`target`] and [`plan`] → [`engine`] (threads, schedule, connections) →
//! [`recorder`] with [`timeline`] and [`outages`] → [`summary`] with [`presence`] and [`statistics`] → [`report`] →
//! [`assertions`], and [`text`], JSON or [`page`] by way of [`output`]. During the run, [`live`] shows interim reports.
//! [`compare`] compares two reports.
//!
//! Only `args`, `engine`, `live`, `output`, [`system`] and [`tls`] do I/O or read a clock.

pub mod args;
pub mod assertions;
pub mod compare;
pub mod engine;
pub mod error;
pub mod format;
pub mod instance;
pub mod live;
pub mod outages;
pub mod output;
mod pace;
pub mod page;
pub mod plan;
pub mod presence;
mod printable;
pub mod recorder;
pub mod report;
#[cfg(test)]
mod sample;
pub mod statistics;
pub mod statuses;
pub mod summary;
pub mod system;
pub mod target;
pub mod text;
pub mod timeline;
pub mod tls;
