//! A server of WebSocket that sends back what it is sent, held against a client that many use.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Process, SpawnOptions};
use crate::tools::WEBSOCKETS;

/// A server that hangs is a fault, too.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of what the client says that a failing test shows.
const TAIL: usize = 20;

/// Fails unless messages of all kinds come back from `url` as they should; `ca` is a file with the certificate to trust.
pub fn comes_back(url: &str, ca: Option<&str>) -> Result<()> {
    // Of what is fetched a library is wanted.
    let program = WEBSOCKETS.get()?;
    let packages = program.ancestors().nth(2).context("looking for the client of WebSocket")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("websocket.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(url).args(ca).env("PYTHONPATH", packages).env("PYTHONNOUSERSITE", "1");
    let mut run = Process::spawn("websocket.py", &mut command, SpawnOptions::default())?;
    let status = run.wait(PATIENCE)?;
    run.log().wait_for_end(PATIENCE)?;
    let said = run.log().tail(TAIL);
    ensure!(
        status.success() && run.log().lines().iter().any(|line| line == "well"),
        "{url}: {status}\n{said}"
    );
    Ok(())
}
