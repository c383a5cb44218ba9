//! Whom to greet, and how.

use std::fmt;

use parse::percent_decode;

/// Greeted where no name is given.
const WORLD: &str = "World";

/// Most characters that a name may have.
const LONGEST: usize = 128;

/// Why a name is not greeted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// At this byte of the name it is not UTF-8.
    NotUtf8 { byte: usize },
    /// This character would command a terminal rather than show on it.
    Control(char),
    /// It has this many characters.
    TooLong(usize),
}

/// Greets whom `path` names, in the name of `host`.
pub(crate) fn greeting(path: &str, host: &str) -> Result<String, Fault> {
    Ok(format!("Hello, {}! (from {host})\n", name(path)?))
}

/// The name in `path`: its last segment, decoded and capitalized.
fn name(path: &str) -> Result<String, Fault> {
    let segment = path.rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode(segment);
    let name = str::from_utf8(&decoded).map_err(|error| Fault::NotUtf8 { byte: error.valid_up_to() })?;
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(Fault::Control(control));
    }
    match name.chars().count() {
        0 => Ok(WORLD.to_owned()),
        1..=LONGEST => Ok(capitalized(name)),
        length => Err(Fault::TooLong(length)),
    }
}

/// The first letter in upper case, the rest in lower case.
fn capitalized(name: &str) -> String {
    let Some(first) = name.chars().next() else { return String::new() };
    // Lower case depends on the letters around, as with the Greek sigma, so all of the name is needed for its rest.
    let lower = name.to_lowercase();
    let rest = first.to_lowercase().map(char::len_utf8).sum();
    title(first) + &lower[rest..]
}

/// A letter as it begins a word, which is not always what it is among capitals.
fn title(letter: char) -> String {
    match letter {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".to_owned(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".to_owned(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".to_owned(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".to_owned(),
        // Georgian has capitals only for words that are all capitals.
        'ა'..='ჿ' => letter.to_string(),
        // One that becomes several has one capital among them: `ß` begins `Ss`.
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { byte } => {
                write!(f, "the name is not UTF-8 from its byte {byte} on, counted from 0")
            }
            Self::Control(control) => {
                write!(f, "the name has a control character, U+{:04X}", u32::from(*control))
            }
            Self::TooLong(length) => write!(f, "the name has {length} characters, and {LONGEST} is the most"),
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
    fn a_greeting_says_who_and_from_where() {
        assert_eq!(greeting("/viktor", "hello-1").unwrap(), "Hello, Viktor! (from hello-1)\n");
        assert_eq!(greeting("/", "hello-1").unwrap(), "Hello, World! (from hello-1)\n");
    }

    #[test]
    fn the_last_segment_is_the_name() {
        assert_eq!(greeted("/viktor"), "Viktor");
        assert_eq!(greeted("/hello/viktor"), "Viktor");
        assert_eq!(greeted("/hello/VIKTOR"), "Viktor");
    }

    #[test]
    fn no_name_is_the_world() {
        for path in ["", "/", "/viktor/", "//"] {
            assert_eq!(greeted(path), "World", "{path:?}");
        }
    }

    #[test]
    fn percent_signs_are_decoded_once_and_after_the_path_is_split() {
        assert_eq!(greeted("/J%C3%BCrgen"), "Jürgen");
        assert_eq!(greeted("/%c3%89MILE"), "Émile");
        assert_eq!(greeted("/a%2Fb"), "A/b");
        assert_eq!(greeted("/%2541"), "%41");
        assert_eq!(greeted("/100%"), "100%", "what is no escape stands for itself");
        assert_eq!(greeted("/a+b%20c"), "A+b c");
    }

    #[test]
    fn capitals_are_those_of_the_names_own_script() {
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
    fn broken_utf8_is_refused_with_its_place() {
        assert_eq!(name("/ab%FFcd"), Err(Fault::NotUtf8 { byte: 2 }));
        assert_eq!(name("/%C3"), Err(Fault::NotUtf8 { byte: 0 }));
        assert_eq!(name("/%ED%A0%80"), Err(Fault::NotUtf8 { byte: 0 }), "a lone surrogate");
    }

    #[test]
    fn control_characters_are_refused_by_name() {
        assert_eq!(name("/a%0Ab"), Err(Fault::Control('\n')));
        assert_eq!(name("/%00"), Err(Fault::Control('\0')));
        assert_eq!(name("/%7F"), Err(Fault::Control('\u{7F}')));
        assert_eq!(name("/%C2%85"), Err(Fault::Control('\u{85}')));
        assert_eq!(Fault::Control('\n').to_string(), "the name has a control character, U+000A");
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(greeted(&format!("/{}", "%C3%A9".repeat(128))).chars().count(), 128);
        assert_eq!(name(&format!("/{}", "%C3%A9".repeat(129))), Err(Fault::TooLong(129)));
        assert_eq!(name(&format!("/{}", "a".repeat(129))), Err(Fault::TooLong(129)));
    }
}
