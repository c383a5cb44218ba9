//! Answers with what it was asked.

use clap::Args;
use swarmlings_cli::Failure;
use swarmlings_runtime::{Connection, Context, Request, Response, Service, Transport, text};

/// The service's own flags.
#[derive(Args, Clone, Debug)]
pub struct EchoArgs {}

/// The service.
#[derive(Debug)]
pub struct Echo {}

impl Echo {
    /// As flags and environment have it.
    pub fn new(_args: EchoArgs, _context: &Context) -> Result<Self, Failure> {
        Ok(Self {})
    }
}

impl Service for Echo {
    const HTTP2: bool = true;

    fn transport(&self) -> Option<&dyn Transport> {
        None
    }

    async fn call(&self, _request: Request, _connection: &Connection) -> Response {
        text("")
    }
}
