//! Sends load, and says which instance answered, how evenly, and for how long nobody did.
//!
//! - [`report`]: what came of it, the one value that all output is made from;

pub mod counts;
pub mod gaps;
pub mod pace;
pub mod presence;
pub mod report;
mod seconds;
pub mod statistics;
