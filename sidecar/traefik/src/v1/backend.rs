//! A backend becomes a service, and middlewares for what Traefik 3's services do not do.

use std::num::NonZeroU16;

use super::Written;
use super::names::Names;
use super::segment::Segment;

/// Writes the service.
pub(super) fn translate(segment: &Segment<'_>, names: &Names, written: &mut Written) {
    let balancer = format!("services.{}.loadbalancer", names.service);
    server(segment, &balancer, written);
    stickiness(segment, &balancer, written);
    health_check(segment, &balancer, written);
    // Also where it is what Traefik does anyway: a service that no label speaks of is none.
    let host = segment.bool("frontend.passHostHeader", written).unwrap_or(true);
    if !host || !segment.has("port") {
        written.set(format_args!("{balancer}.passhostheader"), host.to_string());
    }
    if let Some(interval) = segment.duration("backend.responseForwarding.flushInterval", written) {
        written.set(format_args!("{balancer}.responseforwarding.flushinterval"), interval);
    }
    if segment.is_true("backend.loadbalancer.swarm", written)
        && let Some(value) = segment.text("backend.loadbalancer.swarm")
    {
        written.warn(
            value.key,
            "for Traefik's own swarm provider it is traefik.swarm.lbswarm=true; the hub routes straight to the tasks",
        );
    }
}

fn server(segment: &Segment<'_>, balancer: &str, written: &mut Written) {
    if let Some(value) = segment.text("port") {
        if value.text.parse::<NonZeroU16>().is_err() {
            written.fault(value.key, format!("a port from 1 to 65535 is expected, not {:?}", value.text));
        }
        written.set(format_args!("{balancer}.server.port"), value.text);
    }
    if let Some(value) = segment.text("protocol") {
        match value.text {
            // By default it is so.
            "http" => {}
            "https" | "h2c" => written.set(format_args!("{balancer}.server.scheme"), value.text),
            other => written.fault(value.key, format!("http, https or h2c is expected, not {other:?}")),
        }
    }
    if let Some(weight) = segment.int("weight", written).filter(|weight| *weight != 1) {
        written.set(format_args!("{balancer}.server.weight"), weight.to_string());
    }
    if let Some(value) = segment.text("backend.loadbalancer.method") {
        match value.text.to_ascii_lowercase().as_str() {
            "wrr" => {}
            "drr" => written.warn(
                value.key,
                "no successor: requests go round now; nearest to it is loadbalancer.strategy=leasttime",
            ),
            _ => written.fault(value.key, format!("wrr or drr is expected, not {:?}", value.text)),
        }
    }
}

fn stickiness(segment: &Segment<'_>, balancer: &str, written: &mut Written) {
    let old = "backend.loadbalancer.stickiness";
    let sticky = segment.is_true("backend.loadbalancer.sticky", written);
    let cookie = format!("{balancer}.sticky.cookie");
    if segment.is_true(old, written) {
        let mut is_described = false;
        let mut set = |field: &str, value: &str, written: &mut Written| {
            is_described = true;
            written.set(format_args!("{cookie}.{field}"), value);
        };
        if let Some(value) = segment.text(&format!("{old}.cookieName")) {
            set("name", value.text, written);
        }
        if let Some(value) = segment.text(&format!("{old}.sameSite")) {
            if !matches!(value.text, "none" | "lax" | "strict") {
                written.fault(value.key, format!("none, lax or strict is expected, not {:?}", value.text));
            }
            set("samesite", value.text, written);
        }
        for (option, field) in [("secure", "secure"), ("httpOnly", "httponly")] {
            if segment.is_true(&format!("{old}.{option}"), written) {
                set(field, "true", written);
            }
        }
        if !is_described {
            written.set(&cookie, "true");
        }
        return;
    }
    if let Some(key) = segment.below(&format!("{old}.")) {
        written.warn(key, "of no effect without backend.loadbalancer.stickiness=true");
    }
    if sticky {
        // That of Traefik 1, so that clients stay where they are.
        written.set(format_args!("{cookie}.name"), "_TRAEFIK_BACKEND");
    }
}

fn health_check(segment: &Segment<'_>, balancer: &str, written: &mut Written) {
    let old = "backend.healthcheck";
    let Some(path) = segment.text(&format!("{old}.path")) else {
        if let Some(key) = segment.below(old) {
            written.warn(key, "of no effect without backend.healthcheck.path");
        }
        return;
    };
    let check = format!("{balancer}.healthcheck");
    written.set(format_args!("{check}.path"), path.text);
    for field in ["scheme", "hostname"] {
        if let Some(value) = segment.text(&format!("{old}.{field}")) {
            written.set(format_args!("{check}.{field}"), value.text);
        }
    }
    if let Some(value) = segment.text(&format!("{old}.port")) {
        if value.text.parse::<NonZeroU16>().is_err() {
            written.fault(value.key, format!("a port from 1 to 65535 is expected, not {:?}", value.text));
        }
        written.set(format_args!("{check}.port"), value.text);
    }
    for field in ["interval", "timeout"] {
        if let Some(time) = segment.duration(&format!("{old}.{field}"), written) {
            written.set(format_args!("{check}.{field}"), time);
        }
    }
    for (header, value) in segment.map(&format!("{old}.headers"), written) {
        written.set(format_args!("{check}.headers.{header}"), value);
    }
}

/// Middlewares for the circuit breaker and for buffering.
pub(super) fn middlewares(segment: &Segment<'_>, names: &Names, written: &mut Written) -> Vec<String> {
    let mut made = Vec::new();
    if let Some(value) = segment.text("backend.circuitbreaker.expression") {
        let name = names.middleware("circuitbreaker", None);
        written.set(format_args!("middlewares.{name}.circuitbreaker.expression"), value.text);
        made.push(name);
    }
    let name = names.middleware("buffering", None);
    let mut is_buffered = false;
    for option in
        ["maxRequestBodyBytes", "memRequestBodyBytes", "maxResponseBodyBytes", "memResponseBodyBytes"]
    {
        if let Some(bytes) = segment.int(&format!("backend.buffering.{option}"), written) {
            let field = option.to_ascii_lowercase();
            written.set(format_args!("middlewares.{name}.buffering.{field}"), bytes.to_string());
            is_buffered = true;
        }
    }
    if let Some(value) = segment.text("backend.buffering.retryExpression") {
        written.set(format_args!("middlewares.{name}.buffering.retryexpression"), value.text);
        is_buffered = true;
    }
    if is_buffered {
        made.push(name);
    }
    made
}
