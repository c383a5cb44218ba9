//! The name that hello greets, and the text of a greeting.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../services/hello/src/greeting.rs"]
mod greeting;
#[allow(dead_code)]
#[path = "../../services/hello/src/template.rs"]
mod template;

use template::Template;

fuzz_target!(|path: &str| {
    if let Ok(template) = path.parse::<Template>() {
        let filled = template.fill("", "");
        assert!(filled.ends_with('\n') && filled.len() <= path.len() + 1, "{filled:?}");
    }
    match greeting::greeting(&Template::default(), path, "host") {
        Ok(greeting) => {
            let name = greeting.strip_prefix("Hello, ").and_then(|rest| rest.strip_suffix("! (from host)\n"));
            let name = name.unwrap_or_else(|| panic!("{greeting:?}"));
            assert!(!name.is_empty() && !name.contains(char::is_control), "{name:?}");
            // An uppercase letter has up to three characters.
            assert!(name.chars().count() <= 3 * 128, "{name:?}");
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
});
