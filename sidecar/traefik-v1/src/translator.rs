//! Translation of one segment: reads its options, collects labels of Traefik 3 and diagnostics.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::num::NonZeroU16;

use parse::{go_bool, go_duration};
use traefik::{Diagnostic, Translation};

use crate::headers::parse_header;
use crate::names::Names;
use crate::segment::{LabelValue, Segment};
use crate::variables::is_open;

/// A segment on one side, the labels and diagnostics so far on the other. Option names are those of Traefik 1, without
/// `traefik.`.
pub(crate) struct Translator<'a> {
    pub(crate) segment: &'a Segment<'a>,
    pub(crate) names: &'a Names,
    pub(crate) output: Translation,
    /// Old label by new label.
    pub(crate) origins: BTreeMap<String, String>,
    /// Key of the label that was read last: the origin of what is set next.
    pub(crate) origin: Cell<Option<&'a str>>,
}

impl<'a> Translator<'a> {
    pub(crate) fn new(segment: &'a Segment<'a>, names: &'a Names) -> Self {
        let (output, origins, origin) = Default::default();
        Self { segment, names, output, origins, origin }
    }

    /// Sets a label. `path` follows `traefik.http.`.
    pub(crate) fn set(&mut self, path: impl Display, value: impl Into<String>) {
        let key = format!("traefik.http.{path}");
        if let Some(origin) = self.origin.get() {
            self.origins.insert(key.clone(), origin.to_owned());
        }
        self.output.labels.0.insert(key, value.into());
    }

    /// Sets an option of a middleware that is named after its kind, and returns its name.
    pub(crate) fn set_middleware(&mut self, kind: &str, options: &[(&str, &str)]) -> String {
        let name = self.names.middleware(kind, None);
        // `ssl-redirectscheme` is a redirectscheme.
        let kind = kind.rsplit('-').next().unwrap_or(kind);
        for (option, value) in options {
            self.set(format_args!("middlewares.{name}.{kind}.{option}"), *value);
        }
        name
    }

    pub(crate) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.output.warnings.push(Diagnostic::new(key, message));
    }

    pub(crate) fn error(&mut self, key: &str, message: impl Into<String>) {
        self.output.errors.push(Diagnostic::new(key, message));
    }

    /// Warns about the label that sets `option`, if there is one.
    pub(crate) fn warn_if_set(&mut self, option: &str, message: impl Into<String>) {
        if let Some(label) = self.get(option) {
            self.warn(label.key, message);
        }
    }

    /// Warns about the first label below `prefix`, if there is one.
    pub(crate) fn warn_if_below(&mut self, prefix: &str, message: impl Into<String>) {
        if let Some(key) = self.first_below(prefix) {
            self.warn(key, message);
        }
    }

    fn expected(&mut self, label: &LabelValue<'_>, expected: &str) {
        self.output.errors.push(Diagnostic::expected(label.key, expected, &label.text));
    }

    pub(crate) fn get(&self, option: &str) -> Option<&'a LabelValue<'a>> {
        let label = self.segment.get(option);
        if let Some(label) = label {
            self.origin.set(Some(label.key));
        }
        label
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.get(option).is_some()
    }

    /// Returns the key of the first label with a value whose option begins with `prefix`.
    pub(crate) fn first_below(&self, prefix: &str) -> Option<&'a str> {
        let prefix = prefix.to_ascii_lowercase();
        let mut labels =
            self.segment.labels.range(prefix.clone()..).take_while(|(option, _)| option.starts_with(&prefix));
        labels.find(|(_, label)| !label.text.is_empty()).map(|(_, label)| label.key)
    }

    /// Returns the names that users chose for `*` in options that begin with `prefix`.
    pub(crate) fn names_below(&self, prefix: &str) -> BTreeSet<&'a str> {
        let is_below =
            |label: &&LabelValue<'_>| label.property.path.starts_with(prefix) && !label.text.is_empty();
        self.segment
            .labels
            .values()
            .filter(is_below)
            .filter_map(|label| label.property.name.as_deref())
            .collect()
    }

    /// Reads a boolean, which is false if it is not set or invalid.
    pub(crate) fn is_true(&mut self, option: &str) -> bool {
        let value = self.bool(option);
        if let Some(label) = self.get(option).filter(|label| is_open(&label.text)) {
            self.error(label.key, "expected true or false; a variable cannot decide this in Traefik 3");
        }
        value.as_deref() == Some("true")
    }

    /// Reads a boolean. Values of variables stay.
    pub(crate) fn bool(&mut self, option: &str) -> Option<String> {
        let label = self.get(option)?;
        if is_open(&label.text) {
            return Some(label.text.clone());
        }
        let value = go_bool(&label.text);
        if value.is_none() {
            self.expected(label, "true or false");
        }
        value.map(|value| value.to_string())
    }

    pub(crate) fn int(&mut self, option: &str) -> Option<String> {
        let label = self.get(option)?;
        if is_open(&label.text) {
            return Some(label.text.clone());
        }
        let number = label.text.parse::<i64>().ok();
        if number.is_none() {
            self.expected(label, "an integer");
        }
        number.map(|number| number.to_string())
    }

    /// Reads a duration. A number without a unit is in seconds.
    pub(crate) fn duration(&mut self, option: &str) -> Option<String> {
        let label = self.get(option)?;
        if label.text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(format!("{}s", label.text));
        }
        if is_open(&label.text) || label.text.parse::<i64>().is_ok() || go_duration(&label.text).is_ok() {
            return Some(label.text.clone());
        }
        self.expected(label, "a duration such as 500ms, 10s or 1m30s");
        None
    }

    /// Reads comma-separated items.
    pub(crate) fn list(&self, option: &str) -> Vec<&'a str> {
        let text = self.get(option).map_or("", |label| label.text.as_str());
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// Reads headers such as `A:b||C:d`.
    pub(crate) fn headers(&mut self, option: &str) -> Vec<(String, String)> {
        let Some(label) = self.get(option) else { return Vec::new() };
        let headers = label.text.split("||").map(parse_header).collect::<Result<_, _>>();
        headers.unwrap_or_else(|message: String| {
            self.error(label.key, message);
            Vec::new()
        })
    }

    /// Reads one of a few words.
    pub(crate) fn one_of(&mut self, option: &str, valid: &[&str], expected: &str) -> Option<&'a str> {
        let label = self.get(option)?;
        if valid.contains(&label.text.as_str()) || is_open(&label.text) {
            return Some(&label.text);
        }
        self.expected(label, expected);
        None
    }

    /// Copies a string. Returns whether it is set.
    pub(crate) fn copy(&mut self, option: &str, path: impl Display) -> bool {
        let label = self.get(option);
        if let Some(label) = label {
            self.set(path, label.text.as_str());
        }
        label.is_some()
    }

    /// Copies a list. Returns whether it has items.
    pub(crate) fn copy_list(&mut self, option: &str, path: impl Display) -> bool {
        let list = self.list(option);
        if !list.is_empty() {
            self.set(path, list.join(","));
        }
        !list.is_empty()
    }

    /// Copies a boolean that is true. Returns whether it is.
    pub(crate) fn copy_true(&mut self, option: &str, path: impl Display) -> bool {
        let value = self.bool(option).filter(|value| value != "false");
        let is_set = value.is_some();
        if let Some(value) = value {
            self.set(path, value);
        }
        is_set
    }

    /// Copies an integer. Returns whether it is set.
    pub(crate) fn copy_int(&mut self, option: &str, path: impl Display) -> bool {
        let number = self.int(option);
        let is_set = number.is_some();
        if let Some(number) = number {
            self.set(path, number);
        }
        is_set
    }

    pub(crate) fn copy_duration(&mut self, option: &str, path: impl Display) {
        if let Some(duration) = self.duration(option) {
            self.set(path, duration);
        }
    }

    pub(crate) fn copy_port(&mut self, option: &str, path: impl Display) {
        let Some(label) = self.get(option) else { return };
        if label.text.parse::<NonZeroU16>().is_err() && !is_open(&label.text) {
            self.expected(label, "a port from 1 to 65535");
        }
        self.set(path, label.text.as_str());
    }

    /// Reports misspelt labels, and labels that have no effect whatever their value is.
    pub(crate) fn check_labels(&mut self) {
        for label in self.segment.labels.values() {
            let spelling = &label.property.spelling;
            if label.property.is_misspelt {
                let segment = self.segment.name.as_ref().filter(|_| label.is_own);
                let segment = segment.map(|name| format!("{name}.")).unwrap_or_default();
                self.warn(
                    label.key,
                    format!("now takes effect; Traefik 1 ignored it, since it expected traefik.{segment}{spelling}"),
                );
            }
            let message = match spelling.as_str() {
                "tags" => {
                    "no successor; constraints of Traefik 3 match labels, as in Label(`com.example.tag`, `web`)"
                }
                "portIndex" | "portName" | "backend.id" => {
                    "no effect; Traefik 1 ignored it for containers, too"
                }
                "domain" if label.is_own => {
                    "no effect; Traefik 1 ignored it for segments, too; use traefik.domain"
                }
                _ => continue,
            };
            self.warn(label.key, message);
        }
    }
}
