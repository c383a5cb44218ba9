//! References between definitions, such as a router's middlewares, and definitions under other names.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fields::{Field, Kind};
use crate::service_config::ServiceConfig;
use crate::tree::{Tree, object};

/// Suffix of names that the hub's own provider defines.
const OWN_PROVIDER: &str = "@http";

/// A reference to a definition that the hub should have: one without a provider, or with the hub's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Label that contains it.
    pub label: String,
    /// Protocol of the definition, or `tls`.
    pub protocol: String,
    /// Kind of the definition: `routers`, `services`, `middlewares`, `serverstransports` or `options`.
    pub kind: &'static str,
    /// Name of the definition, without a provider.
    pub name: String,
}

impl Reference {
    /// Describes a reference to a definition that does not exist.
    pub fn unresolved(&self) -> String {
        let Self { protocol, kind, name, .. } = self;
        format!(
            "{}; define traefik.{protocol}.{kind}.{name}.… or, if Traefik's own configuration defines it, write {name}@file",
            self.missing()
        )
    }

    /// States that no service has the definition.
    pub fn missing(&self) -> String {
        let Self { label, kind, name, .. } = self;
        let singular = match *kind {
            "options" => "TLS options",
            "serverstransports" => "servers transport",
            kind => kind.trim_end_matches('s'),
        };
        format!("{label} refers to {singular} {name}, which no service defines")
    }
}

impl ServiceConfig {
    /// Returns all references to definitions that the hub should have.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Finds the references in the tree.
    pub(crate) fn find_references(&mut self) {
        let mut found = Vec::new();
        visit(&mut self.tree, &mut |label, protocol, kind, name| {
            if let Some(name) = own_name(protocol, kind, name) {
                let (label, protocol) = (label.to_owned(), protocol.to_owned());
                found.push(Reference { label, protocol, kind, name: name.to_owned() });
            }
        });
        self.references = found;
    }

    /// Returns a configuration with this definition alone; `None` if there is no such definition.
    pub fn only(&self, protocol: &str, kind: &str, name: &str) -> Option<Self> {
        let value = self.tree.get(protocol)?.get(kind)?.get(name)?.clone();
        let mut config = Self::default();
        object(object(config.tree.entry(protocol)).entry(kind)).insert(name.to_owned(), value);
        let key = (protocol.to_owned(), name.to_owned());
        if let Some(options) = self.server_options.get(&key).filter(|_| kind == "services") {
            config.server_options.insert(key, options.clone());
        }
        config.find_references();
        Some(config)
    }

    /// Returns the configuration with other names for its definitions, also where it refers to them. `new_name` gets
    /// protocol, kind and name.
    #[must_use]
    pub fn rename(&self, new_name: impl Fn(&str, &str, &str) -> Option<String>) -> Self {
        let renamed: BTreeMap<_, _> = self
            .claims()
            .filter_map(|(protocol, kind, name, _)| {
                Some((
                    (protocol.to_owned(), kind.to_owned(), name.to_owned()),
                    new_name(protocol, kind, name)?,
                ))
            })
            .collect();
        let mut config = self.clone();
        if renamed.is_empty() {
            return config;
        }
        let lookup = |protocol: &str, kind: &str, name: &str| {
            renamed.get(&(protocol.to_owned(), kind.to_owned(), name.to_owned())).cloned()
        };
        visit(&mut config.tree, &mut |_, protocol, kind, name| {
            let new = own_name(protocol, kind, name).and_then(|own| lookup(protocol, kind, own));
            if let Some(new) = new {
                *name = new;
            }
        });
        for (protocol, kinds) in &mut config.tree {
            for (kind, names) in kinds.as_object_mut().into_iter().flatten() {
                let Some(names) = names.as_object_mut() else { continue };
                let former = std::mem::take(names);
                names.extend(
                    former
                        .into_iter()
                        .map(|(name, value)| (lookup(protocol, kind, &name).unwrap_or(name), value)),
                );
            }
        }
        config.server_options = std::mem::take(&mut config.server_options)
            .into_iter()
            .map(|((protocol, name), options)| {
                let name = lookup(&protocol, "services", &name).unwrap_or(name);
                ((protocol, name), options)
            })
            .collect();
        config.find_references();
        config
    }
}

/// Returns the name in a reference without the hub's provider; `None` for definitions of other providers and for those
/// that Traefik always has.
pub(crate) fn own_name<'a>(protocol: &str, kind: &str, name: &'a str) -> Option<&'a str> {
    let own = name.strip_suffix(OWN_PROVIDER).unwrap_or(name);
    let is_builtin = (protocol, kind, name) == ("tls", "options", "default");
    (!own.is_empty() && !own.contains('@') && !is_builtin).then_some(own)
}

type Visitor<'a> = dyn FnMut(&str, &str, &'static str, &mut String) + 'a;

/// Calls `visitor` for each reference, with its label, and with protocol, kind and name of the definition.
pub(crate) fn visit(tree: &mut Tree, visitor: &mut Visitor<'_>) {
    let mut label = "traefik".to_owned();
    for (protocol, kinds) in tree.iter_mut() {
        if let Ok(step) = Field::root().step(protocol) {
            below(step.field(), protocol, protocol, kinds, &mut label, visitor);
        }
    }
}

/// Visits an option named `name`, and those below it.
fn below(
    field: &'static Field,
    protocol: &str,
    name: &str,
    value: &mut Value,
    label: &mut String,
    visitor: &mut Visitor<'_>,
) {
    let length = label.len();
    label.push('.');
    label.push_str(name);
    match value {
        Value::Object(options) => {
            for (name, value) in options {
                if let Ok(step) = field.step(name) {
                    below(step.field(), protocol, name, value, label, visitor);
                }
            }
        }
        Value::Array(items) if field.kind == Some(Kind::Names) => {
            for item in items {
                leaf(protocol, name, item, label, visitor);
            }
        }
        Value::Array(items) => {
            if let Ok(step) = field.step("[0]") {
                for (index, item) in items.iter_mut().enumerate() {
                    below(step.field(), protocol, &format!("[{index}]"), item, label, visitor);
                }
            }
        }
        _ if field.kind == Some(Kind::Name) => leaf(protocol, name, value, label, visitor),
        _ => {}
    }
    label.truncate(length);
}

fn leaf(protocol: &str, option: &str, value: &mut Value, label: &str, visitor: &mut Visitor<'_>) {
    let (protocol, kind) = match option {
        "middlewares" => (protocol, "middlewares"),
        "serverstransport" => (protocol, "serverstransports"),
        "options" => ("tls", "options"),
        "parentrefs" => (protocol, "routers"),
        _ => (protocol, "services"),
    };
    if let Value::String(name) = value {
        visitor(&label.replace(".[", "["), protocol, kind, name);
    }
}

#[cfg(test)]
mod tests {
    use protocol::Labels;
    use serde_json::json;

    use crate::Exposure;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ServiceConfig {
        let labels = pairs.iter().map(|(key, value)| (format!("traefik.{key}"), (*value).to_owned()));
        ServiceConfig::read("s", &Labels(labels.collect()), &Exposure::default()).unwrap()
    }

    const ALL: &[(&str, &str)] = &[
        ("http.routers.r.rule", "Path(`/`)"),
        ("http.routers.r.middlewares", "chain,m@docker,f@file"),
        ("http.routers.r.service", "w"),
        ("http.routers.r.tls.options", "o"),
        ("http.routers.q.rule", "Path(`/q`)"),
        ("http.routers.q.service", "api@internal"),
        ("http.routers.q.tls.options", "default"),
        ("http.middlewares.chain.chain.middlewares", "m,e"),
        ("http.middlewares.m.compress", "true"),
        ("http.middlewares.e.errors.service", "s"),
        ("http.services.w.weighted.services[0].name", "s"),
        ("http.services.s.loadbalancer.serverstransport", "t"),
        ("http.services.s.loadbalancer.server.port", "81"),
        ("tcp.routers.r.rule", "HostSNI(`a`)"),
        ("tcp.routers.r.tls.options", "o"),
        ("tcp.routers.r.service", "x"),
        ("udp.routers.r.service", "x"),
    ];

    #[test]
    fn references_have_the_kind_of_their_definition() {
        let mut found: Vec<_> = config(ALL)
            .references()
            .iter()
            .map(|Reference { label, protocol, kind, name }| format!("{label} {protocol}.{kind}.{name}"))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "traefik.http.middlewares.chain.chain.middlewares http.middlewares.e",
                "traefik.http.middlewares.chain.chain.middlewares http.middlewares.m",
                "traefik.http.middlewares.e.errors.service http.services.s",
                "traefik.http.routers.r.middlewares http.middlewares.chain",
                "traefik.http.routers.r.middlewares http.middlewares.m",
                "traefik.http.routers.r.service http.services.w",
                "traefik.http.routers.r.tls.options tls.options.o",
                "traefik.http.services.s.loadbalancer.serverstransport http.serverstransports.t",
                "traefik.http.services.w.weighted.services[0].name http.services.s",
                "traefik.tcp.routers.r.service tcp.services.x",
                "traefik.tcp.routers.r.tls.options tls.options.o",
                "traefik.udp.routers.r.service udp.services.x",
            ]
        );
    }

    #[test]
    fn unresolved_reference_names_label_and_remedy() {
        let config = config(&[("http.routers.r.rule", "Path(`/`)"), ("http.routers.r.middlewares", "auth")]);
        assert_eq!(
            config.references()[0].unresolved(),
            "traefik.http.routers.r.middlewares refers to middleware auth, which no service defines; define \
             traefik.http.middlewares.auth.… or, if Traefik's own configuration defines it, write auth@file"
        );
    }

    #[test]
    fn renamed_definitions_are_renamed_where_they_are_used() {
        let all = config(ALL);
        assert_eq!(all.rename(|_, _, _| None), all);
        let renamed = all.rename(|_, _, name| Some(format!("{name}-2")));
        let http = &renamed.tree["http"];
        assert_eq!(http["routers"]["r-2"]["middlewares"], json!(["chain-2", "m-2", "f@file"]));
        assert_eq!(http["routers"]["r-2"]["service"], "w-2");
        assert_eq!(http["routers"]["r-2"]["tls"]["options"], "o", "the service does not define them");
        assert_eq!(http["routers"]["q-2"]["service"], "api@internal");
        assert_eq!(http["middlewares"]["chain-2"]["chain"]["middlewares"], json!(["m-2", "e-2"]));
        assert_eq!(http["middlewares"]["e-2"]["errors"]["service"], "s-2");
        assert_eq!(http["services"]["w-2"]["weighted"]["services"][0]["name"], "s-2");
        assert_eq!(renamed.server_options.keys().next().unwrap().1, "s-2");
        let middleware =
            all.rename(|_, kind, name| (kind == "middlewares" && name == "m").then(|| "n".to_owned()));
        assert_eq!(middleware.tree["http"]["routers"]["r"]["middlewares"], json!(["chain", "n", "f@file"]));
        assert_eq!(middleware.tree["http"]["services"], all.tree["http"]["services"]);
    }
}
