//! The field tree of Traefik's dynamic configuration, as labels write it. Traefik rejects a whole document for one
//! field that it does not know or cannot read, so each label is held against this tree before it gets that far.

use std::collections::BTreeMap;
use std::sync::OnceLock;

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
    List,
    Bool,
    Int,
    Duration,
}

/// What a segment of a label's key leads to.
pub(crate) enum Step {
    /// A field of the tree, spelt as Traefik does.
    Field(&'static Field),
    /// A name or index that the user chose.
    Chosen(&'static Field),
    /// Part of a plugin's configuration.
    Open,
}

impl Field {
    /// The whole tree.
    pub(crate) fn root() -> &'static Field {
        static ROOT: OnceLock<Field> = OnceLock::new();
        ROOT.get_or_init(|| read(include_str!("fields.txt")))
    }

    /// Where `segment` leads from here.
    pub(crate) fn step(&'static self, segment: &str) -> Option<Step> {
        if let Some(field) = self.below.get(segment.to_ascii_lowercase().as_str()) {
            return Some(Step::Field(field));
        }
        if self.open {
            return Some(Step::Open);
        }
        let chosen = if segment.starts_with('[') { &self.indexed } else { &self.chosen };
        chosen.as_deref().map(Step::Chosen)
    }
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
        if !field.open {
            field.kind = Some(Kind::named(kind));
        }
    }
    root
}

impl Kind {
    fn named(name: &str) -> Self {
        match name {
            "list" => Self::List,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "duration" => Self::Duration,
            _ => Self::String,
        }
    }

    /// What a value of this type looks like, if `value` is none.
    pub(crate) fn refuses(self, value: &str) -> Option<&'static str> {
        let fits = match self {
            Self::String | Self::List => true,
            Self::Bool => {
                matches!(
                    value,
                    "1" | "t"
                        | "T"
                        | "TRUE"
                        | "true"
                        | "True"
                        | "0"
                        | "f"
                        | "F"
                        | "FALSE"
                        | "false"
                        | "False"
                )
            }
            Self::Int => value.parse::<i64>().is_ok(),
            Self::Duration => value.parse::<i64>().is_ok() || is_go_duration(value),
        };
        (!fits).then_some(match self {
            Self::Bool => "true or false is expected",
            Self::Int => "a whole number is expected",
            _ => "a duration is expected, such as 500ms, 10s or 1m30s",
        })
    }
}

/// Whether Go's `time.ParseDuration` would take it: signed decimal numbers, each with a unit.
fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let well_formed = number.contains(|c: char| c.is_ascii_digit()) && number.matches('.').count() <= 1;
        let unit =
            ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].into_iter().filter(|unit| after.starts_with(unit));
        // `ms` before `m`: the longest that fits.
        let Some(unit) = unit.max_by_key(|unit| unit.len()).filter(|_| well_formed) else { return false };
        rest = &after[unit.len()..];
        parts += 1;
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for good in ["1s", "1m30s", "100ms", "1.5h", "-2us", "0"] {
            assert_eq!(Kind::Duration.refuses(good), None, "{good}");
        }
        for bad in ["", "1", "s", "1.2.3s", "1 s", "1d", "1s2", "."] {
            assert!(!is_go_duration(bad), "{bad}");
        }
    }
}
