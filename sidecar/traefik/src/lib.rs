//! Traefik's dynamic configuration from service labels. Pure: no I/O, no clock.
//!
//! The way of a label: [`tree`] parses it against [`fields`], Traefik's options; [`service_config`] completes and checks
//! the configuration of one service; [`document`] renders all services into the document that Traefik polls.

mod default_rule;
mod diagnostic;
mod document;
mod exposure;
mod fields;
mod rule;
mod scanner;
mod service_config;
mod suggest;
mod tree;

pub use default_rule::DefaultRule;
pub use diagnostic::{Diagnostic, LabelErrors, Translation};
pub use document::{API, API_HOST, BEACON, Backend, Document, render};
pub use exposure::{Constraints, Exposure};
pub use service_config::ServiceConfig;
pub use suggest::suggest;
pub use tree::{Tree, parse_labels};
