//! `frontend.redirect.…`, and the redirects of `frontend.headers.SSL…`, which Traefik 3 ignores in its headers middleware.

use crate::rule::Rule;
use crate::segment::LabelValue;
use crate::translator::Translator;

/// Creates the redirects that Traefik 1 had for a slash at the end of a path.
pub(crate) fn slashes(t: &mut Translator<'_>, rule: &Rule) -> Vec<String> {
    let kinds = [
        ("add-slash-redirectregex", &rule.add_slash, "", "${1}/${query}"),
        ("slash-redirectregex", &rule.remove_slash, "/", "${1}${query}"),
    ];
    let kinds = kinds.into_iter().filter(|(_, paths, ..)| !paths.is_empty());
    let create = |(kind, paths, slash, replacement): (_, &Vec<String>, _, _)| {
        let paths = if let [path] = paths.as_slice() { path } else { &format!("(?:{})", paths.join("|")) };
        let regex = format!(r"^(https?://[^/?]+{paths}){slash}(?P<query>\?.*)?$");
        by_regex(t, kind, [&regex, replacement], true)
    };
    kinds.map(create).collect()
}

/// Creates the redirect middlewares.
pub(crate) fn translate(t: &mut Translator<'_>, rule: Option<&Rule>) -> Vec<String> {
    let permanent = t.is_true("frontend.redirect.permanent");
    let parts = ["regex", "replacement"].map(|part| t.get(&format!("frontend.redirect.{part}")));
    let mut created = Vec::new();
    match (t.get("frontend.redirect.entryPoint"), parts) {
        (Some(entry_point), others) => {
            for other in others.into_iter().flatten() {
                t.warn(other.key, "no effect, because frontend.redirect.entryPoint is set");
            }
            created.push(to_entry_point(t, entry_point, permanent));
        }
        (None, [Some(regex), Some(replacement)]) => {
            let changes_path = rule.is_some_and(|rule| {
                !rule.strip.is_empty() || !rule.strip_regex.is_empty() || rule.add.is_some()
            });
            if changes_path {
                t.warn(
                    regex.key,
                    "now matches the original path; Traefik 1 matched it after the rule had changed it",
                );
            }
            created.push(by_regex(t, "redirectregex", [&regex.text, &replacement.text], permanent));
        }
        (None, others) => {
            for incomplete in others.into_iter().flatten() {
                t.warn(incomplete.key, "no effect: a redirect needs both regex and replacement");
            }
        }
    }
    created.extend(to_https(t));
    created
}

fn to_entry_point(t: &mut Translator<'_>, entry_point: &LabelValue<'_>, permanent: bool) -> String {
    let scheme = if matches!(entry_point.text.as_str(), "http" | "web") { "http" } else { "https" };
    t.warn(
        entry_point.key,
        format!(
            "labels of Traefik 3 cannot redirect to an entry point; this is now {scheme} on its default port; for another \
             port set redirectscheme.port, or redirect the entry point in Traefik's own configuration"
        ),
    );
    by_scheme(t, "redirectscheme", scheme, permanent)
}

/// Translates `SSLRedirect`, `SSLHost` and `SSLForceHost`.
fn to_https(t: &mut Translator<'_>) -> Option<String> {
    let [redirect, temporary, force, is_development] =
        ["SSLRedirect", "SSLTemporaryRedirect", "SSLForceHost", "isDevelopment"]
            .map(|option| t.is_true(&format!("frontend.headers.{option}")));
    if !redirect && !force {
        t.warn_if_set("frontend.headers.SSLHost", "no effect without frontend.headers.SSLRedirect");
        return None;
    }
    if is_development {
        return None;
    }
    let host = t.get("frontend.headers.SSLHost").map(|host| host.text.as_str());
    let (kind, options) = https_redirect(redirect, force, host)?;
    let mut options: Vec<_> = options.iter().map(|(option, value)| (*option, value.as_str())).collect();
    options.extend((!temporary).then_some(("permanent", "true")));
    Some(t.set_middleware(&format!("ssl-{kind}"), &options))
}

/// Kind and options of the middleware that redirects to HTTPS as the headers middleware of Traefik 1 and 2 did. `force` is
/// `SSLForceHost`, `host` is `SSLHost`.
pub(crate) fn https_redirect(
    redirect: bool,
    force: bool,
    host: Option<&str>,
) -> Option<(&'static str, Vec<(&'static str, String)>)> {
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return redirect.then(|| ("redirectscheme", vec![("scheme", "https".to_owned())]));
    };
    // SSLForceHost alone redirects HTTPS requests only.
    let scheme = match (redirect, force) {
        (true, true) => "https?",
        (true, false) => "http",
        (false, true) => "https",
        (false, false) => return None,
    };
    let regex = format!("^{scheme}://[^/]+(.*)$");
    // Traefik expands dollars in the replacement, so those of the host are doubled.
    let replacement = format!("https://{}${{1}}", host.replace('$', "$$"));
    Some(("redirectregex", vec![("regex", regex), ("replacement", replacement)]))
}

fn by_scheme(t: &mut Translator<'_>, kind: &str, scheme: &str, permanent: bool) -> String {
    let mut options = vec![("scheme", scheme)];
    options.extend(permanent.then_some(("permanent", "true")));
    t.set_middleware(kind, &options)
}

fn by_regex(t: &mut Translator<'_>, kind: &str, [regex, replacement]: [&str; 2], permanent: bool) -> String {
    let mut options = vec![("regex", regex), ("replacement", replacement)];
    options.extend(permanent.then_some(("permanent", "true")));
    t.set_middleware(kind, &options)
}
