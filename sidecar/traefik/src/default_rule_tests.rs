use super::*;

/// Evaluates `template` for the service `/Demo_ping.2` with the label `host=a.lan`.
fn rule(template: &str) -> String {
    let rule: DefaultRule = template.parse().unwrap_or_else(|error| panic!("{template}: {error}"));
    rule.evaluate("/Demo_ping.2", &Labels([("host".to_owned(), "a.lan".to_owned())].into()))
}

#[test]
fn values_and_functions_follow_traefik() {
    for (template, expected) in [
        ("Host(`{{ normalize .Name }}.lan`)", "Host(`Demo-ping-2.lan`)"),
        ("Host(`{{.ServiceName}}`)", "Host(`Demo-ping-2`)"),
        ("Host(`{{ trimPrefix `Demo-` .Name }}`)", "Host(`ping-2`)"),
        ("{{ normalize `/a_b.c/` }}", "a-b-c"),
        (r#"{{ .Name | trimPrefix "D" | lower | replace "-" "." }}"#, "emo.ping.2"),
        (r#"{{ trimSuffix "-2" (trimAll "D" .Name) | upper }}"#, "EMO-PING"),
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
fn condition_is_true_if_the_value_is_not_empty() {
    let template = r#"{{ if index .Labels "none" }}1{{ else if .Labels.host }}{{ if "" }}2{{ else }}3{{ end }}4{{ else }}5{{ end }}6"#;
    assert_eq!(rule(template), "346");
    assert_eq!(rule("{{ if .Labels.none -}} 1 {{- end }}2"), "2");
}

#[test]
fn unsupported_syntax_is_named() {
    for (template, error) in [
        ("{{ .Name", "\"{{ .Name\" has no closing `}}`"),
        ("{{ .ContainerName }}", "{{ .ContainerName }}: the hub routes services, not containers; use .Name"),
        ("{{ .Foo }}", "{{ .Foo }}: unknown value .Foo; known are .Name, .ServiceName and .Labels"),
        ("{{ .Labels }}", "{{ .Labels }}: .Labels needs a key; use index .Labels \"key\""),
        ("{{ title .Name }}", "{{ title .Name }}: unknown function \"title\"; known are normalize, lower,"),
        ("{{ replace \"a\" .Name }}", "{{ replace \"a\" .Name }}: replace takes 3 arguments, got 2"),
        ("{{ lower }}", "{{ lower }}: lower takes 1 argument, got 0"),
        ("{{ .Name \"a\" }}", "{{ .Name \"a\" }}: only a function takes arguments"),
        ("{{ (.Name }}", "{{ (.Name }}: expected `)`, but the text ends"),
        ("{{ .Name) }}", "{{ .Name) }}: unexpected \")\""),
        ("{{ .Name | \"a\" }}", "{{ .Name | \"a\" }}: expected a function after `|`"),
        ("{{ }}", "{{ }}: empty action"),
        ("{{ \"a }}", "{{ \"a }}: unterminated string \"a"),
        ("{{ $x := .Name }}", "{{ $x := .Name }}: unsupported syntax at \"$x := .Name\""),
        ("{{ if .Name }}a", "\"{{ if .Name }}\" has no `{{ end }}`"),
        ("a{{ end }}", "{{ end }}: no matching `if`"),
        ("a{{ else }}", "{{ else }}: no matching `if`"),
        ("{{ if .Name }}{{ else }}{{ else }}{{ end }}", "{{ else }}: no matching `if`"),
        ("{{ range .Labels }}{{ end }}", "{{ range .Labels }}: unknown function \"range\""),
    ] {
        let found = template.parse::<DefaultRule>().unwrap_err();
        assert!(found.starts_with(error), "{template}: {found}");
    }
    for deep in ["{{ if .Name }}".repeat(5_000), format!("{{{{ {} }}}}", "(".repeat(5_000))] {
        assert!(deep.parse::<DefaultRule>().unwrap_err().contains("nested"));
    }
}
