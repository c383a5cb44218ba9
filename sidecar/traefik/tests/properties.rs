//! Properties of all labels.

use std::ops::Range;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use protocol::Labels;
use serde_json::Value;
use traefik::{Backend, Constraints, DefaultRule, Draft, Exposure, ServiceConfig, parse_labels};

use to_labels::to_labels;

#[path = "support/examples.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod examples;
#[path = "support/to_labels.rs"]
mod to_labels;

/// Paths and types of all options.
static FIELDS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("../src/fields.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
});

/// Arbitrary characters.
fn odd(count: Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), count).prop_map(String::from_iter)
}

/// A label of a known option, with names and values that may conflict.
fn label() -> impl Strategy<Value = (String, String)> {
    let name =
        || prop_oneof![4 => "[a-cA-C]", 1 => "[a-c]@docker", 1 => odd(1..6), 1 => "[\\]x\u{7f}é-]{1,3}"];
    let item = prop_oneof![3 => "[a-c/]{0,2}", 1 => "[a-c]@swarm", 1 => odd(0..3)];
    let items = prop::collection::vec(item, 0..3);
    let value = (any::<bool>(), any::<i16>(), items, odd(0..8), 0..30_u8);
    let style = (0..4_u8, any::<bool>(), any::<bool>());
    let field = select(FIELDS.as_slice()).prop_filter("refused", |(path, _)| !examples::is_refused(path));
    (field, name(), name(), style, value).prop_map(
        |((field, kind), first, second, (index, by_index, shouts), value)| {
            let path = field.replacen('*', &first, 1).replace(".**", &format!(".{second}.x"));
            let mut path = path.replace('*', &second).replace(".[n]", &format!("[{index}]"));
            if matches!(kind, "list" | "names") && by_index {
                path = format!("{path}[{index}]");
            }
            if shouts {
                path = path.to_uppercase();
            }
            let is_item = path.ends_with(']');
            let value = match examples::value(field) {
                Some(example) if value.4 > 1 && !is_item => example.to_owned(),
                _ if field.rsplit('.').next() == Some("rule") && value.4 > 0 => {
                    format!("Path(`/{}`)", text(kind, value).replace(['`', '\0', '\u{feff}'], ""))
                }
                _ => text(kind, value),
            };
            (format!("traefik.{path}"), value)
        },
    )
}

fn text(kind: &str, (truth, number, items, any, luck): (bool, i16, Vec<String>, String, u8)) -> String {
    match kind {
        _ if luck == 0 => any,
        "bool" | "switch" => truth.to_string(),
        // Most options accept no negative number.
        "int" if luck > 3 => number.unsigned_abs().to_string(),
        "duration" if luck > 3 => format!("{}ms", number.unsigned_abs()),
        "int" => number.to_string(),
        "duration" => format!("{number}ms"),
        "list" | "names" => items.join(","),
        _ => items.concat(),
    }
}

/// Several labels, of which a few are unknown.
fn labels() -> impl Strategy<Value = Labels> {
    let part = prop_oneof![
        select(vec!["traefik", ".", "[", "]", "http", "routers", "0"]).prop_map(str::to_owned),
        odd(0..2)
    ];
    let key = prop::collection::vec(part, 0..8).prop_map(|parts| format!("traefik.{}", parts.concat()));
    let unknown = (key, odd(0..8));
    let label = prop_oneof![60 => label(), 1 => unknown];
    prop::collection::btree_map(any::<u8>(), label, 0..12)
        .prop_map(|labels| Labels(labels.into_values().collect()))
}

/// Text from these words, and some other characters.
fn of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let part = prop_oneof![8 => select(words).prop_map(str::to_owned), 1 => odd(0..2)];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn proptest_config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

/// Traefik rejects a document that contains an empty map.
fn has_no_empty_map(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty() && fields.values().all(has_no_empty_map),
        Value::Array(items) => items.iter().all(has_no_empty_map),
        _ => true,
    }
}

/// The document of a service with one instance.
fn json(config: &ServiceConfig) -> String {
    let published = std::collections::BTreeMap::new();
    let port = std::num::NonZeroU16::MIN;
    let backend = Backend { address: [10, 0, 0, 1].into(), port, published: &published, config };
    let mut draft = Draft::default();
    draft.add(config, &[backend]);
    draft.finish().to_json()
}

#[test]
fn enough_generated_labels_are_valid() {
    let mut runner = TestRunner::deterministic();
    let read = (0..256).filter(|_| {
        let labels = labels().new_tree(&mut runner).expect("labels are generated").current();
        parse_labels(&labels).is_ok_and(|tree| !tree.is_empty())
    });
    let count = read.count();
    assert!(count > 64, "{count} of 256");
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn written_labels_parse_to_the_same_tree(labels in labels()) {
        if let Ok(tree) = parse_labels(&labels) {
            let written = to_labels(&tree);
            prop_assert_eq!(parse_labels(&written), Ok(tree.clone()), "{:?}", written);
            prop_assert!(tree.is_empty() || has_no_empty_map(&Value::Object(tree)));
        }
    }

    #[test]
    fn written_labels_give_the_same_config(labels in labels()) {
        if let (Ok(tree), Ok(config)) = (parse_labels(&labels), ServiceConfig::read("s", &labels, &Exposure::default())) {
            let again = ServiceConfig::read("s", &to_labels(&tree), &Exposure::default());
            prop_assert_eq!(again.map(|config| json(&config)), Ok(json(&config)));
        }
    }

    #[test]
    fn document_has_no_empty_maps_and_no_invalid_characters(labels in labels()) {
        if let Ok(config) = ServiceConfig::read("s", &labels, &Exposure::default()) {
            let json = json(&config);
            let value: Value = serde_json::from_str(&json).unwrap();
            prop_assert!(json == "{}" || has_no_empty_map(&value), "{}", json);
            prop_assert!(!json.contains(|letter| matches!(letter, '\u{7f}'..='\u{9f}' | '\u{feff}')), "{}", json);
        }
    }

    #[test]
    fn any_template_and_any_expression_is_parsed_or_rejected(
        template in of(&["{{", "}}", "-", " ", "if", "else", "end", ".Name", ".Labels", "index", "lower", "|", "(", ")", "\"", "`"]),
        expression in of(&["Label", "LabelRegex", "(", ")", ",", "&&", "||", "!", "\"", "`", "a", " ", "\\"]),
    ) {
        let default_rule = template.parse::<DefaultRule>().ok();
        let constraints = expression.parse::<Constraints>().ok();
        let exposure = Exposure { by_default: true, constraints, default_rule };
        drop(ServiceConfig::read("s", &Labels::default(), &exposure));
    }
}
