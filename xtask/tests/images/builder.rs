use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Docker, tools};

use crate::stage::{root, run};

/// Debian packages of a shell, and of a C compiler that links build scripts.
const PACKAGES: [&str; 4] = ["coreutils", "dash", "gcc", "libc6-dev"];

/// Cargo's directory in the image. It differs from this machine's, to show that paths do not matter.
const CARGO_HOME: &str = "/cargo";

/// Creates a replacement for the Dockerfile's BUILDER from this machine's packages, toolchain and crates, so that the
/// build downloads nothing.
pub(crate) fn import(docker: &Docker, name: &str) {
    let (toolchain, registry, auditable) = (sysroot(), cargo_home().join("registry"), auditable());
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), files_of_packages().join("\n")).unwrap();

    let mut tar = Command::new("tar");
    tar.args(["--create", "--directory=/", "--no-recursion", "--verbatim-files-from"]);
    tar.arg(format!("--files-from={}", list.path().display()));
    tar.arg(format!(
        "--transform=s,^{},{},",
        inside(&registry).display(),
        &format!("{CARGO_HOME}/registry")[1..]
    ));
    // The documentation is half of the toolchain's size.
    tar.args(["--recursion", "--exclude=share/doc"])
        .args([&toolchain, &registry, &auditable].map(|path| inside(path)));
    let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();

    let path = [toolchain.join("bin"), auditable.parent().unwrap().into(), "/usr/bin".into(), "/bin".into()];
    let path = env::join_paths(path).unwrap().into_string().unwrap();
    // On Debian `cc` belongs to no package: it is a link that the administrator sets.
    let linker = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_LINKER=gcc", env::consts::ARCH.to_uppercase());
    let settings =
        [&format!("PATH={path}"), &format!("CARGO_HOME={CARGO_HOME}"), "CARGO_NET_OFFLINE=true", &linker];
    let changes = settings.iter().flat_map(|setting| ["--change".to_owned(), format!("ENV {setting}")]);
    let mut import = docker.command(&["import"]);
    run(import.args(changes).args(["-", name]).stdin(tar.stdout.take().unwrap()));
    assert!(tar.wait().unwrap().success());
}

/// All files of [`PACKAGES`] and of their dependencies, relative to the root directory.
fn files_of_packages() -> Vec<String> {
    let flags = ["depends", "--recurse", "--installed", "--important", "--no-suggests"];
    let output = run(Command::new("apt-cache").args(flags).args(PACKAGES));
    // Packages are at the beginning of a line; virtual packages are in brackets.
    let packages: BTreeSet<_> =
        output.lines().filter(|line| line.starts_with(char::is_alphanumeric)).collect();
    let output = run(Command::new("dpkg-query").arg("--listfiles").args(packages));
    let files: BTreeSet<_> = output.lines().filter_map(|line| line.strip_prefix('/')).collect();
    // Links to directories, such as /bin, become directories, which contain the files listed under the link.
    let is_included = |file: &&str| {
        let path = Path::new("/").join(file);
        path.symlink_metadata().is_ok_and(|meta| !meta.is_symlink() || !path.is_dir())
    };
    files
        .into_iter()
        .filter(|file| !file.starts_with("usr/share/"))
        .filter(is_included)
        .map(str::to_owned)
        .collect()
}

fn sysroot() -> PathBuf {
    run(Command::new("rustc").args(["--print", "sysroot"]).current_dir(root())).trim().into()
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(|| env::home_dir().unwrap().join(".cargo"), PathBuf::from)
}

/// The cargo-auditable that `cargo xtask` installed, or the one on PATH.
fn auditable() -> PathBuf {
    let tools = harness::binaries::target_directory().unwrap().join("tools");
    let own = fs::read_dir(tools).into_iter().flatten().flatten();
    let mut own = own.map(|entry| entry.path().join("bin/cargo-auditable")).filter(|path| path.is_file());
    own.next()
        .or_else(|| tools::on_path("cargo-auditable"))
        .expect("building the programs installs cargo-auditable")
}

/// `path` relative to the root directory.
fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap()
}
