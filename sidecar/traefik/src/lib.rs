//! Labels in, Traefik's dynamic configuration out. Pure: no I/O, no clock.

mod circle;
mod constraints;
mod default_rule;
mod duration;
mod exposure;
mod fields;
mod literal;
mod names;
mod plan;
mod render;
mod spelling;
mod tree;
pub mod v1;

pub use constraints::Constraints;
pub use default_rule::DefaultRule;
pub use exposure::Exposure;
pub use plan::Plan;
pub use render::{BEACON, Backend, Document, render};
pub use tree::{Tree, print, read};
