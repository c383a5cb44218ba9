//! Traefik's dynamic configuration from service labels. Pure: no I/O, no clock.

mod constraints;
mod cycle;
mod default_rule;
mod diagnostic;
mod document;
mod exposure;
mod fields;
mod literal;
mod names;
mod service_config;
mod suggest;
mod tree;

pub use constraints::Constraints;
pub use default_rule::DefaultRule;
pub use diagnostic::{Diagnostic, LabelErrors, Translation};
pub use document::{BEACON, Backend, Document, render};
pub use exposure::Exposure;
pub use service_config::ServiceConfig;
pub use suggest::suggest;
pub use tree::{Tree, print, read};
