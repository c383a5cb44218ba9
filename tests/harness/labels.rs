//! Labels of the demo, as under `deploy.labels` in `stacks/demo.yml`.

use anyhow::{Result, bail};

/// Keys and values, in the order of the stack file.
pub type LabelList = Vec<(String, String)>;

/// Returns the labels of a service of the demo. `port` is the port of the instance, which is 8080 in a container.
pub fn of(service: &str, port: u16) -> Result<LabelList> {
    let rule = match service {
        "ping" => "Path(`/ping`) || PathPrefix(`/ping/`)",
        "hello" => "PathPrefix(`/hello/`)",
        _ => bail!("the demo has no labels for {service}, only for ping and hello"),
    };
    Ok(routed(service, rule, Some(&format!("/{service}")), port))
}

/// Returns labels of a `service` that is routed by `rule`, with `prefix` stripped from the path.
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
