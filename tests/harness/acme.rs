//! A certificate authority with ACME, and an image of a client for it: Debian's pebble and lego.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::certificates::{Certificates, P256};
use crate::nginx::copy_program;
use crate::process::run_ok;
use crate::{Docker, Images, Loopback, Process, SpawnOptions, images, tools};

/// The programs, each with its Debian package.
pub const PROGRAMS: [(&str, &str); 2] = [("pebble", "pebble"), ("lego", "lego")];

/// Paths as in the official image of lego, which has a shell.
const DOCKERFILE: &str = r#"FROM scratch
COPY root/ /
COPY root/usr/bin/lego /lego
ENV PATH=/usr/bin:/bin
ENTRYPOINT ["/lego"]
EXPOSE 80
"#;

/// Time for the start.
const START: Duration = Duration::from_secs(10);

/// A running certificate authority. Before it issues a certificate, it requests a challenge on port 80 of the name.
pub struct Pebble {
    certificates: Certificates,
    acme: SocketAddr,
    management: SocketAddr,
    process: Process,
    _names: Process,
}

impl Pebble {
    /// Starts it at `ip`, and waits until it responds. For it, all names have the address `host`.
    pub fn start(ip: IpAddr, host: Ipv4Addr) -> Result<Self> {
        let ports = Loopback::at(ip);
        let [acme, management, dns] = [ports.free()?, ports.free()?, ports.free()?];
        let mut names = Command::new(program("pebble-challtestsrv")?);
        names.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        names.args(["-dns01", &dns.to_string(), "-management", &ports.free()?.to_string()]);
        names.args(["-defaultIPv4", &host.to_string()]);
        let names = Process::spawn("names", &mut names, SpawnOptions::default())?;

        let certificates = Certificates::new(P256);
        let [cert, key] = certificates.issue_for_address(ip, P256);
        let configuration = json!({"pebble": {
            "listenAddress": acme.to_string(), "managementListenAddress": management.to_string(),
            "certificate": cert, "privateKey": key, "httpPort": 80, "tlsPort": 443,
        }});
        let file = certificates.write("pebble.json", &configuration.to_string());
        let mut pebble = Command::new(program("pebble")?);
        pebble.args(["-config", &file, "-dnsserver", &dns.to_string()]);
        pebble.env_remove("PEBBLE_VA_ALWAYS_VALID").env("PEBBLE_VA_NOSLEEP", "1");
        let process = Process::spawn("pebble", &mut pebble, SpawnOptions::default())?;
        let mut started = Self { certificates, acme, management, process, _names: names };
        let (url, ca) = (started.url(), started.ca());
        started.process.wait_until(START, || get(&url, &ca))?;
        Ok(started)
    }

    /// URL for clients.
    pub fn url(&self) -> String {
        format!("https://{}/dir", self.acme)
    }

    /// Path of the certificate with which clients verify the authority's own server.
    pub fn ca(&self) -> String {
        self.certificates.path("ca.pem")
    }

    /// Path of the root of all certificates that it issues.
    pub fn root(&self) -> Result<String> {
        let root = get(&format!("https://{}/roots/0", self.management), &self.ca())?;
        Ok(self.certificates.write("root.pem", &root))
    }
}

fn get(url: &str, ca: &str) -> Result<String> {
    run_ok(Command::new("curl").args(["--silent", "--show-error", "--fail", "--cacert", ca, url]))
}

fn program(name: &str) -> Result<PathBuf> {
    let packages = PROGRAMS.map(|(_, package)| package).join(" ");
    tools::on_path(name).with_context(|| format!("no {name} on PATH: apt-get install {packages}"))
}

/// Builds an image of lego, and returns its name.
pub fn build_lego(docker: &Docker, images: &Images) -> Result<String> {
    let context = tempfile::tempdir().context("creating a directory for lego's image")?;
    let files = context.path().join("root");
    for name in ["lego", "sh", "sleep"] {
        let found = program(name)?;
        // On PATH, a directory may come first that is a link to the usual one.
        copy_program(&Path::new("/usr/bin").join(found.file_name().unwrap_or_default()), &files)?;
    }
    let dockerfile = context.path().join("Dockerfile");
    fs::write(&dockerfile, DOCKERFILE).with_context(|| format!("writing {}", dockerfile.display()))?;
    let name = images.name("lego");
    images::build(docker, &name, &dockerfile, context.path(), &[])?;
    Ok(name)
}
