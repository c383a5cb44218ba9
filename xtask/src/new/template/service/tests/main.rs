//! The program from outside: started, asked, told to end.

mod process;

/// What it answers, and how it ends.
mod service;
