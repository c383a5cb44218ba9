//! A backend becomes a service, and middlewares for what Traefik 3's services do not do.

use std::num::NonZeroU16;

use crate::Output;
use crate::names::Names;
use crate::segment::Segment;

/// Writes the service.
pub(crate) fn translate(segment: &Segment<'_>, names: &Names, output: &mut Output) {
    let balancer = format!("services.{}.loadbalancer", names.service);
    server(segment, &balancer, output);
    stickiness(segment, &balancer, output);
    health_check(segment, &balancer, output);
    // Also where it is what Traefik does anyway: a service that no label speaks of is none.
    let host = segment.bool("frontend.passHostHeader", output).unwrap_or(true);
    if !host || !segment.has("port") {
        output.set(format_args!("{balancer}.passhostheader"), host.to_string());
    }
    if let Some(interval) = segment.duration("backend.responseForwarding.flushInterval", output) {
        output.set(format_args!("{balancer}.responseforwarding.flushinterval"), interval);
    }
    if segment.is_true("backend.loadbalancer.swarm", output)
        && let Some(value) = segment.text("backend.loadbalancer.swarm")
    {
        output.warn(
            value.key,
            "for Traefik's own swarm provider it is traefik.swarm.lbswarm=true; the hub routes straight to the tasks",
        );
    }
}

fn server(segment: &Segment<'_>, balancer: &str, output: &mut Output) {
    if let Some(value) = segment.text("port") {
        if value.text.parse::<NonZeroU16>().is_err() {
            output.error(value.key, format!("a port from 1 to 65535 is expected, not {:?}", value.text));
        }
        output.set(format_args!("{balancer}.server.port"), value.text);
    }
    if let Some(value) = segment.text("protocol") {
        match value.text {
            // By default it is so.
            "http" => {}
            "https" | "h2c" => output.set(format_args!("{balancer}.server.scheme"), value.text),
            other => output.error(value.key, format!("http, https or h2c is expected, not {other:?}")),
        }
    }
    if let Some(weight) = segment.int("weight", output).filter(|weight| *weight != 1) {
        output.set(format_args!("{balancer}.server.weight"), weight.to_string());
    }
    if let Some(value) = segment.text("backend.loadbalancer.method") {
        match value.text.to_ascii_lowercase().as_str() {
            "wrr" => {}
            "drr" => output.warn(
                value.key,
                "no successor: requests go round now; nearest to it is loadbalancer.strategy=leasttime",
            ),
            _ => output.error(value.key, format!("wrr or drr is expected, not {:?}", value.text)),
        }
    }
}

fn stickiness(segment: &Segment<'_>, balancer: &str, output: &mut Output) {
    let old = "backend.loadbalancer.stickiness";
    let sticky = segment.is_true("backend.loadbalancer.sticky", output);
    let cookie = format!("{balancer}.sticky.cookie");
    if segment.is_true(old, output) {
        let mut is_described = false;
        let mut set = |field: &str, value: &str, output: &mut Output| {
            is_described = true;
            output.set(format_args!("{cookie}.{field}"), value);
        };
        if let Some(value) = segment.text(&format!("{old}.cookieName")) {
            set("name", value.text, output);
        }
        if let Some(value) = segment.text(&format!("{old}.sameSite")) {
            if !matches!(value.text, "none" | "lax" | "strict") {
                output.error(value.key, format!("none, lax or strict is expected, not {:?}", value.text));
            }
            set("samesite", value.text, output);
        }
        for (option, field) in [("secure", "secure"), ("httpOnly", "httponly")] {
            if segment.is_true(&format!("{old}.{option}"), output) {
                set(field, "true", output);
            }
        }
        if !is_described {
            output.set(&cookie, "true");
        }
        return;
    }
    if let Some(key) = segment.below(&format!("{old}.")) {
        output.warn(key, "of no effect without backend.loadbalancer.stickiness=true");
    }
    if sticky {
        // That of Traefik 1, so that clients stay where they are.
        output.set(format_args!("{cookie}.name"), "_TRAEFIK_BACKEND");
    }
}

fn health_check(segment: &Segment<'_>, balancer: &str, output: &mut Output) {
    let old = "backend.healthcheck";
    let Some(path) = segment.text(&format!("{old}.path")) else {
        if let Some(key) = segment.below(old) {
            output.warn(key, "of no effect without backend.healthcheck.path");
        }
        return;
    };
    let check = format!("{balancer}.healthcheck");
    output.set(format_args!("{check}.path"), path.text);
    for field in ["scheme", "hostname"] {
        if let Some(value) = segment.text(&format!("{old}.{field}")) {
            output.set(format_args!("{check}.{field}"), value.text);
        }
    }
    if let Some(value) = segment.text(&format!("{old}.port")) {
        if value.text.parse::<NonZeroU16>().is_err() {
            output.error(value.key, format!("a port from 1 to 65535 is expected, not {:?}", value.text));
        }
        output.set(format_args!("{check}.port"), value.text);
    }
    for field in ["interval", "timeout"] {
        if let Some(time) = segment.duration(&format!("{old}.{field}"), output) {
            output.set(format_args!("{check}.{field}"), time);
        }
    }
    for (header, value) in segment.map(&format!("{old}.headers"), output) {
        output.set(format_args!("{check}.headers.{header}"), value);
    }
}

/// Middlewares for the circuit breaker and for buffering.
pub(crate) fn middlewares(segment: &Segment<'_>, names: &Names, output: &mut Output) -> Vec<String> {
    let mut made = Vec::new();
    if let Some(value) = segment.text("backend.circuitbreaker.expression") {
        let name = names.middleware("circuitbreaker", None);
        output.set(format_args!("middlewares.{name}.circuitbreaker.expression"), value.text);
        made.push(name);
    }
    let name = names.middleware("buffering", None);
    let mut is_buffered = false;
    for option in
        ["maxRequestBodyBytes", "memRequestBodyBytes", "maxResponseBodyBytes", "memResponseBodyBytes"]
    {
        if let Some(bytes) = segment.int(&format!("backend.buffering.{option}"), output) {
            let field = option.to_ascii_lowercase();
            output.set(format_args!("middlewares.{name}.buffering.{field}"), bytes.to_string());
            is_buffered = true;
        }
    }
    if let Some(value) = segment.text("backend.buffering.retryExpression") {
        output.set(format_args!("middlewares.{name}.buffering.retryexpression"), value.text);
        is_buffered = true;
    }
    if is_buffered {
        made.push(name);
    }
    made
}
