//! Debian's Apache in an image with a sidecar. Its stop signal is WINCH, as in the official image.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::nginx::copy_program;
use crate::{Docker, Images, images, tools};

/// Name of the program, and of its Debian package.
pub const PROGRAM: (&str, &str) = ("apache2", "apache2-bin");

const MODULES: &str = "/usr/lib/apache2/modules";

const DOCKERFILE: &str = r#"ARG SIDECAR
FROM ${SIDECAR} AS sidecar
FROM scratch
COPY root/ /
COPY --from=sidecar /sidecar /sidecar
STOPSIGNAL SIGWINCH
ENTRYPOINT ["/sidecar", "run", "--", "/usr/sbin/apache2", "-f", "/apache.conf", "-D", "FOREGROUND"]
HEALTHCHECK --interval=2s --start-period=60s CMD ["/sidecar", "healthcheck"]
"#;

const CONFIGURATION: &str = "
ServerRoot /
ServerName localhost
PidFile /run/apache.pid
ErrorLog /dev/stderr
Listen 80
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
User daemon
Group daemon
DocumentRoot /www
ErrorDocument 404 \"apache\"
";

/// Builds the image and returns its name.
pub fn build(docker: &Docker, images: &Images) -> Result<String> {
    let context = tempfile::tempdir().context("creating a directory for Apache's image")?;
    let files = context.path().join("root");
    let program = tools::on_path(PROGRAM.0)
        .with_context(|| format!("apache2 not found on PATH: run `apt-get install {}`", PROGRAM.1))?;
    copy_program(&program, &files)?;
    for module in ["mod_mpm_event.so", "mod_authz_core.so"] {
        copy_program(&Path::new(MODULES).join(module), &files)?;
    }
    for directory in ["etc", "run", "tmp", "www"] {
        fs::create_dir_all(files.join(directory))?;
    }
    fs::write(files.join("apache.conf"), CONFIGURATION.replace("MODULES", MODULES))?;
    fs::write(files.join("www/index.txt"), "apache\n")?;
    fs::write(files.join("etc/passwd"), "root:x:0:0:root:/:/\ndaemon:x:1:1:daemon:/:/\n")?;
    fs::write(files.join("etc/group"), "root:x:0:\ndaemon:x:1:\n")?;
    let dockerfile = context.path().join("Dockerfile");
    fs::write(&dockerfile, DOCKERFILE).with_context(|| format!("writing {}", dockerfile.display()))?;
    let name = images.name("apache");
    let sidecar = format!("SIDECAR={}", images.name("sidecar"));
    images::build(docker, &name, &dockerfile, context.path(), &["--build-arg", &sidecar])?;
    Ok(name)
}
