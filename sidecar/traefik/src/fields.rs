//! Traefik's options, as labels write them. Traefik rejects a whole document for one unknown option or invalid value, so
//! the hub checks each label against this tree first.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parse::{go_bool, go_duration};

use crate::options;
use crate::suggest::suggest;
use crate::values::Check;

/// An option: the kind of its value, and the options below it.
#[derive(Debug, Default)]
pub(crate) struct Field {
    /// Kind of the value; `None` if the option has no value of its own.
    pub(crate) kind: Option<Kind>,
    /// Check of the value, or of each item of a list.
    pub(crate) check: Option<Check>,
    /// Whether Traefik ignores values that fail the check.
    pub(crate) ignores_wrong_values: bool,
    /// Check of the name that the user chose for this option.
    pub(crate) name_check: Option<Check>,
    /// Whether only routers may receive the value, or the items of the list.
    pub(crate) is_secret: bool,
    /// Reason why labels must not set the option.
    pub(crate) refusal: Option<&'static str>,
    /// Warning about the option.
    pub(crate) warning: Option<&'static str>,
    below: BTreeMap<&'static str, Field>,
    /// The option below a name that the user chooses.
    named: Option<Box<Field>>,
    /// The option below an index.
    indexed: Option<Box<Field>>,
}

/// Kind of a value. All values are strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    /// List of strings, comma-separated or indexed.
    List,
    /// An indexed item of a list.
    Item,
    /// Reference to a router, service, middleware and so on.
    Name,
    /// List of references.
    Names,
    Bool,
    /// Boolean with options below it. `true` or empty enables the option with its defaults.
    Switch,
    Int,
    Duration,
    /// Part of a plugin's configuration, which may contain any option.
    Plugin,
}

/// The meaning of a segment of a key.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// An option of Traefik.
    Field(&'static Field),
    /// A name that the user chooses.
    Name(&'static Field),
    Index(&'static Field),
}

impl Step {
    pub(crate) fn field(self) -> &'static Field {
        match self {
            Self::Field(field) | Self::Name(field) | Self::Index(field) => field,
        }
    }
}

impl Field {
    /// The root of the tree.
    pub(crate) fn root() -> &'static Field {
        static ROOT: OnceLock<Field> = OnceLock::new();
        ROOT.get_or_init(|| parse(include_str!("fields.txt")))
    }

    /// Resolves a segment of a key.
    ///
    /// # Errors
    /// The segment is unknown here. The message contains a suggestion where there is a similar option.
    pub(crate) fn step(&'static self, segment: &str) -> Result<Step, String> {
        let is_index = segment.starts_with('[');
        let folded = segment.to_ascii_lowercase();
        if let Some(field) = self.below.get(folded.as_str()) {
            return Ok(Step::Field(field));
        }
        let step = if is_index {
            self.indexed.as_deref().map(Step::Index)
        } else {
            self.named.as_deref().map(Step::Name)
        };
        if let Some(step) = step {
            return Ok(step);
        }
        match self.kind {
            Some(Kind::Plugin) if is_index => return Ok(Step::Index(leaf(Kind::Plugin))),
            Some(Kind::Plugin) => return Ok(Step::Name(leaf(Kind::Plugin))),
            Some(Kind::List) if is_index => return Ok(Step::Index(leaf(Kind::Item))),
            Some(Kind::Names) if is_index => return Ok(Step::Index(leaf(Kind::Name))),
            _ => {}
        }
        Err(match self.suggestion(&folded) {
            Some(suggestion) => format!("unknown option {segment:?}; did you mean {suggestion}?"),
            None if self.indexed.is_some() => {
                format!("unknown option {segment:?}; expected an index such as [0]")
            }
            None => format!("unknown option {segment:?}"),
        })
    }

    /// Returns a similar option, or options of the same name one level deeper.
    pub(crate) fn suggestion(&self, segment: &str) -> Option<String> {
        if let Some(similar) = suggest(segment, self.below.keys().copied()) {
            return Some(format!("{similar:?}"));
        }
        let deeper: Vec<_> = self
            .below
            .iter()
            .filter(|(_, field)| field.below.contains_key(segment))
            .map(|(name, _)| format!("\"{name}.{segment}\""))
            .collect();
        // A longer list does not help.
        (1..=3).contains(&deeper.len()).then(|| deeper.join(" or "))
    }
}

/// A field that `fields.txt` does not list: an item of a list, or a part of a plugin's configuration.
fn leaf(kind: Kind) -> &'static Field {
    static LEAVES: OnceLock<[Field; 3]> = OnceLock::new();
    let leaves = LEAVES.get_or_init(|| {
        [Kind::Item, Kind::Name, Kind::Plugin].map(|kind| Field {
            kind: Some(kind),
            is_secret: kind == Kind::Plugin,
            ..Field::default()
        })
    });
    leaves.iter().find(|field| field.kind == Some(kind)).expect("each kind that is asked for has a leaf")
}

fn parse(text: &'static str) -> Field {
    let mut root = Field::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (path, kind) = line.split_once(' ').expect("each line of fields.txt has a path and a kind");
        let mut field = &mut root;
        for segment in path.split('.') {
            field = match segment {
                "**" => field,
                "*" => field.named.get_or_insert_default(),
                "[n]" => field.indexed.get_or_insert_default(),
                name => field.below.entry(name).or_default(),
            };
        }
        field.kind = Some(if path.ends_with("**") { Kind::Plugin } else { Kind::parse(kind) });
        field.check = options::check(path);
        field.name_check = options::name_check(path);
        field.is_secret = options::is_secret(path);
        field.refusal = options::refusal(path);
        field.warning = options::warning(path);
        field.ignores_wrong_values = options::is_ignored(path);
    }
    root
}

impl Kind {
    fn parse(name: &str) -> Self {
        match name {
            "list" => Self::List,
            "name" => Self::Name,
            "names" => Self::Names,
            "bool" => Self::Bool,
            "switch" => Self::Switch,
            "int" => Self::Int,
            "duration" => Self::Duration,
            _ => Self::String,
        }
    }

    /// Returns a description of valid values if `value` is not of this kind.
    pub(crate) fn mismatch(self, value: &str) -> Option<&'static str> {
        let is_valid = match self {
            Self::String => true,
            // Traefik's parser joins list items with this character, and splits or rejects a plugin's text that contains it.
            Self::List | Self::Item | Self::Name | Self::Names | Self::Plugin => !value.contains('║'),
            Self::Bool => go_bool(value).is_some(),
            Self::Switch => {
                value.is_empty() || value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Self::Int => value.parse::<i64>().is_ok(),
            Self::Duration => value.parse::<i64>().is_ok() || go_duration(value).is_ok(),
        };
        (!is_valid).then_some(match self {
            Self::Bool | Self::Switch => "true or false",
            Self::Int => "an integer",
            Self::Duration => "a duration such as 500ms, 10s or 1m30s",
            _ => "text without \"║\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestion_is_similar_or_one_level_deeper() {
        let suggestion = |place: &[&str], segment: &str| {
            let field =
                place.iter().try_fold(Field::root(), |field, segment| field.step(segment).map(Step::field));
            field.unwrap().suggestion(segment)
        };
        assert_eq!(suggestion(&[], "htpp").unwrap(), "\"http\"");
        assert_eq!(suggestion(&[], "enabled").unwrap(), "\"enable\"");
        assert_eq!(suggestion(&["http"], "router").unwrap(), "\"routers\"");
        assert_eq!(suggestion(&["http", "routers", "a"], "entry-points").unwrap(), "\"entrypoints\"");
        assert_eq!(suggestion(&["http", "routers", "a"], "certresolver").unwrap(), "\"tls.certresolver\"");
        assert_eq!(
            suggestion(&["http", "services", "a", "loadbalancer"], "port").unwrap(),
            "\"healthcheck.port\" or \"server.port\""
        );
        assert_eq!(
            suggestion(&[], "routers").unwrap(),
            "\"http.routers\" or \"tcp.routers\" or \"udp.routers\""
        );
        for unlike in ["", "x", "port", "constraint-label", "frontend"] {
            assert_eq!(suggestion(&[], unlike), None, "{unlike}");
        }
    }

    #[test]
    fn values_follow_go() {
        for (kind, good, bad) in [
            (Kind::Bool, &["true", "T", "0", "False"][..], &["", "yes", "tRUE", " true"][..]),
            (Kind::Switch, &["", "true", "TRUE", "false"], &["1", "yes", "off"]),
            (
                Kind::Int,
                &["0", "-1", "+1", "9223372036854775807"],
                &["", "1.0", "1_000", "0x1", "9223372036854775808"],
            ),
            (Kind::Duration, &["10", "10s", "-1"], &["", "10 s", "1d", "9223372036854775808"]),
            (Kind::List, &["", "a", "a, b,"], &["a║b"]),
            (Kind::Plugin, &["", "a"], &["║"]),
            (Kind::String, &["", "║"], &[]),
        ] {
            for value in good {
                assert_eq!(kind.mismatch(value), None, "{kind:?} {value:?}");
            }
            for value in bad {
                assert!(kind.mismatch(value).is_some(), "{kind:?} {value:?}");
            }
        }
    }
}
