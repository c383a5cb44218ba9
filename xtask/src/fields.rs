//! Generates `sidecar/traefik/src/fields.txt`, the options of Traefik in labels, from the Go types of its configuration.
//!
//! Traefik's reference (`docker-labels.yml`) is generated from the same types, but omits rare options. Each of its keys
//! must be among the generated ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use go::{Declaration, Packages};

mod go;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory with a checkout of Traefik's repository
    #[arg(value_name = "DIR")]
    source: PathBuf,
    /// Fail if the options differ from those in fields.txt, instead of printing them
    #[arg(long)]
    check: bool,
}

const HEADER: &str = "\
# Options of Traefik 3.7 in labels, under `traefik.`: a path and a type per line. `*` is a name that the user chooses, `[n]` an
# index, `**` any path. Options are in lower case and case-insensitive. A `name` refers to a router, service, middleware and so
# on. A `switch` is true or false, and may have options below it.
#
# Generated from Traefik's source: cargo xtask fields CHECKOUT > sidecar/traefik/src/fields.txt
";

/// Go packages, with their directories in the repository.
const PACKAGES: [(&str, &str); 5] = [
    ("dynamic", "pkg/config/dynamic"),
    ("tls", "pkg/tls"),
    ("types", "pkg/types"),
    ("otypes", "pkg/observability/types"),
    ("docker", "pkg/provider/docker"),
];

/// Types that all providers decode, and that the Docker and Swarm providers decode.
const ROOTS: [&str; 2] = ["dynamic.Configuration", "docker.labelConfiguration"];

/// Traefik's reference of labels.
const REFERENCE: &str = "docs/content/reference/dynamic-configuration/docker-labels.yml";

/// Defaults of entry points, which Traefik creates itself. In labels it decodes and ignores them.
const INTERNAL: &str = "http.models";

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut packages = Packages::default();
    for (name, place) in PACKAGES {
        packages.read(name, &args.source.join(place))?;
    }
    let lines = lines(&packages)?;
    let reference = args.source.join(REFERENCE);
    let reference =
        fs::read_to_string(&reference).with_context(|| format!("reading {}", reference.display()))?;
    compare(&lines, &reference)
        .with_context(|| format!("comparing with {}", Path::new(REFERENCE).display()))?;
    let text = text(&lines);
    if args.check {
        return ensure_same(include_str!("../../sidecar/traefik/src/fields.txt"), &text);
    }
    print!("{text}");
    Ok(())
}

/// Fails if `new` differs from the text of fields.txt. The error lists the differences.
fn ensure_same(old: &str, new: &str) -> Result<()> {
    let only = |sign: char, text: &str, other: &str| {
        let others: BTreeSet<_> = other.lines().collect();
        let lines = text.lines().filter(|line| !others.contains(line));
        let lines = lines.map(|line| format!("\n{sign} {line}"));
        lines.collect::<String>()
    };
    let differences = only('-', old, new) + &only('+', new, old);
    ensure!(differences.is_empty(), "fields.txt differs from this Traefik; generate it again:{differences}");
    Ok(())
}

/// Types by path.
type Lines = BTreeMap<String, &'static str>;

fn text(lines: &Lines) -> String {
    let lines = lines.iter().map(|(path, kind)| format!("{path} {kind}\n"));
    HEADER.to_owned() + &lines.collect::<String>()
}

fn lines(packages: &Packages) -> Result<Lines> {
    let mut walk = Walk { packages, lines: Lines::new() };
    for root in ROOTS {
        walk.fields("", root, false)?;
    }
    ensure!(!walk.lines.is_empty(), "reading Traefik's types: no fields found");
    Ok(walk.lines)
}

/// Fails if `lines` lacks a key of the reference.
fn compare(lines: &Lines, reference: &str) -> Result<()> {
    let documented =
        reference.lines().filter_map(|line| line.strip_prefix("- \"traefik.")?.split('=').next());
    let keys: Vec<_> = documented.collect();
    ensure!(!keys.is_empty(), "the reference contains no labels");
    let missing: Vec<_> =
        keys.into_iter().filter(|key| !lines.keys().any(|path| covers(path, key))).collect();
    ensure!(missing.is_empty(), "no type has the documented options {}", missing.join(", "));
    Ok(())
}

/// Whether a label's `key` matches `path`.
fn covers(path: &str, key: &str) -> bool {
    let key = key.replace('[', ".[");
    let mut segments = key.split('.');
    for expected in path.split('.') {
        match (expected, segments.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            ("[n]", Some(segment)) if segment.starts_with('[') => {}
            (expected, Some(segment)) if expected.eq_ignore_ascii_case(segment) => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

struct Walk<'a> {
    packages: &'a Packages,
    lines: Lines,
}

impl Walk<'_> {
    /// Adds the fields of the struct `name` at `path`. `labels` selects the tags for labels instead of files.
    fn fields(&mut self, path: &str, name: &str, labels: bool) -> Result<()> {
        let Some(Declaration::Struct(fields)) = self.packages.get(name) else {
            bail!("reading Traefik's types: {name} of {path:?} is not a struct")
        };
        let package = name.split('.').next().unwrap_or_default();
        for field in fields {
            let kind = Packages::full_name(package, &field.kind);
            if field.name.is_empty() {
                // Other editions of Traefik extend this embedded struct. Here it is empty.
                if !kind.starts_with("ext.") {
                    self.fields(path, &kind, labels)?;
                }
                continue;
            }
            let hidden = if labels {
                field.tag("label") == Some("-")
            } else {
                field.tag("file") == Some("-") || field.tag("yaml") == Some("-")
            };
            let as_struct = field.tag("label-slice-as-struct");
            let segment = as_struct.unwrap_or(&field.name).to_ascii_lowercase();
            let below = if path.is_empty() { segment } else { format!("{path}.{segment}") };
            if hidden || below == INTERNAL {
                continue;
            }
            if ["label", "file"].iter().any(|reader| field.tag(reader) == Some("allowEmpty"))
                && field.kind.starts_with('*')
            {
                self.lines.insert(below.clone(), "switch");
            }
            match as_struct {
                Some(_) => {
                    let item = Packages::full_name(package, field.kind.trim_start_matches("[]"));
                    self.fields(&below, &item, true)?;
                }
                None => self.value(&below, package, &field.kind)?,
            }
        }
        Ok(())
    }

    /// Adds a value of type `kind`, as named in `package`, and the fields below it.
    fn value(&mut self, path: &str, package: &str, kind: &str) -> Result<()> {
        let kind = kind.trim_start_matches('*');
        if let Some(item) = kind.strip_prefix("[]") {
            return match self.scalar(package, item.trim_start_matches('*')) {
                Some("string") => {
                    self.lines.insert(path.to_owned(), if is_name(path) { "names" } else { "list" });
                    Ok(())
                }
                Some(other) => bail!("reading Traefik's types: {path} is a list of {other}"),
                None => self.value(&format!("{path}.[n]"), package, item),
            };
        }
        match kind.strip_prefix("map[string]") {
            Some("any") => {
                self.lines.insert(format!("{path}.**"), "string");
                return Ok(());
            }
            Some(item) => return self.value(&format!("{path}.*"), package, item),
            None => {}
        }
        if let Some(scalar) = self.scalar(package, kind) {
            let scalar = if scalar == "string" && is_name(path) { "name" } else { scalar };
            self.lines.insert(path.to_owned(), scalar);
            return Ok(());
        }
        let name = Packages::full_name(package, kind);
        match self.packages.get(&name) {
            Some(Declaration::Named(other)) => {
                let package = name.split('.').next().unwrap_or_default();
                self.value(path, package, other)
            }
            _ => self.fields(path, &name, false),
        }
    }

    /// Returns the name of a scalar type in fields.txt.
    fn scalar(&self, package: &str, kind: &str) -> Option<&'static str> {
        match kind {
            "string" => return Some("string"),
            "bool" => return Some("bool"),
            "int" | "int64" => return Some("int"),
            "ptypes.Duration" => return Some("duration"),
            _ => {}
        }
        let name = Packages::full_name(package, kind);
        match self.packages.get(&name)? {
            Declaration::Named(other) => self.scalar(name.split('.').next()?, other),
            Declaration::Struct(_) => None,
        }
    }
}

/// Whether the option at `path` refers to a definition by name.
fn is_name(path: &str) -> bool {
    let mut segments = path.rsplit('.');
    let (last, before) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    match last {
        "service" | "fallback" | "serverstransport" | "middlewares" | "parentrefs" => true,
        "options" => before == "tls",
        "name" => before == "[n]",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind of declaration in Traefik's source.
    const DYNAMIC: &str = r#"
package dynamic

type Configuration struct {
	HTTP *HTTPConfiguration `json:"http,omitempty" yaml:"http,omitempty"`
}

type HTTPConfiguration struct {
	ext.HTTP `yaml:",inline"`

	Routers  map[string]*Router `yaml:"routers,omitempty"`
	Models   map[string]*Router `yaml:"models,omitempty"`
	// Transports are for files only.
	ServersTransports map[string]*Transport `yaml:"serversTransports,omitempty" label:"-"`
	Services map[string]*Service `yaml:"services,omitempty"`
	Plugin   map[string]PluginConf `yaml:"plugin,omitempty"`
}

// Router comment.
type Router struct {
	EntryPoints []string `yaml:"entryPoints,omitempty"`
	Middlewares []string `yaml:"middlewares,omitempty"`
	Service     string `yaml:"service,omitempty"`
	Priority    int `yaml:"priority,omitempty"`
	TLS         *TLS `yaml:"tls,omitempty" label:"allowEmpty" file:"allowEmpty"`
	DefaultRule bool `json:"-" yaml:"-" label:"-" file:"-"`
	Metrics     *bool `yaml:"metrics,omitempty"`
	Verbosity   otypes.Verbosity `yaml:"verbosity,omitempty"`
}

type TLS struct {
	Options string `yaml:"options,omitempty"`
	Domains []types.Domain `yaml:"domains,omitempty"`
}

type Service struct {
	Servers []Server `yaml:"servers,omitempty" label-slice-as-struct:"server"`
	Sticky  *Sticky `yaml:"sticky,omitempty" label:"allowEmpty"`
	Timeout *ptypes.Duration `yaml:"timeout,omitempty"`
}

type Server struct {
	URL    string `yaml:"url,omitempty"`
	Fenced bool `yaml:"-" label:"-" file:"-"`
	Port   string `json:"-" yaml:"-" file:"-"`
}

type Sticky struct{}

type Transport struct {
	RootCAs      []types.FileOrContent `yaml:"rootCAs,omitempty"`
	Certificates traefiktls.Certificates `yaml:"certificates,omitempty"`
	ReadTimeout  ptypes.Duration `json:"-" yaml:"-"`
}

type PluginConf map[string]any
"#;

    const OTHERS: [(&str, &str); 4] = [
        ("types", "type Domain struct {\n\tSANs []string `yaml:\"sans\"`\n}\ntype FileOrContent string"),
        (
            "tls",
            "type Certificates []Certificate\ntype Certificate struct {\n\tKeyFile types.FileOrContent `yaml:\"k\"`\n}",
        ),
        ("otypes", "type Verbosity string"),
        (
            "docker",
            "type labelConfiguration struct {\n\tEnable bool\n\tSwarm *swarm\n}\ntype swarm struct {\n\tNetwork *string\n}",
        ),
    ];

    fn packages() -> Packages {
        let mut packages = Packages::default();
        packages.add("dynamic", DYNAMIC);
        for (name, text) in OTHERS {
            packages.add(name, text);
        }
        packages
    }

    #[test]
    fn types_become_paths() {
        let generated = text(&lines(&packages()).unwrap());
        let expected = "\
enable bool
http.plugin.*.** string
http.routers.*.entrypoints list
http.routers.*.metrics bool
http.routers.*.middlewares names
http.routers.*.priority int
http.routers.*.service name
http.routers.*.tls switch
http.routers.*.tls.domains.[n].sans list
http.routers.*.tls.options name
http.routers.*.verbosity string
http.serverstransports.*.certificates.[n].keyfile string
http.serverstransports.*.rootcas list
http.services.*.server.port string
http.services.*.server.url string
http.services.*.sticky switch
http.services.*.timeout duration
swarm.network string
";
        assert_eq!(generated.strip_prefix(HEADER).unwrap(), expected);
    }

    #[test]
    fn undeclared_type_is_named() {
        let mut packages = packages();
        packages.add("dynamic", "type Sticky struct {\n\tCookie *Cookie `yaml:\"cookie\"`\n}");
        let error = lines(&packages).unwrap_err().to_string();
        assert_eq!(
            error,
            "reading Traefik's types: dynamic.Cookie of \"http.services.*.sticky.cookie\" is not a struct"
        );
    }

    #[test]
    fn documented_option_without_a_type_is_named() {
        let lines = lines(&packages()).unwrap();
        let known =
            "- \"traefik.http.routers.r0.tls.domains[0].sans=a\"\n- \"traefik.HTTP.plugin.p.a.b=c\"\n";
        compare(&lines, known).unwrap();
        let error = compare(&lines, &format!("{known}- \"traefik.http.routers.r0.rule=a\"")).unwrap_err();
        assert_eq!(error.to_string(), "no type has the documented options http.routers.r0.rule");
        assert!(compare(&lines, "").is_err());
    }

    #[test]
    fn options_that_differ_are_named() {
        ensure_same("a bool\n", "a bool\n").unwrap();
        let error = ensure_same("a bool\nb int\n", "a bool\nc int\n").unwrap_err().to_string();
        assert!(error.ends_with("generate it again:\n- b int\n+ c int"), "{error}");
    }

    #[test]
    fn fields_txt_is_sorted_and_consistent() {
        let file = include_str!("../../sidecar/traefik/src/fields.txt");
        let body = file.strip_prefix(HEADER).expect("fields.txt begins with the header");
        let split = body.lines().map(|line| line.split_once(' ').expect("a path and its type"));
        let kinds = ["bool", "duration", "int", "list", "name", "names", "string", "switch"];
        let lines: Lines = split
            .map(|(path, kind)| (path.to_owned(), *kinds.iter().find(|known| **known == kind).expect(kind)))
            .collect();
        assert_eq!(text(&lines), file, "each line once, in order");
        for (path, kind) in &lines {
            let named = matches!(*kind, "name" | "names");
            assert_eq!(named, is_name(path) && *kind != "switch", "{path}");
        }
    }
}
