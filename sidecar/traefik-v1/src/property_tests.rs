use proptest::prelude::*;
use protocol::Labels;

use super::*;

/// Labels of which some are valid and many almost.
fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    let word = prop_oneof![
        Just("port"),
        Just("protocol"),
        Just("weight"),
        Just("backend"),
        Just("domain"),
        Just("frontend.rule"),
        Just("frontend.auth.basic"),
        Just("frontend.auth.basic.users"),
        Just("frontend.auth.forward.address"),
        Just("frontend.redirect.regex"),
        Just("frontend.redirect.replacement"),
        Just("frontend.redirect.entryPoint"),
        Just("frontend.errors.e.status"),
        Just("frontend.errors.e.backend"),
        Just("frontend.priority"),
        Just("frontend.headers.customRequestHeaders"),
        Just("frontend.headers.SSLRedirect"),
        Just("frontend.headers.SSLHost"),
        Just("frontend.headers.STSSeconds"),
        Just("frontend.whiteList.sourceRange"),
        Just("frontend.rateLimit.extractorFunc"),
        Just("frontend.rateLimit.rateSet.r.average"),
        Just("backend.healthcheck.path"),
        Just("backend.healthcheck.headers"),
        Just("backend.loadbalancer.stickiness"),
        Just("backend.maxconn.amount"),
        Just("backend.circuitbreaker.expression"),
        Just("frontned.rule"),
    ];
    let key = prop_oneof![
        3 => word.clone().prop_map(|word| format!("traefik.{word}")),
        2 => ("[a-c.é]{1,3}", word).prop_map(|(segment, word)| format!("traefik.{segment}.{word}")),
        1 => "traefik\\.[a-z.\\[\\]]{0,12}",
    ];
    let value = prop_oneof![
        Just("true".to_owned()),
        Just("80".to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just("a:b".to_owned()),
        Just("PathPrefixStrip: /a".to_owned()),
        Just("client.ip".to_owned()),
        Just("5s".to_owned()),
        "(Host|Path|PathPrefixStrip|Headers|ReplacePathRegex):[a-z/`$, {}:.]{0,12}",
        "\\PC{0,16}",
    ];
    prop::collection::vec((key, value), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rejected_translation_names_its_label(pairs in pairs(), service in "[a-z_.-]{0,8}") {
        let labels = Labels(pairs.into_iter().filter(|(key, _)| is_v1(key)).collect());
        let translation = translate(&service, &labels, None);
        let plan = read_config(&service, &labels, &Exposure::default());
        // A value may also be one that Traefik 3 cannot use.
        prop_assert!(plan.is_err() || translation.errors.is_empty(), "{:?}", plan);
        for diagnostic in translation.errors.iter().chain(&translation.warnings) {
            let is_there = diagnostic.label.split(", ").any(|label| labels.0.contains_key(label));
            prop_assert!(is_there || diagnostic.label.ends_with("frontend.rule"), "{}", diagnostic);
        }
        // The result contains no label of Traefik 1.
        prop_assert!(!translation.labels.0.keys().any(|key| is_v1(key)));
    }

    #[test]
    fn no_label_panics(key in "\\PC{0,32}", value in "\\PC{0,32}") {
        let labels = Labels([(key.clone(), value.clone()), (format!("traefik.{key}"), value)].into());
        translate("s", &labels, None);
    }
}
