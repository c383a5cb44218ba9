//! The field tree of Traefik's dynamic configuration, as labels write it. Traefik rejects a whole document for one
//! field that it does not know or cannot read, so each label is held against this tree before it gets that far.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::suggest::suggest;

/// One place in the tree: what value it takes, and what may come below it.
#[derive(Debug, Default)]
pub(crate) struct Field {
    /// The type of its value; `None`: it takes none.
    pub(crate) kind: Option<Kind>,
    below: BTreeMap<&'static str, Field>,
    /// Below a name that the user chooses.
    chosen: Option<Box<Field>>,
    /// Below an index.
    indexed: Option<Box<Field>>,
    /// Anything may come below: the configuration of a plugin.
    open: bool,
}

/// The type of a value. All values are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    /// Texts, by comma or by index.
    List,
    /// One of them.
    Item,
    /// What another label, or another provider of Traefik's, defines.
    Name,
    /// Several of these.
    Names,
    Bool,
    /// What options may come below of: `true`, or nothing, has it with its defaults, and `false` has it not.
    Switch,
    Int,
    Duration,
    /// Part of a plugin's configuration.
    Open,
}

/// What a segment of a label's key leads to.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// A field of the tree, spelt as Traefik does.
    Field(&'static Field),
    /// A name that the user chose.
    Chosen(&'static Field),
    /// An index.
    Index(&'static Field),
}

impl Step {
    pub(crate) fn field(self) -> &'static Field {
        match self {
            Self::Field(field) | Self::Chosen(field) | Self::Index(field) => field,
        }
    }
}

impl Field {
    /// The whole tree.
    pub(crate) fn root() -> &'static Field {
        static ROOT: OnceLock<Field> = OnceLock::new();
        ROOT.get_or_init(|| read(include_str!("fields.txt")))
    }

    /// Whether this is part of a plugin's configuration.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Where `segment` leads from here.
    ///
    /// # Errors
    /// Why it leads nowhere, and what was meant, perhaps.
    pub(crate) fn step(&'static self, segment: &str) -> Result<Step, String> {
        let is_index = segment.starts_with('[');
        let folded = segment.to_ascii_lowercase();
        if let Some(field) = self.below.get(folded.as_str()) {
            return Ok(Step::Field(field));
        }
        let step = if is_index {
            self.indexed.as_deref().map(Step::Index)
        } else {
            self.chosen.as_deref().map(Step::Chosen)
        };
        if let Some(step) = step {
            return Ok(step);
        }
        let scalars = matches!(self.kind, Some(Kind::List | Kind::Names));
        if self.open || (is_index && scalars) {
            let field = if self.open { open() } else { item(self.kind == Some(Kind::Names)) };
            return Ok(if is_index { Step::Index(field) } else { Step::Chosen(field) });
        }
        Err(match self.meant(&folded) {
            Some(meant) => {
                format!("Traefik has no such option ({segment:?} is unknown: did you mean {meant}?)")
            }
            None if self.indexed.is_some() => {
                format!(
                    "Traefik has no such option ({segment:?} is unknown: an index is expected, such as \"[0]\")"
                )
            }
            None => format!("Traefik has no such option ({segment:?} is unknown)"),
        })
    }

    /// The option that was meant by `segment`: one that is spelt alike, or one of its name a level further down.
    pub(crate) fn meant(&self, segment: &str) -> Option<String> {
        if let Some(near) = suggest(segment, self.below.keys().copied()) {
            return Some(format!("{near:?}"));
        }
        let deeper: Vec<_> = self
            .below
            .iter()
            .filter(|(_, field)| field.below.contains_key(segment))
            .map(|(name, _)| format!("\"{name}.{segment}\""))
            .collect();
        // More are no help.
        (1..=3).contains(&deeper.len()).then(|| deeper.join(" or "))
    }
}

/// Whatever a plugin understands.
fn open() -> &'static Field {
    static OPEN: OnceLock<Field> = OnceLock::new();
    OPEN.get_or_init(|| Field { kind: Some(Kind::Open), open: true, ..Field::default() })
}

/// One of several texts, or names.
fn item(is_name: bool) -> &'static Field {
    static ITEMS: OnceLock<[Field; 2]> = OnceLock::new();
    let items = ITEMS
        .get_or_init(|| [Kind::Item, Kind::Name].map(|kind| Field { kind: Some(kind), ..Field::default() }));
    &items[usize::from(is_name)]
}

fn read(text: &'static str) -> Field {
    let mut root = Field::default();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (path, kind) = line.split_once(' ').expect("each line of fields.txt has a path and a type");
        let mut field = &mut root;
        for segment in path.split('.') {
            field = match segment {
                "**" => {
                    field.open = true;
                    field
                }
                "*" => field.chosen.get_or_insert_default(),
                "[n]" => field.indexed.get_or_insert_default(),
                name => field.below.entry(name).or_default(),
            };
        }
        field.kind = Some(if field.open { Kind::Open } else { Kind::named(kind) });
    }
    root
}

impl Kind {
    fn named(name: &str) -> Self {
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

    /// What a value of this type looks like, if `value` is none.
    pub(crate) fn refuses(self, value: &str) -> Option<&'static str> {
        let fits = match self {
            Self::String => true,
            // Traefik's parser puts it between items, and takes a plugin's text that has it for a list, or fails.
            Self::List | Self::Item | Self::Name | Self::Names | Self::Open => !value.contains('║'),
            Self::Bool => parse::go_bool(value).is_some(),
            Self::Switch => {
                value.is_empty() || value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Self::Int => value.parse::<i64>().is_ok(),
            Self::Duration => value.parse::<i64>().is_ok() || parse::go_duration(value).is_ok(),
        };
        (!fits).then_some(match self {
            Self::Bool | Self::Switch => "true or false is expected",
            Self::Int => "a whole number is expected",
            Self::Duration => "a duration is expected, such as 500ms, 10s or 1m30s",
            _ => "a text without \"║\" is expected",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_near_or_a_level_further_down() {
        let meant = |place: &[&str], segment: &str| {
            let field =
                place.iter().try_fold(Field::root(), |field, segment| field.step(segment).map(Step::field));
            field.unwrap().meant(segment)
        };
        assert_eq!(meant(&[], "htpp").unwrap(), "\"http\"");
        assert_eq!(meant(&[], "enabled").unwrap(), "\"enable\"");
        assert_eq!(meant(&["http"], "router").unwrap(), "\"routers\"");
        assert_eq!(meant(&["http", "routers", "a"], "entry-points").unwrap(), "\"entrypoints\"");
        assert_eq!(meant(&["http", "routers", "a"], "certresolver").unwrap(), "\"tls.certresolver\"");
        assert_eq!(
            meant(&["http", "services", "a", "loadbalancer"], "port").unwrap(),
            "\"healthcheck.port\" or \"server.port\""
        );
        assert_eq!(meant(&[], "routers").unwrap(), "\"http.routers\" or \"tcp.routers\" or \"udp.routers\"");
        for nothing_like_it in ["", "x", "port", "constraint-label", "frontend"] {
            assert_eq!(meant(&[], nothing_like_it), None, "{nothing_like_it}");
        }
    }

    #[test]
    fn values_are_those_that_go_reads() {
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
            (Kind::Open, &["", "a"], &["║"]),
            (Kind::String, &["", "║"], &[]),
        ] {
            for value in good {
                assert_eq!(kind.refuses(value), None, "{kind:?} {value:?}");
            }
            for value in bad {
                assert!(kind.refuses(value).is_some(), "{kind:?} {value:?}");
            }
        }
    }
}
