//! Headless Chromium, controlled through the `WebDriver` protocol: <https://www.w3.org/TR/webdriver2/>.

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

/// Time limit for the start and for each command on a busy machine.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(2);

/// A running Chromium.
pub struct Browser {
    agent: Agent,
    session: String,
    driver: Process,
    /// Directory of its profile and caches.
    _home: TempDir,
}

impl Browser {
    /// Starts a browser with a window of this size in CSS pixels.
    pub fn start(width: u32, height: u32) -> Result<Self> {
        let program = on_path("chromedriver")
            .context("chromedriver not found on PATH: run `apt-get install chromium-driver`")?;
        let home = tempfile::tempdir().context("creating the browser's home")?;
        let mut command = Command::new(program);
        // A free port, which it logs.
        command.arg("--port=0").env("HOME", home.path()).env("TMPDIR", home.path());
        let driver = Process::spawn("chromedriver", &mut command, SpawnOptions::default())?;
        let line = driver.log().wait_for("started successfully on port", COMMAND_TIMEOUT)?;
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap_or_default();
        let port: u16 = port.parse().with_context(|| format!("reading chromedriver's port from {line:?}"))?;
        let config =
            Agent::config_builder().timeout_global(Some(COMMAND_TIMEOUT)).http_status_as_error(false);
        let agent = config.build().new_agent();
        let mut browser =
            Self { agent, session: format!("http://127.0.0.1:{port}/session"), driver, _home: home };
        let size = format!("--window-size={width},{height}");
        // The sandbox does not work as root, /dev/shm is small in containers, and background networking looks for updates.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--force-device-scale-factor=1",
            "--hide-scrollbars",
            // Without subpixel colours screenshots are smaller.
            "--disable-lcd-text",
            &size,
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let created = browser.post("", &capabilities)?;
        let id = created["sessionId"].as_str().context("creating a session: no ID from chromedriver")?;
        browser.session = format!("{}/{id}", browser.session);
        Ok(browser)
    }

    /// Opens a file, and waits until it is loaded and its scripts have run.
    pub fn open(&self, file: &Path) -> Result<()> {
        self.visit(&format!("file://{}", file.display()))
    }

    /// Opens a URL, and waits until the page is loaded and its scripts have run.
    pub fn visit(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({"url": url})).map(drop)
    }

    /// Runs a script and returns its result.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Calls a command of the Chrome `DevTools` protocol.
    pub fn command(&self, name: &str, parameters: &Value) -> Result<Value> {
        self.post("/goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    /// Returns console messages and browser errors since the last call.
    pub fn console(&self) -> Result<Vec<String>> {
        let entries = self.post("/se/log", &json!({"type": "browser"}))?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Returns the URLs of all requests since the last call.
    pub fn requests(&self) -> Result<Vec<String>> {
        let entries = self.post("/se/log", &json!({"type": "performance"}))?;
        let mut requests = Vec::new();
        for entry in entries.as_array().into_iter().flatten() {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or_default())
                .context("parsing an event of the browser")?;
            if event["message"]["method"] == "Network.requestWillBeSent" {
                let url = &event["message"]["params"]["request"]["url"];
                requests.push(url.as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(requests)
    }

    /// Returns a PNG of the whole page, or of the given size from its upper left corner.
    pub fn screenshot(&self, size: Option<(u32, u32)>) -> Result<Vec<u8>> {
        let mut parameters = json!({"captureBeyondViewport": true});
        if let Some((width, height)) = size {
            parameters["clip"] = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        }
        let shot = self.command("Page.captureScreenshot", &parameters)?;
        STANDARD.decode(shot["data"].as_str().unwrap_or_default()).context("decoding the screenshot")
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let action = || {
            format!("sending a command to chromedriver: {}", if path.is_empty() { "/session" } else { path })
        };
        let request = self.agent.post(format!("{}{path}", self.session)).content_type("application/json");
        let mut response = request.send(body.to_string()).with_context(action)?;
        // Screenshots exceed the default limit.
        let text = response.body_mut().with_config().limit(1 << 28).read_to_string().with_context(action)?;
        let response: Value = serde_json::from_str(&text).with_context(action)?;
        let value = &response["value"];
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            let message = value["message"].as_str().unwrap_or_default();
            bail!("{}: {error}: {message}", action());
        }
        Ok(value.clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closes the browser properly, so that it removes its files.
        if let Err(error) = self.agent.delete(&self.session).call() {
            eprintln!("closing the browser: {error}\n{}", self.driver.tail());
        }
    }
}
