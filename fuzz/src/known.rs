//! Checks whether Traefik accepts a document. It has its own reader of the list of fields, independent of the hub's, so
//! that an error in one of them is found.

use std::collections::BTreeMap;

use serde_json::Value;

/// A node in the tree of fields.
#[derive(Default)]
pub struct Known {
    below: BTreeMap<String, Known>,
    takes_value: bool,
    takes_list: bool,
    open: bool,
}

impl Known {
    /// Parses the tree from the text of fields.txt.
    pub fn read(fields: &str) -> Self {
        let mut root = Self::default();
        for line in fields.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (path, kind) = line.split_once(' ').unwrap_or_default();
            let is_list = matches!(kind, "list" | "names");
            match path.split_once(".loadbalancer.server.") {
                // In a document, servers have whole addresses instead.
                Some((_, "port" | "scheme")) => {}
                Some((service, field)) => {
                    root.add(&format!("{service}.loadbalancer.servers.[n].{field}"), false)
                }
                None => root.add(path, is_list),
            }
        }
        root.add("http.services.*.loadbalancer.servers.[n].url", false);
        root.add("tcp.services.*.loadbalancer.servers.[n].address", false);
        root.add("udp.services.*.loadbalancer.servers.[n].address", false);
        root
    }

    fn add(&mut self, path: &str, is_list: bool) {
        let mut place = self;
        for segment in path.split('.') {
            if segment == "**" {
                place.open = true;
            } else {
                place = place.below.entry(segment.to_owned()).or_default();
            }
        }
        (place.takes_value, place.takes_list) = (!is_list, is_list);
    }

    /// Panics if Traefik rejects `document`.
    pub fn check(&self, document: &Value) {
        let sections = document.as_object().expect("a document is a map");
        // The document itself is the only map that may be empty.
        if !sections.is_empty() {
            self.check_value(document, "");
        }
    }

    fn check_value(&self, value: &Value, path: &str) {
        if self.open {
            return;
        }
        match value {
            Value::Object(fields) => {
                assert!(!fields.is_empty(), "{path} is an empty map");
                for (name, value) in fields {
                    let known = self.below.get(&name.to_ascii_lowercase()).or_else(|| self.below.get("*"));
                    let known = known.unwrap_or_else(|| panic!("{path}.{name} is unknown"));
                    known.check_value(value, &format!("{path}.{name}"));
                }
            }
            Value::Array(items) if self.takes_list => {
                assert!(items.iter().all(Value::is_string), "{path} is not a list of strings");
            }
            Value::Array(items) => {
                let known = self.below.get("[n]");
                let known = known.unwrap_or_else(|| panic!("{path} is not a list"));
                items.iter().for_each(|item| known.check_value(item, &format!("{path}[]")));
            }
            Value::String(_) => assert!(self.takes_value, "{path} takes no value"),
            other => panic!("{path}: {other} is not a string"),
        }
    }
}
