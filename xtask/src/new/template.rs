//! The files of a new service: those in `template/`, with placeholders such as `__NAME__` replaced.

use super::change::Files;
use super::name::Name;

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

const STACK: &str = include_str!("template/stack.yml");
const STAGE: &str = include_str!("template/service/stage");

/// A placeholder, such as `RUNTIME`, and its value.
pub(crate) type Placeholder<'a> = (&'a str, &'a str);

/// The files of a service in the workspace, relative to `services/NAME`.
pub(crate) fn member(name: &Name) -> Files {
    filled(name, &[&SHARED[..], &MEMBER].concat(), &[])
}

/// The files of a separate repository.
pub(crate) fn repository(name: &Name, placeholders: &[Placeholder<'_>]) -> Files {
    let mut files = filled(name, &[&SHARED[..], &REPOSITORY].concat(), placeholders);
    files.push((format!("stacks/{name}.yml"), repository_stack(name)));
    files
}

/// The stage of a service in the workspace's Dockerfile.
pub(crate) fn stage(name: &Name) -> String {
    fill(name, STAGE, &[])
}

/// The stack file of a service in the workspace.
pub(crate) fn member_stack(name: &Name) -> String {
    let image = format!("${{SWARMLINGS_PREFIX:-swarmlings}}/{name}:${{SWARMLINGS_TAG:-latest}}");
    let placeholders = [("BUILD", "cargo xtask images"), ("IMAGE", &image), ("TAG", "SWARMLINGS_TAG")];
    fill(name, STACK, &placeholders)
}

/// The stack file in a separate repository.
fn repository_stack(name: &Name) -> String {
    let variable = format!("{}_IMAGE", name.variable());
    let image = format!("${{{variable}:-{name}:latest}}");
    let build = format!("docker build --tag {name} .");
    fill(name, STACK, &[("BUILD", &build), ("IMAGE", &image), ("TAG", &variable)])
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
        let stacks =
            [member_stack(&name), repository_stack(&name), stage(&name)].map(|text| (String::new(), text));
        for (path, text) in
            [member(&name), repository(&name, &PLACEHOLDERS)].into_iter().flatten().chain(stacks)
        {
            assert!(!text.contains("__"), "{path}: {text}");
            assert!(
                path == ".gitignore" || path == ".cargo/config.toml" || !text.contains("weather ="),
                "{path}"
            );
        }
        let stack = repository_stack(&name);
        assert!(stack.contains("    image: ${MY_WEATHER_IMAGE:-my-weather:latest}\n"), "{stack}");
        assert!(stack.contains("      MY_WEATHER_ENTRIES: hello=world,answer=42\n"), "{stack}");
    }
}
