//! The demo's labels, as `stacks/demo.yml` has them under `deploy.labels`.

use anyhow::{Result, bail};

/// Key and value, in the order in which a stack file has them.
pub type LabelList = Vec<(String, String)>;

/// What `service` of the demo is routed by; `port` is where the instance listens, which in a container is always 8080.
pub fn of(service: &str, port: u16) -> Result<LabelList> {
    let rule = match service {
        "ping" => "Path(`/ping`) || PathPrefix(`/ping/`)",
        "hello" => "PathPrefix(`/hello/`)",
        _ => bail!("looking for labels of {service}: the demo has ping and hello"),
    };
    Ok(routed(service, rule, Some(&format!("/{service}")), port))
}

/// Labels of a `service` that is reached by `rule`, with `prefix` taken off the path.
pub fn routed(service: &str, rule: &str, prefix: Option<&str>, port: u16) -> LabelList {
    let mut labels = vec![(format!("traefik.http.routers.{service}.rule"), rule.to_owned())];
    if let Some(prefix) = prefix {
        let middleware = format!("{service}-prefix");
        labels.push((format!("traefik.http.routers.{service}.middlewares"), middleware.clone()));
        labels
            .push((format!("traefik.http.middlewares.{middleware}.stripprefix.prefixes"), prefix.to_owned()));
    }
    labels.push((format!("traefik.http.services.{service}.loadbalancer.server.port"), port.to_string()));
    labels
}
