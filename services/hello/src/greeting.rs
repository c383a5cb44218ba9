//! The greeting and its name.

use std::fmt;

use parse::percent_decode;

use crate::template::Template;

/// Default name, for paths that end with a slash.
const WORLD: &str = "World";

/// Maximum length of a name in characters.
const MAX_LENGTH: usize = 128;

/// Error in the name of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameError {
    /// The name is not valid UTF-8 from this byte offset.
    NotUtf8 { byte: usize },
    /// The name contains this character, which could change the state of a terminal or the order in which text is shown.
    Control(char),
    /// The name has this number of characters.
    TooLong(usize),
}

/// Returns the greeting for `path` from `host`.
pub(crate) fn greeting(template: &Template, path: &str, host: &str) -> Result<String, NameError> {
    Ok(template.fill(&name(path)?, host))
}

/// Returns the last segment of `path`, decoded and capitalized.
fn name(path: &str) -> Result<String, NameError> {
    let segment = path.rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode(segment);
    let name = str::from_utf8(&decoded).map_err(|error| NameError::NotUtf8 { byte: error.valid_up_to() })?;
    if let Some(control) = name.chars().find(|&c| c.is_control() || is_bidi_control(c)) {
        return Err(NameError::Control(control));
    }
    match name.chars().count() {
        0 => Ok(WORLD.to_owned()),
        1..=MAX_LENGTH => Ok(capitalized(name)),
        length => Err(NameError::TooLong(length)),
    }
}

/// Whether a character changes the direction of the text around it: Unicode's property `Bidi_Control`.
const fn is_bidi_control(letter: char) -> bool {
    matches!(letter, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Converts the first letter to title case and the rest to lower case.
fn capitalized(name: &str) -> String {
    let Some(first) = name.chars().next() else { return String::new() };
    // The lower case of some letters, such as the Greek sigma, depends on their neighbours: convert the whole name.
    let lower = name.to_lowercase();
    let rest = first.to_lowercase().map(char::len_utf8).sum();
    title(first) + &lower[rest..]
}

/// Returns the form of a letter at the start of a word, which may differ from its upper case.
fn title(letter: char) -> String {
    match letter {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".to_owned(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".to_owned(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".to_owned(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".to_owned(),
        // Georgian uses capitals only in words that consist of capitals.
        'ა'..='ჿ' => letter.to_string(),
        // If the upper case has several letters, only the first stays upper case: `ß` becomes `Ss`.
        _ => {
            let mut title = String::new();
            for upper in letter.to_uppercase() {
                if title.contains(char::is_uppercase) {
                    title.extend(upper.to_lowercase());
                } else {
                    title.push(upper);
                }
            }
            title
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { byte } => write!(f, "invalid UTF-8 in the name at byte {byte}"),
            Self::Control(control) => {
                write!(f, "control character U+{:04X} in the name", u32::from(*control))
            }
            Self::TooLong(length) => {
                write!(f, "name too long: {length} characters, the maximum is {MAX_LENGTH}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeted(path: &str) -> String {
        name(path).unwrap()
    }

    #[test]
    fn greeting_contains_name_and_host() {
        let greeting = |path| greeting(&Template::default(), path, "hello-1").unwrap();
        assert_eq!(greeting("/viktor"), "Hello, Viktor! (from hello-1)\n");
        assert_eq!(greeting("/"), "Hello, World! (from hello-1)\n");
    }

    #[test]
    fn name_is_the_last_segment() {
        assert_eq!(greeted("/viktor"), "Viktor");
        assert_eq!(greeted("/hello/viktor"), "Viktor");
        assert_eq!(greeted("/hello/VIKTOR"), "Viktor");
    }

    #[test]
    fn default_name_is_world() {
        for path in ["", "/", "/viktor/", "//"] {
            assert_eq!(greeted(path), "World", "{path:?}");
        }
    }

    #[test]
    fn percent_encoding_is_decoded_once_after_the_path_is_split() {
        assert_eq!(greeted("/J%C3%BCrgen"), "Jürgen");
        assert_eq!(greeted("/%c3%89MILE"), "Émile");
        assert_eq!(greeted("/a%2Fb"), "A/b");
        assert_eq!(greeted("/%2541"), "%41");
        assert_eq!(greeted("/100%"), "100%", "an incomplete escape is literal");
        assert_eq!(greeted("/a+b%20c"), "A+b c");
    }

    #[test]
    fn capitalization_follows_the_script() {
        for (name, expected) in [
            ("élodie", "Élodie"),
            ("ÖZGÜR", "Özgür"),
            ("ßa", "Ssa"),
            ("ŉa", "ʼNa"),
            ("ﬁona", "Fiona"),
            ("İPEK", "İpek"),
            ("aİ", "Ai\u{307}"),
            ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
            ("ΑΣ", "Ας"),
            ("ǆemal", "ǅemal"),
            ("ნინო", "ნინო"),
            ("жанна", "Жанна"),
            ("𐐨𐐀", "𐐀𐐨"),
            ("李", "李"),
            ("1a", "1a"),
            ("👋HI", "👋hi"),
            ("mary ann", "Mary ann"),
        ] {
            assert_eq!(capitalized(name), expected, "{name}");
        }
    }

    #[test]
    fn invalid_utf8_is_rejected_with_its_offset() {
        assert_eq!(name("/ab%FFcd"), Err(NameError::NotUtf8 { byte: 2 }));
        assert_eq!(name("/%C3"), Err(NameError::NotUtf8 { byte: 0 }));
        assert_eq!(name("/%ED%A0%80"), Err(NameError::NotUtf8 { byte: 0 }), "a lone surrogate");
    }

    #[test]
    fn control_characters_are_rejected() {
        assert_eq!(name("/a%0Ab"), Err(NameError::Control('\n')));
        assert_eq!(name("/%00"), Err(NameError::Control('\0')));
        assert_eq!(name("/%7F"), Err(NameError::Control('\u{7F}')));
        assert_eq!(name("/%C2%85"), Err(NameError::Control('\u{85}')));
        assert_eq!(NameError::Control('\n').to_string(), "control character U+000A in the name");
    }

    #[test]
    fn bidirectional_control_characters_are_rejected() {
        let controls = ['\u{61C}', '\u{200E}', '\u{200F}'].into_iter();
        let controls = controls.chain('\u{202A}'..='\u{202E}').chain('\u{2066}'..='\u{2069}');
        assert_eq!(
            controls.clone().filter(|&c| name(&format!("/a{c}b")) == Err(NameError::Control(c))).count(),
            12
        );
        assert_eq!(name("/a%E2%80%AEb"), Err(NameError::Control('\u{202E}')));
        // Their neighbours, and letters of scripts that are written from right to left.
        for letter in ['\u{200D}', '\u{2010}', '\u{202F}', '\u{206A}', 'א', 'ع'] {
            assert!(name(&format!("/a{letter}b")).is_ok(), "{letter:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(greeted(&format!("/{}", "%C3%A9".repeat(128))).chars().count(), 128);
        assert_eq!(name(&format!("/{}", "%C3%A9".repeat(129))), Err(NameError::TooLong(129)));
        assert_eq!(name(&format!("/{}", "a".repeat(129))), Err(NameError::TooLong(129)));
    }
}
