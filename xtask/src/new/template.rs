//! What a new service is made of: the files in `template/`, with names for the words in them that stand between `__`.

use super::change::Files;
use super::name::Name;

/// A service's files of which those of the workspace and those of its own repository have the same.
const SHARED: [(&str, &str); 5] = [
    ("src/main.rs", include_str!("template/service/main.rs")),
    ("src/answers.rs", include_str!("template/service/answers.rs")),
    ("tests/it/main.rs", include_str!("template/service/tests/main.rs")),
    ("tests/it/process.rs", include_str!("template/service/tests/process.rs")),
    ("tests/it/service.rs", include_str!("template/service/tests/service.rs")),
];

const MEMBER: [(&str, &str); 2] = [
    ("Cargo.toml", include_str!("template/service/Cargo.toml")),
    ("README.md", include_str!("template/service/README.md")),
];

const OWN: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("template/own/Cargo.toml")),
    ("README.md", include_str!("template/own/README.md")),
    ("Dockerfile", include_str!("template/own/Dockerfile")),
    (".gitignore", include_str!("template/own/gitignore")),
    (".cargo/config.toml", include_str!("template/own/cargo-config.toml")),
];

const STACK: &str = include_str!("template/stack.yml");
const STAGE: &str = include_str!("template/service/stage");

/// A word of the template, such as `RUNTIME`, and what stands for it.
pub(crate) type Word<'a> = (&'a str, &'a str);

/// The files in `services/NAME`.
pub(crate) fn member(name: &Name) -> Files {
    filled(name, &[&SHARED[..], &MEMBER].concat(), &[])
}

/// The files of a repository of its own.
pub(crate) fn own(name: &Name, words: &[Word<'_>]) -> Files {
    let mut files = filled(name, &[&SHARED[..], &OWN].concat(), words);
    files.push((format!("stacks/{name}.yml"), own_stack(name)));
    files
}

/// The Dockerfile's stage of a service in the workspace.
pub(crate) fn stage(name: &Name) -> String {
    fill(name, STAGE, &[])
}

/// The stack file of a service in the workspace.
pub(crate) fn member_stack(name: &Name) -> String {
    let image = format!("${{SWARMLINGS_PREFIX:-swarmlings}}/{name}:${{SWARMLINGS_TAG:-latest}}");
    let words = [("BUILD", "cargo xtask images"), ("IMAGE", &image), ("TAG", "SWARMLINGS_TAG")];
    fill(name, STACK, &words)
}

/// The stack file of a service in a repository of its own.
fn own_stack(name: &Name) -> String {
    let variable = format!("{}_IMAGE", name.variable());
    let image = format!("${{{variable}:-{name}:latest}}");
    let build = format!("docker build --tag {name} .");
    fill(name, STACK, &[("BUILD", &build), ("IMAGE", &image), ("TAG", &variable)])
}

fn filled(name: &Name, templates: &[(&str, &str)], words: &[Word<'_>]) -> Files {
    templates.iter().map(|(path, text)| ((*path).to_owned(), fill(name, text, words))).collect()
}

fn fill(name: &Name, text: &str, words: &[Word<'_>]) -> String {
    let mut text = text.to_owned();
    for (word, value) in words {
        text = text.replace(&format!("__{word}__"), value);
    }
    text.replace("__VARIABLE__", &name.variable()).replace("__NAME__", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [Word<'_>; 4] =
        [("RUNTIME", "{}"), ("RUST", "1.0"), ("CLAP", "clap = {}"), ("RUSTIX", "rustix = {}")];

    #[test]
    fn no_word_of_the_template_is_left() {
        let name = "my-weather".parse().unwrap();
        let stacks = [member_stack(&name), own_stack(&name), stage(&name)].map(|text| (String::new(), text));
        for (path, text) in [member(&name), own(&name, &WORDS)].into_iter().flatten().chain(stacks) {
            assert!(!text.contains("__"), "{path}: {text}");
            assert!(
                path == ".gitignore" || path == ".cargo/config.toml" || !text.contains("weather ="),
                "{path}"
            );
        }
        let stack = own_stack(&name);
        assert!(stack.contains("    image: ${MY_WEATHER_IMAGE:-my-weather:latest}\n"), "{stack}");
        assert!(stack.contains("      MY_WEATHER_ENTRIES: hello=world,answer=42\n"), "{stack}");
    }
}
