//! A browser without a window, driven by the `WebDriver` protocol: <https://www.w3.org/TR/webdriver2/>.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::process::{Process, SpawnOptions};
use crate::tools::on_path;

/// How long the browser may take to start, or for a page, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(2);

/// Chromium.
pub struct Browser {
    agent: Agent,
    session: String,
    driver: Process,
    /// Its profile and whatever else it writes.
    _home: TempDir,
}

impl Browser {
    /// Starts one whose pages are so large, in CSS pixels.
    pub fn start(width: u32, height: u32) -> Result<Self> {
        let program = on_path("chromedriver")
            .context("looking for chromedriver: Debian's package chromium-driver has it")?;
        let home = tempfile::tempdir().context("creating the browser's home")?;
        let mut command = Command::new(program);
        // Any free port; it says which.
        command.arg("--port=0").env("HOME", home.path()).env("TMPDIR", home.path());
        let driver = Process::spawn("chromedriver", &mut command, SpawnOptions::default())?;
        let said = driver.log().wait_for("started successfully on port", PATIENCE)?;
        let port = said.trim_end_matches('.').rsplit(' ').next().unwrap_or_default();
        let port: u16 = port.parse().with_context(|| format!("reading chromedriver's port from {said:?}"))?;
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        let agent = config.build().new_agent();
        let mut browser =
            Self { agent, session: format!("http://127.0.0.1:{port}/session"), driver, _home: home };
        let size = format!("--window-size={width},{height}");
        // As root there is no sandbox, and in containers /dev/shm is small. In the background it would look for updates.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--force-device-scale-factor=1",
            "--hide-scrollbars",
            // Letters without coloured edges: pictures are smaller.
            "--disable-lcd-text",
            &size,
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let made = browser.post("", &capabilities)?;
        let id = made["sessionId"].as_str().context("chromedriver names no session")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Opens a file, and returns when it is loaded and its scripts have run.
    pub fn open(&self, file: &Path) -> Result<()> {
        self.post("/url", &json!({"url": format!("file://{}", file.display())})).map(drop)
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Calls a command of Chromium's own protocol.
    pub fn command(&self, name: &str, parameters: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    /// What was written to the console since this was asked last, errors of the browser's among it.
    pub fn console(&self) -> Result<Vec<String>> {
        let entries = self.post("/se/log", &json!({"type": "browser"}))?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Whatever was requested since this was asked last.
    pub fn requests(&self) -> Result<Vec<String>> {
        let entries = self.post("/se/log", &json!({"type": "performance"}))?;
        let mut requests = Vec::new();
        for entry in entries.as_array().into_iter().flatten() {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or_default())
                .context("reading an event of the browser's")?;
            if event["message"]["method"] == "Network.requestWillBeSent" {
                let url = &event["message"]["params"]["request"]["url"];
                requests.push(url.as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(requests)
    }

    /// The page as it looks, as PNG: all of it, or its upper left corner of so many pixels.
    pub fn picture(&self, size: Option<(u32, u32)>) -> Result<Vec<u8>> {
        let mut wanted = json!({"captureBeyondViewport": true});
        if let Some((width, height)) = size {
            wanted["clip"] = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        }
        let shot = self.command("Page.captureScreenshot", &wanted)?;
        STANDARD.decode(shot["data"].as_str().unwrap_or_default()).context("reading a picture of the page")
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let doing =
            || format!("asking chromedriver for {}", if path.is_empty() { "a session" } else { path });
        let request = self.agent.post(format!("{}{path}", self.session)).content_type("application/json");
        let mut response = request.send(body.to_string()).with_context(doing)?;
        // Screenshots are larger than what is read by default.
        let answer = response.body_mut().with_config().limit(1 << 28).read_to_string().with_context(doing)?;
        let answer: Value = serde_json::from_str(&answer).with_context(doing)?;
        let value = &answer["value"];
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            let message = value["message"].as_str().unwrap_or_default();
            bail!("{}: {error}: {message}", doing());
        }
        Ok(value.clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends in order, and leaves nothing; whatever does not is killed with the driver.
        if let Err(error) = self.agent.delete(&self.session).call() {
            eprintln!("ending the browser: {error}\n{}", self.driver.tail());
        }
    }
}
