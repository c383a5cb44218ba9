//! `frontend.redirect.…`, and the redirects of `frontend.headers.SSL…`, which Traefik 3 takes no notice of.

use crate::Output;
use crate::names::Names;
use crate::rule::Rule;
use crate::segment::{Segment, Value};

/// The middlewares for `frontend.redirect`, and for what is to be asked for by HTTPS only.
pub(crate) fn translate(
    segment: &Segment<'_>,
    names: &Names,
    rule: Option<&Rule>,
    output: &mut Output,
) -> Vec<String> {
    let permanent = segment.is_true("frontend.redirect.permanent", output);
    let parts = ["regex", "replacement"].map(|part| segment.text(&format!("frontend.redirect.{part}")));
    let mut made = Vec::new();
    match (segment.text("frontend.redirect.entryPoint"), parts) {
        (Some(entry), others) => {
            for other in others.into_iter().flatten() {
                output.warn(other.key, "of no effect beside frontend.redirect.entryPoint");
            }
            made.push(to_entry_point(entry, permanent, names, output));
        }
        (None, [Some(regex), Some(replacement)]) => {
            let changes_path = rule.is_some_and(|rule| {
                !rule.strip.is_empty() || !rule.strip_regex.is_empty() || rule.add.is_some()
            });
            if changes_path {
                output.warn(
                    regex.key,
                    "Traefik 1 held it against the path without its prefix; now it is the whole path's",
                );
            }
            made.push(by_regex("redirectregex", [regex.text, replacement.text], permanent, names, output));
        }
        (None, others) => {
            for lonely in others.into_iter().flatten() {
                output.warn(lonely.key, "of no effect: a redirect has both a regex and a replacement");
            }
        }
    }
    made.extend(to_https(segment, names, output));
    made
}

fn to_entry_point(entry: Value<'_>, permanent: bool, names: &Names, output: &mut Output) -> String {
    let scheme = match entry.text {
        "http" | "web" => "http",
        _ => "https",
    };
    output.warn(
        entry.key,
        format!(
            "labels of Traefik 3 do not name an entry point to redirect to: it is {scheme} at its usual port now, for \
             another set redirectscheme.port, or redirect the whole entry point in Traefik's own configuration"
        ),
    );
    by_scheme("redirectscheme", scheme, permanent, names, output)
}

/// What `SSLRedirect`, `SSLHost` and `SSLForceHost` did.
fn to_https(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Option<String> {
    let prefix = "frontend.headers.";
    let [redirect, temporary, force] = ["SSLRedirect", "SSLTemporaryRedirect", "SSLForceHost"]
        .map(|option| segment.is_true(&format!("{prefix}{option}"), output));
    let is_development = segment.bool("frontend.headers.isDevelopment", &mut Output::default()) == Some(true);
    let host = segment.text("frontend.headers.SSLHost");
    if !redirect && !force {
        if let Some(value) = host {
            output.warn(value.key, "of no effect without frontend.headers.SSLRedirect");
        }
        return None;
    }
    if is_development {
        return None;
    }
    match host {
        Some(host) => {
            // With SSLForceHost alone, only what comes by HTTPS is sent to the host.
            let scheme = match (redirect, force) {
                (true, true) => "https?",
                (true, false) => "http",
                _ => "https",
            };
            let regex = format!("^{scheme}://[^/]+(.*)$");
            // The expression's own dollars are Traefik's to fill in, so the host's are doubled.
            let replacement = format!("https://{}${{1}}", host.text.replace('$', "$$"));
            Some(by_regex("ssl-redirectregex", [&regex, &replacement], !temporary, names, output))
        }
        None if redirect => Some(by_scheme("ssl-redirectscheme", "https", !temporary, names, output)),
        None => None,
    }
}

fn by_scheme(kind: &str, scheme: &str, permanent: bool, names: &Names, output: &mut Output) -> String {
    let name = names.middleware(kind, None);
    output.set(format_args!("middlewares.{name}.redirectscheme.scheme"), scheme);
    if permanent {
        output.set(format_args!("middlewares.{name}.redirectscheme.permanent"), "true");
    }
    name
}

fn by_regex(
    kind: &str,
    [regex, replacement]: [&str; 2],
    permanent: bool,
    names: &Names,
    output: &mut Output,
) -> String {
    let name = names.middleware(kind, None);
    output.set(format_args!("middlewares.{name}.redirectregex.regex"), regex);
    output.set(format_args!("middlewares.{name}.redirectregex.replacement"), replacement);
    if permanent {
        output.set(format_args!("middlewares.{name}.redirectregex.permanent"), "true");
    }
    name
}
