//! Names of routers, services, middlewares and so on. Traefik puts the provider behind each: `auth@docker`.

/// Providers whose labels come by way of the hub now. What they said of each other is this way now, too.
const REPLACED: [&str; 2] = ["docker", "swarm"];

/// The provider by which Traefik has all of it from the hub.
const OURS: &str = "http";

/// What holds definitions, in each protocol.
const DEFINITIONS: [&str; 6] =
    ["routers", "services", "middlewares", "serverstransports", "options", "stores"];

/// A reference as Traefik finds what it refers to. Those to what other providers define are left alone.
pub(crate) fn referred(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((name, provider)) if REPLACED.contains(&provider) => format!("{name}@{OURS}"),
        _ => name.to_owned(),
    }
}

/// What Traefik calls what `name`, at `place`, defines; where it defines nothing, `name` itself.
///
/// # Errors
/// Nobody may define what is another provider's, such as `dashboard@internal`: Traefik itself lets containers do so. Nor
/// the default options of TLS: a fault in these, and no router has TLS.
pub(crate) fn defined(place: &[&str], name: &str) -> Result<String, String> {
    let [_, kind] = place else { return Ok(name.to_owned()) };
    if !DEFINITIONS.contains(kind) {
        return Ok(name.to_owned());
    }
    match name.split_once('@') {
        None if *place == ["tls", "options"] && name.eq_ignore_ascii_case("default") => {
            Err("those are the options of everybody, for whoever runs Traefik to choose".to_owned())
        }
        None => Ok(name.to_owned()),
        Some((own, provider)) if !own.is_empty() && (provider == OURS || REPLACED.contains(&provider)) => {
            defined(place, own)
        }
        Some(_) => Err(format!("{name:?} would be another provider's")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_replaced_providers_lead_to_the_hub() {
        for (name, found) in [
            ("auth", "auth"),
            ("auth@docker", "auth@http"),
            ("auth@swarm", "auth@http"),
            ("auth@http", "auth@http"),
            ("auth@file", "auth@file"),
            ("api@internal", "api@internal"),
            ("@docker", "@http"),
            ("", ""),
        ] {
            assert_eq!(referred(name), found);
        }
    }

    #[test]
    fn nobody_defines_what_is_another_providers() {
        let router = ["http", "routers"];
        for name in ["a", "a@docker", "a@swarm", "a@http"] {
            assert_eq!(defined(&router, name).unwrap(), "a");
        }
        assert_eq!(
            defined(&router, "dashboard@internal").unwrap_err(),
            "\"dashboard@internal\" would be another provider's"
        );
        assert!(defined(&["tls", "options"], "default").is_err());
        assert!(defined(&["tls", "options"], "default@docker").is_err());
        assert!(defined(&["tls", "stores"], "default").is_ok());
        assert!(defined(&router, "@docker").is_err());
        assert!(defined(&router, "a@b@docker").is_err());
        let header = ["http", "middlewares", "m", "headers", "customrequestheaders"];
        assert_eq!(defined(&header, "X@docker").unwrap(), "X@docker");
    }
}
