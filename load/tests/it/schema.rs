use serde_json::Value;

use crate::run::run;
use crate::server::{Action, TestServer};

/// Errors of a value against a part of the schema. Objects may have no other fields than those of the schema.
fn errors(value: &Value, schema: &Value, root: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).unwrap();
        return errors(value, definition, root, path, found);
    }
    if let Some(alternatives) = ["anyOf", "oneOf"].iter().find_map(|keyword| schema[keyword].as_array()) {
        let fits = |schema: &Value| {
            let mut found = Vec::new();
            errors(value, schema, root, path, &mut found);
            found.is_empty()
        };
        if !alternatives.iter().any(fits) {
            found.push(format!("{path}: no alternative fits {value}"));
        }
        return;
    }
    if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
        found.push(format!("{path}: {value} is not {constant}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kinds => kinds.as_str().into_iter().collect::<Vec<_>>(),
    };
    if !allowed.is_empty() && !allowed.contains(&kind) {
        found.push(format!("{path}: {value} is not of the types {allowed:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        errors(item, &schema["items"], root, &format!("{path}/{index}"), found);
    }
    let properties = &schema["properties"];
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            found.push(format!("{path}: {name} is missing"));
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        match (properties.get(name), schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema)) => errors(field, schema, root, &path, found),
            (None, None) => found.push(format!("{path} is not in the schema")),
        }
        let names = &schema["propertyNames"];
        if names.is_object() {
            errors(&Value::from(name.as_str()), names, root, &path, found);
        }
    }
}

#[test]
fn json_report_has_the_published_schema() {
    let schema = include_str!("../../../docs/load-report.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    // One instance replaces another, and there are failures and an outage.
    let server = TestServer::start(|number| match number {
        0..60 => Action::Respond(200, "a"),
        60..90 => Action::Respond(503, "a"),
        90..100 => Action::Close,
        _ => Action::Respond(200, "b"),
    });
    let args = ["--rate", "100", "--duration", "2s", "--gap", "200ms", "--max-failed", "0"];
    for args in [&args[..], &["--requests", "100"]] {
        let output = run(&[&[&server.url(), "--json", "-", "--quiet"], args].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut found = Vec::new();
        errors(&report, &schema, &schema, "", &mut found);
        assert_eq!(found, [""; 0]);
        assert!(args.len() < 3 || report["handovers"].as_array().is_some_and(|list| !list.is_empty()));
    }
    let mut found = Vec::new();
    errors(&serde_json::json!({"version": 1, "more": 2}), &schema, &schema, "", &mut found);
    assert!(found.len() > 10 && found.contains(&"/version: 1 is not 2".to_owned()), "{found:?}");
}
