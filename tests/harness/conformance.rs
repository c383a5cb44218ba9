//! Checks of a server with tools of other projects: schemathesis for an `OpenAPI` description, the Python package websockets
//! for a WebSocket server.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::images::root;
use crate::process::{Process, SpawnOptions};
use crate::tools::{self, WEBSOCKETS};

/// Environment variable with the seed for schemathesis. Other seeds generate other requests.
const SEED: &str = "SWARMLINGS_SEED";

/// Fixed by default, so that a run fails only because of the change that it tests.
const DEFAULT_SEED: &str = "1";

/// Requests that schemathesis generates for each operation and phase: about a minute for ten operations.
const EXAMPLES: &str = "60";

/// Time limit for schemathesis; a server that hangs fails the check.
const OPENAPI_TIMEOUT: Duration = Duration::from_mins(8);

/// Time limit for the WebSocket client.
const WEBSOCKET_TIMEOUT: Duration = Duration::from_mins(1);

/// Lines of schemathesis's report that a failing test shows.
const OPENAPI_TAIL: usize = 200;

/// Lines of the WebSocket client's output that a failing test shows.
const WEBSOCKET_TAIL: usize = 20;

/// Sends generated valid and invalid requests to the server at `url`, and fails unless every response matches
/// `docs/openapi/NAME.yaml`. `tests/openapi/NAME.toml` configures schemathesis, and can refer to `token` as `${TOKEN}`.
pub fn check_openapi(name: &str, url: &str, token: Option<&str>) -> Result<()> {
    let (program, packages) = tools::schemathesis()?;
    let existing = |path: String| {
        let path = root().join(path);
        path.canonicalize().with_context(|| format!("looking for {}", path.display()))
    };
    let description = existing(format!("docs/openapi/{name}.yaml"))?;
    let settings = existing(format!("tests/openapi/{name}.toml"))?;
    // Schemathesis writes files to its working directory.
    let directory = tempfile::tempdir().context("creating a directory for schemathesis")?;
    let seed = env::var(SEED).unwrap_or_else(|_| DEFAULT_SEED.to_owned());

    let mut command = Command::new(program);
    command.current_dir(&directory).env("PYTHONPATH", packages).env("PYTHONNOUSERSITE", "1");
    command.env("NO_COLOR", "1").env("COLUMNS", "118").env("TOKEN", token.unwrap_or_default());
    command.arg("--config-file").arg(settings).arg("run").arg(description);
    command.args(["--url", url, "--seed", &seed, "--max-examples", EXAMPLES]);
    command.args(["--request-timeout", "5"]);
    let mut run = Process::spawn("schemathesis", &mut command, SpawnOptions::default())?;
    let status = run.wait(OPENAPI_TIMEOUT)?;
    if !status.success() {
        run.log().wait_for_end(OPENAPI_TIMEOUT)?;
        let report = run.log().tail(OPENAPI_TAIL);
        bail!("{name} does not match its description (schemathesis: {status}, seed {seed})\n{report}");
    }
    Ok(())
}

/// Sends messages of all kinds to the WebSocket echo server at `url`, and fails unless all of them come back. `ca` is a
/// file with the trusted CA certificate.
pub fn check_websocket(url: &str, ca: Option<&str>) -> Result<()> {
    let program = WEBSOCKETS.get()?;
    // The script imports the package's library.
    let packages = program.ancestors().nth(2).context("looking for the package websockets")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("websocket.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(url).args(ca).env("PYTHONPATH", packages).env("PYTHONNOUSERSITE", "1");
    let mut run = Process::spawn("websocket.py", &mut command, SpawnOptions::default())?;
    let status = run.wait(WEBSOCKET_TIMEOUT)?;
    run.log().wait_for_end(WEBSOCKET_TIMEOUT)?;
    let passed = status.success() && run.log().lines().iter().any(|line| line == "ok");
    ensure!(passed, "{url}: {status}\n{}", run.log().tail(WEBSOCKET_TAIL));
    Ok(())
}
