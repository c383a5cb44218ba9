//! The files of a new service: those in `template/`, with placeholders such as `__NAME__` replaced.

use super::change::Files;
use super::name::Name;
use crate::images::Names;

/// Files of every service.
const SHARED: [(&str, &str); 4] = [
    ("src/main.rs", include_str!("template/service/main.rs")),
    ("src/answers.rs", include_str!("template/service/answers.rs")),
    ("tests/it/main.rs", include_str!("template/service/tests/main.rs")),
    ("tests/it/process.rs", include_str!("template/service/tests/process.rs")),
];

/// Files of a service in the workspace.
const MEMBER: [(&str, &str); 2] = [
    ("Cargo.toml", include_str!("template/service/Cargo.toml")),
    ("README.md", include_str!("template/service/README.md")),
];

/// Files of a separate repository.
const REPOSITORY: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("template/repository/Cargo.toml")),
    ("README.md", include_str!("template/repository/README.md")),
    ("Dockerfile", include_str!("template/repository/Dockerfile")),
    (".gitignore", include_str!("template/repository/gitignore")),
    (".cargo/config.toml", include_str!("template/repository/cargo-config.toml")),
];

/// Version of the images that this checkout builds.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const STACK: &str = include_str!("template/stack.yml");
const STAGE: &str = include_str!("template/service/stage");

/// A placeholder, such as `RUNTIME`, and its value.
pub(crate) type Placeholder<'a> = (&'a str, &'a str);

/// The files of a service in the workspace, relative to `services/NAME`.
pub(crate) fn member(name: &Name) -> Files {
    filled(name, &[&SHARED[..], &MEMBER].concat(), &[])
}

/// The files of a separate repository.
pub(crate) fn repository(name: &Name, images: &Names, placeholders: &[Placeholder<'_>]) -> Files {
    let sidecar = images.name("sidecar");
    let placeholders = [&[("SIDECAR", &*sidecar)], placeholders].concat();
    let mut files = filled(name, &[&SHARED[..], &REPOSITORY].concat(), &placeholders);
    files.push((format!("stacks/{name}.yml"), repository_stack(name, images)));
    files
}

/// The stage of a service in the workspace's Dockerfile.
pub(crate) fn stage(name: &Name) -> String {
    fill(name, STAGE, &[])
}

/// The stack file of a service in the workspace.
pub(crate) fn member_stack(name: &Name) -> String {
    let image = format!("${{SWARMLINGS_PREFIX:-swarmlings}}/{name}:${{SWARMLINGS_TAG:-{VERSION}}}");
    let hub = format!("swarmlings/hub:{VERSION}");
    let placeholders =
        [("BUILD", "cargo xtask images"), ("IMAGE", &image), ("HUB", &hub), ("TAG", "SWARMLINGS_TAG")];
    fill(name, STACK, &placeholders)
}

/// The stack file in a separate repository.
fn repository_stack(name: &Name, images: &Names) -> String {
    let variable = format!("{}_IMAGE", name.variable());
    let image = format!("${{{variable}:-{name}:0.1.0}}");
    let build = format!("docker build --tag {name}:0.1.0 .");
    let hub = images.name("hub");
    fill(name, STACK, &[("BUILD", &build), ("IMAGE", &image), ("HUB", &hub), ("TAG", &variable)])
}

fn filled(name: &Name, templates: &[(&str, &str)], placeholders: &[Placeholder<'_>]) -> Files {
    templates.iter().map(|(path, text)| ((*path).to_owned(), fill(name, text, placeholders))).collect()
}

fn fill(name: &Name, text: &str, placeholders: &[Placeholder<'_>]) -> String {
    let mut text = text.to_owned();
    for (placeholder, value) in placeholders {
        text = text.replace(&format!("__{placeholder}__"), value);
    }
    text.replace("__VARIABLE__", &name.variable()).replace("__NAME__", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEHOLDERS: [Placeholder<'_>; 4] =
        [("RUNTIME", "{}"), ("RUST", "1.0"), ("CLAP", "clap = {}"), ("RUSTIX", "rustix = {}")];

    #[test]
    fn all_placeholders_are_replaced() {
        let name = "my-weather".parse().unwrap();
        let images = Names { prefix: "registry.lan/s".to_owned(), tag: "1.2.3".to_owned() };
        let files = repository(&name, &images, &PLACEHOLDERS);
        assert!(files.iter().any(|(_, text)| text.contains("ARG SIDECAR=registry.lan/s/sidecar:1.2.3\n")));
        let stacks = [member_stack(&name), stage(&name)].map(|text| (String::new(), text));
        for (path, text) in [member(&name), files].into_iter().flatten().chain(stacks) {
            assert!(!text.contains("__"), "{path}: {text}");
            assert!(
                path == ".gitignore" || path == ".cargo/config.toml" || !text.contains("weather ="),
                "{path}"
            );
        }
        let stack = repository_stack(&name, &images);
        assert!(stack.contains("    image: ${MY_WEATHER_IMAGE:-my-weather:0.1.0}\n"), "{stack}");
        assert!(stack.contains("      MY_WEATHER_ENTRIES: hello=world,answer=42\n"), "{stack}");
    }
}
