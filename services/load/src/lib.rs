//! Sends load, and says which instance answered, how evenly, and for how long nobody did.
//!
//! - [`report`]: what came of it, the one value that all output is made from;

pub mod report;
