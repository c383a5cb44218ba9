//! The name that hello greets.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../services/hello/src/greeting.rs"]
mod greeting;

fuzz_target!(|path: &str| {
    match greeting::greeting(path, "host") {
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
