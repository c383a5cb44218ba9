//! Traefik's dynamic configuration from service labels. Pure: no I/O, no clock.
//!
//! The way of a label: [`tree`] parses it against [`fields`], Traefik's options, and checks its value ([`options`],
//! [`values`]); [`service_config`] completes the configuration of one service; [`definitions`] and [`graph`] check it;
//! [`document`] renders all services into the document that Traefik polls.

mod default_rule;
mod definitions;
mod diagnostic;
mod document;
mod exposure;
mod fields;
mod graph;
mod limits;
mod options;
mod references;
mod rule;
mod scanner;
mod secrets;
mod service_config;
mod suggest;
mod tls;
mod tree;
mod trial;
mod values;

pub use default_rule::{DefaultRule, normalize};
pub use diagnostic::{Diagnostic, LabelErrors, Translation};
pub use document::{API, API_HOST, BEACON, Backend, Document, Draft, PAGE};
pub use exposure::{Constraints, Exposure};
pub use limits::Limits;
pub use references::Reference;
pub use rule::map_matchers;
pub use secrets::{REDACTED, Secrets, redact_document, without_credentials};
pub use service_config::ServiceConfig;
pub use suggest::suggest;
pub use tree::{Tree, is_secret, parse_labels};
