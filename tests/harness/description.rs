//! A server held against the description of its API, by schemathesis: requests made up after the description, right ones and
//! wrong ones, and each answer compared with what it promises.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Process, SpawnOptions};
use crate::tools;

/// Names the seed of what is made up: another one finds other faults.
const SEED: &str = "SWARMLINGS_SEED";

/// Without a seed that is asked for each run is as the last one, so that nobody is blamed for a fault of somebody else's.
const DEFAULT_SEED: &str = "1";

/// How many requests of each kind are made up for an operation: about a minute's for ten operations.
const EXAMPLES: &str = "60";

/// A server that hangs is a fault, too.
const PATIENCE: Duration = Duration::from_mins(8);

/// Lines of the report that a failing test shows.
const REPORT: usize = 200;

/// Fails unless the server at `url` keeps to `docs/openapi/NAME.yaml`. `tests/openapi/NAME.toml` has what schemathesis
/// has to know beside that, such as which checks not to make, and knows `token` as `${TOKEN}`.
pub fn conforms(name: &str, url: &str, token: Option<&str>) -> Result<()> {
    let (program, packages) = tools::schemathesis()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let description = root.join("docs/openapi").join(format!("{name}.yaml"));
    let description =
        description.canonicalize().with_context(|| format!("looking for {}", description.display()))?;
    let settings = root.join("tests/openapi").join(format!("{name}.toml"));
    let settings = settings.canonicalize().with_context(|| format!("looking for {}", settings.display()))?;
    // Schemathesis leaves things where it runs.
    let directory = tempfile::tempdir().context("creating a directory for schemathesis")?;
    let seed = env::var(SEED).unwrap_or_else(|_| DEFAULT_SEED.to_owned());

    let mut command = Command::new(program);
    command.current_dir(&directory).env("PYTHONPATH", packages).env("PYTHONNOUSERSITE", "1");
    command.env("NO_COLOR", "1").env("COLUMNS", "118").env("TOKEN", token.unwrap_or_default());
    command.arg("--config-file").arg(settings).arg("run").arg(description);
    command.args(["--url", url, "--seed", &seed, "--max-examples", EXAMPLES]);
    command.args(["--request-timeout", "5"]);
    let mut run = Process::spawn("schemathesis", &mut command, SpawnOptions::default())?;
    let status = run.wait(PATIENCE)?;
    if !status.success() {
        run.log().wait_for_end(PATIENCE)?;
        let report = run.log().tail(REPORT);
        bail!("{name} does not keep to its description (schemathesis: {status}, seed {seed})\n{report}");
    }
    Ok(())
}
