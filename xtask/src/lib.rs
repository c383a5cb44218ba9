//! What the project's own programs have in common: commands, and what they need of the machine.

pub mod build;
pub mod needs;
