//! Traefik's `defaultRule`: a template of Go's for the rule of a router that no label describes. As much of its language
//! as rules are made of; whatever else there is in it is refused when the hub starts, and by name.

use std::str::FromStr;

use protocol::Labels;

mod template;

use template::{Argument, Block, Function};

/// The rule of a router that no label describes, made from the service's name and labels.
///
/// In the template are `.Name` and `.ServiceName`, the service's name, and its labels, `index .Labels "key"`; of functions
/// `normalize`, `lower`, `upper`, `trim`, `trimPrefix`, `trimSuffix`, `trimAll`, `replace` and `default`, as Traefik has
/// them; and `|`, parentheses, `if`, `else` and `end`. What Traefik has beside these, such as `.ContainerName`, is nothing
/// that the hub knows: tasks of one service have one rule.
#[derive(Clone, Debug)]
pub struct DefaultRule(Vec<Block>);

impl DefaultRule {
    /// The rule for `service`; empty if the template makes none for it.
    pub(crate) fn of(&self, service: &str, labels: &Labels) -> String {
        written(&self.0, service, labels)
    }
}

impl FromStr for DefaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        template::read(text).map(Self)
    }
}

fn written(blocks: &[Block], service: &str, labels: &Labels) -> String {
    let mut text = String::new();
    for block in blocks {
        match block {
            Block::Text(plain) => text.push_str(plain),
            Block::Value(argument) => text.push_str(&value(argument, service, labels)),
            Block::If { condition, then, otherwise } => {
                let is_so = !value(condition, service, labels).is_empty();
                text.push_str(&written(if is_so { then } else { otherwise }, service, labels));
            }
        }
    }
    text
}

fn value(argument: &Argument, service: &str, labels: &Labels) -> String {
    match argument {
        Argument::Text(text) => text.clone(),
        Argument::Name => service.to_owned(),
        Argument::Label(key) => labels.0.get(&value(key, service, labels)).cloned().unwrap_or_default(),
        Argument::Call(function, arguments) => {
            let arguments: Vec<_> =
                arguments.iter().map(|argument| value(argument, service, labels)).collect();
            called(*function, &arguments)
        }
    }
}

/// The last argument is the text that something is done to.
fn called(function: Function, arguments: &[String]) -> String {
    match (function, arguments) {
        (Function::Normalize, [text]) => {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join("-")
        }
        (Function::Lower, [text]) => text.to_lowercase(),
        (Function::Upper, [text]) => text.to_uppercase(),
        (Function::Trim, [text]) => text.trim().to_owned(),
        (Function::TrimPrefix, [prefix, text]) => {
            text.strip_prefix(prefix.as_str()).unwrap_or(text).to_owned()
        }
        (Function::TrimSuffix, [suffix, text]) => {
            text.strip_suffix(suffix.as_str()).unwrap_or(text).to_owned()
        }
        (Function::TrimAll, [letters, text]) => text.trim_matches(|c| letters.contains(c)).to_owned(),
        (Function::Replace, [old, new, text]) => text.replace(old.as_str(), new),
        (Function::Default, [fallback, text]) => (if text.is_empty() { fallback } else { text }).clone(),
        // Their number was counted when the template was read.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule for the service `/Demo_ping.2` with a label `host`, which is `a.lan`.
    fn rule(template: &str) -> String {
        let rule: DefaultRule = template.parse().unwrap_or_else(|error| panic!("{template}: {error}"));
        rule.of("/Demo_ping.2", &Labels([("host".to_owned(), "a.lan".to_owned())].into()))
    }

    #[test]
    fn templates_are_those_of_traefik() {
        for (template, expected) in [
            ("Host(`{{ normalize .Name }}.lan`)", "Host(`Demo-ping-2.lan`)"),
            ("Host(`{{.ServiceName}}`)", "Host(`/Demo_ping.2`)"),
            ("Host(`{{ trimPrefix `/` .Name }}`)", "Host(`Demo_ping.2`)"),
            (r#"{{ .Name | trimPrefix "/" | lower | replace "_" "-" }}"#, "demo-ping.2"),
            (r#"{{ trimSuffix ".2" (trimAll "/" .Name) | upper }}"#, "DEMO_PING"),
            (r#"Host(`{{ index .Labels "host" }}`)"#, "Host(`a.lan`)"),
            (r#"{{ "host" | index .Labels }}{{ .Labels.host }}{{ index .Labels "none" }}"#, "a.lana.lan"),
            (r#"{{ index .Labels "none" | default "b.lan" }}"#, "b.lan"),
            ("a {{- /* nothing */ -}} b{{ \" c \" | trim }}", "abc"),
            ("{{ `}}` }}{{ \"}}\" }}", "}}}}"),
            ("", ""),
        ] {
            assert_eq!(rule(template), expected, "{template}");
        }
    }

    #[test]
    fn a_condition_holds_for_what_is_not_empty() {
        let template = r#"{{ if index .Labels "none" }}1{{ else if .Labels.host }}{{ if "" }}2{{ else }}3{{ end }}4{{ else }}5{{ end }}6"#;
        assert_eq!(rule(template), "346");
        assert_eq!(rule("{{ if .Labels.none -}} 1 {{- end }}2"), "2");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (template, error) in [
            ("{{ .Name", "\"{{ .Name\": it has no `}}`"),
            (
                "{{ .ContainerName }}",
                "{{ .ContainerName }}: the hub knows services, not containers: use .Name",
            ),
            ("{{ .Foo }}", "{{ .Foo }}: .Foo is not known: there are .Name, .ServiceName and .Labels"),
            ("{{ .Labels }}", "{{ .Labels }}: labels are all of them: use index .Labels \"key\""),
            ("{{ title .Name }}", "{{ title .Name }}: \"title\" is not known: there are normalize, lower,"),
            ("{{ replace \"a\" .Name }}", "{{ replace \"a\" .Name }}: replace takes 3 arguments, not 2"),
            ("{{ lower }}", "{{ lower }}: lower takes 1 argument, not 0"),
            ("{{ .Name \"a\" }}", "{{ .Name \"a\" }}: .Name takes no arguments"),
            ("{{ (.Name }}", "{{ (.Name }}: a parenthesis is not closed"),
            ("{{ .Name) }}", "{{ .Name) }}: \")\" is not expected here"),
            ("{{ .Name | \"a\" }}", "{{ .Name | \"a\" }}: after `|` comes a function"),
            ("{{ }}", "{{ }}: it is empty"),
            ("{{ \"a }}", "{{ \"a }}: \"a: it has no second quotation mark"),
            ("{{ $x := .Name }}", "{{ $x := .Name }}: \"$x := .Name\" is not understood"),
            ("{{ if .Name }}a", "\"{{ if .Name }}\" has no `{{ end }}`"),
            ("a{{ end }}", "{{ end }}: there is no `if` before it"),
            ("a{{ else }}", "{{ else }}: there is no `if` before it"),
            ("{{ if .Name }}{{ else }}{{ else }}{{ end }}", "{{ else }}: there is no `if` before it"),
            ("{{ range .Labels }}{{ end }}", "{{ range .Labels }}: \"range\" is not known"),
        ] {
            let found = template.parse::<DefaultRule>().unwrap_err();
            assert!(found.starts_with(error), "{template}: {found}");
        }
        for deep in ["{{ if .Name }}".repeat(5_000), format!("{{{{ {} }}}}", "(".repeat(5_000))] {
            assert!(deep.parse::<DefaultRule>().unwrap_err().contains("within each other"));
        }
    }
}
