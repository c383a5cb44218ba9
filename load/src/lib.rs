//! Sends load, and says which instance answered, how evenly, and for how long nobody did.
//!
//! Pure, values in and values out:
//!
//! - [`report`]: what came of it, the one value that all output is made from; [`text`] and [`demands`] are, and
//!   [`page`] for browsers; [`headline`] says it in one sentence;
//! - [`snapshot`], [`live`]: how it stands while it is sent, as a screen or a line; [`printable`]: others' text on a terminal;
//! - [`statistics`], [`presence`], [`gaps`], [`counts`]: what is computed of answers, and [`recorder`], which does all of it;
//! - [`pace`]: when requests are due, and whose turn it is;
//! - [`http1`]: HTTP/1.1 as bytes; [`target`], [`instance`]: URLs, and what tells instances apart; [`fault`]: what went wrong.
//!
//! And what does I/O:
//!
//! - [`engine`]: threads, and their connections, which do what a [`plan`] says;
//! - [`args`], [`tls`], [`output`], [`signals`], [`descriptors`], [`terminal`]: what the program has to do with its surroundings.

pub mod args;
pub mod counts;
pub mod demands;
pub mod descriptors;
pub mod engine;
mod exchange;
pub mod fault;
pub mod figures;
pub mod gaps;
pub mod headline;
pub mod http1;
pub mod instance;
pub mod live;
pub mod output;
mod over_time;
pub mod pace;
pub mod page;
pub mod plan;
pub mod presence;
pub mod printable;
pub mod recorder;
pub mod report;
#[cfg(test)]
mod sample;
mod seconds;
pub mod signals;
pub mod snapshot;
pub mod statistics;
mod summary;
pub mod target;
pub mod terminal;
pub mod text;
pub mod tls;
