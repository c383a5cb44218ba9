//! Backends become services, and middlewares for the options that services of Traefik 3 do not have.

use crate::translator::Translator;
use crate::variables::is_open;

/// Translates the backend.
pub(crate) fn translate(t: &mut Translator<'_>) {
    let balancer = format!("services.{}.loadbalancer", t.names.service);
    server(t, &balancer);
    stickiness(t, &balancer);
    health_check(t, &balancer);
    if let Some(pass_host) = t.bool("frontend.passHostHeader").filter(|pass_host| pass_host != "true") {
        t.set(format_args!("{balancer}.passhostheader"), pass_host);
    }
    let flush_interval = format!("{balancer}.responseforwarding.flushinterval");
    t.copy_duration("backend.responseForwarding.flushInterval", flush_interval);
    if t.is_true("backend.loadbalancer.swarm") {
        t.warn_if_set(
            "backend.loadbalancer.swarm",
            "no effect: the hub routes directly to the tasks; for Traefik's own Swarm provider use traefik.swarm.lbswarm=true",
        );
    }
}

fn server(t: &mut Translator<'_>, balancer: &str) {
    t.copy_port("port", format_args!("{balancer}.server.port"));
    // Without a port this label is what defines the service, so it is also set to its default. Options of servers may differ
    // between services that share a backend.
    let scheme = t.one_of("protocol", &["http", "https", "h2c"], "http, https or h2c").unwrap_or("http");
    if scheme != "http" || !t.has("port") {
        t.set(format_args!("{balancer}.server.scheme"), scheme);
    }
    if let Some(weight) = t.int("weight").filter(|weight| weight != "1") {
        t.set(format_args!("{balancer}.server.weight"), weight);
    }
    let Some(method) = t.get("backend.loadbalancer.method") else { return };
    if is_open(&method.text) {
        t.warn(method.key, "no successor; Traefik 3 uses round robin");
    } else if method.text.eq_ignore_ascii_case("drr") {
        t.warn(
            method.key,
            "no successor; Traefik 3 uses round robin; the closest to drr is loadbalancer.strategy=leasttime",
        );
    } else if !method.text.eq_ignore_ascii_case("wrr") {
        t.error(method.key, format!("expected wrr or drr, got {:?}", method.text));
    }
}

fn stickiness(t: &mut Translator<'_>, balancer: &str) {
    let old = "backend.loadbalancer.stickiness";
    let is_sticky = t.is_true("backend.loadbalancer.sticky");
    let cookie = format!("{balancer}.sticky.cookie");
    if t.is_true(old) {
        let valid = ["none", "lax", "strict"];
        t.one_of(&format!("{old}.sameSite"), &valid, "none, lax or strict");
        let mut has_options = t.copy(&format!("{old}.cookieName"), format_args!("{cookie}.name"));
        has_options |= t.copy(&format!("{old}.sameSite"), format_args!("{cookie}.samesite"));
        has_options |= t.copy_true(&format!("{old}.secure"), format_args!("{cookie}.secure"));
        has_options |= t.copy_true(&format!("{old}.httpOnly"), format_args!("{cookie}.httponly"));
        if !has_options {
            t.set(&cookie, "true");
        }
        return;
    }
    t.warn_if_below(&format!("{old}."), "no effect without backend.loadbalancer.stickiness=true");
    if is_sticky {
        // The name from Traefik 1, so that clients stay with their servers.
        t.set(format_args!("{cookie}.name"), "_TRAEFIK_BACKEND");
    }
}

fn health_check(t: &mut Translator<'_>, balancer: &str) {
    let old = "backend.healthcheck";
    let check = format!("{balancer}.healthcheck");
    if !t.copy(&format!("{old}.path"), format_args!("{check}.path")) {
        t.warn_if_below(old, "no effect without backend.healthcheck.path");
        return;
    }
    t.copy(&format!("{old}.scheme"), format_args!("{check}.scheme"));
    t.copy(&format!("{old}.hostname"), format_args!("{check}.hostname"));
    t.copy_port(&format!("{old}.port"), format_args!("{check}.port"));
    t.copy_duration(&format!("{old}.interval"), format_args!("{check}.interval"));
    t.copy_duration(&format!("{old}.timeout"), format_args!("{check}.timeout"));
    for (header, value) in t.headers(&format!("{old}.headers")) {
        t.set(format_args!("{check}.headers.{header}"), value);
    }
}

/// Creates the middlewares for the circuit breaker and for buffering.
pub(crate) fn middlewares(t: &mut Translator<'_>) -> Vec<String> {
    let mut created = Vec::new();
    let name = t.names.middleware("circuitbreaker", None);
    let expression = format!("middlewares.{name}.circuitbreaker.expression");
    if t.copy("backend.circuitbreaker.expression", expression) {
        created.push(name);
    }
    let name = t.names.middleware("buffering", None);
    let buffering = format!("middlewares.{name}.buffering");
    let mut is_buffered =
        t.copy("backend.buffering.retryExpression", format_args!("{buffering}.retryexpression"));
    for option in
        ["maxRequestBodyBytes", "memRequestBodyBytes", "maxResponseBodyBytes", "memResponseBodyBytes"]
    {
        let path = format!("{buffering}.{}", option.to_ascii_lowercase());
        is_buffered |= t.copy_int(&format!("backend.buffering.{option}"), path);
    }
    if is_buffered {
        created.push(name);
    }
    created
}
