//! An image of another project: Debian's nginx, with the paths of the official image.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::images::root;
use crate::process::run_ok;
use crate::{Docker, Images, images, tools};

/// Name of the program, and of its Debian package.
pub const PROGRAM: (&str, &str) = ("nginx", "nginx-light");

const DOCKERFILE: &str = r#"FROM scratch
COPY root/ /
ENV PATH=/usr/sbin
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
"#;

const CONFIGURATION: &str = r#"
user root;
error_log /dev/stderr;
events {}
http {
    access_log off;
    server {
        listen 80;
        add_header x-served-by $hostname;
        location / { default_type text/plain; return 200 "nginx on $hostname\n"; }
    }
}
"#;

/// Builds the image, and one with a sidecar from `stacks/nginx/Dockerfile`. Returns their names.
pub fn build(docker: &Docker, images: &Images) -> Result<[String; 2]> {
    let context = tempfile::tempdir().context("creating a directory for nginx's image")?;
    let files = context.path().join("root");
    create_root(&files)?;
    let dockerfile = context.path().join("Dockerfile");
    fs::write(&dockerfile, DOCKERFILE).with_context(|| format!("writing {}", dockerfile.display()))?;
    let plain = images.name("third-party");
    images::build(docker, &plain, &dockerfile, context.path(), &[])?;

    let wrapped = images.name("nginx");
    let directory = root().join("stacks/nginx");
    let arguments = [format!("SIDECAR={}", images.name("sidecar")), format!("IMAGE={plain}")];
    let flags: Vec<_> = arguments.iter().flat_map(|argument| ["--build-arg", argument]).collect();
    images::build(docker, &wrapped, &directory.join("Dockerfile"), &directory, &flags)?;
    Ok([plain, wrapped])
}

/// Creates a root file system with nginx in the directory `to`.
fn create_root(to: &Path) -> Result<()> {
    let program = tools::on_path(PROGRAM.0)
        .with_context(|| format!("nginx not found on PATH: run `apt-get install {}`", PROGRAM.1))?;
    copy_program(&program, to)?;
    for directory in ["etc/nginx", "run", "tmp", "var/lib/nginx", "var/log/nginx"] {
        fs::create_dir_all(to.join(directory))?;
    }
    fs::write(to.join("etc/nginx/nginx.conf"), CONFIGURATION)?;
    fs::write(to.join("etc/passwd"), "root:x:0:0:root:/:/\n")?;
    fs::write(to.join("etc/group"), "root:x:0:\n")?;
    Ok(())
}

/// Copies a program or module with its shared libraries and its loader to the root file system `root`.
pub(crate) fn copy_program(program: &Path, root: &Path) -> Result<()> {
    for file in iter::once(program.to_owned()).chain(libraries(program)?) {
        let to = root.join(file.strip_prefix("/").unwrap_or(&file));
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::copy(&file, &to).with_context(|| format!("copying {} to {}", file.display(), to.display()))?;
    }
    Ok(())
}

/// Returns the paths of a program's shared libraries and of its loader. The C library loads `libgcc_s.so.1` only when a
/// thread ends, and aborts without it: `ldd` names it because it is preloaded.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = run_ok(Command::new("ldd").arg(program).env("LD_PRELOAD", "libgcc_s.so.1"))?;
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}
