//! Service registry that feeds Traefik's HTTP provider.
//!
//! - [`api`]: HTTP API, with [`auth`], [`address`], [`query`] and [`events`]
//! - [`hub`]: shared state, and requests that wait for it to change
//! - [`state`]: the configuration and its generation, from [`registry`] (leases and labels, with [`specs`], [`policy`] and [`plans`]) and
//!   [`routers`], which reports to it as [`reports`] says
//! - [`traefik_api`]: requests to the API of routers, whose answers [`rawdata`] parses
//! - [`certificate`], [`certificates`]: certificates for routers, generated or from a directory
//! - [`key`]: secrets that derive from the token, such as [`ticket`]s
//! - [`limits`]: bounds on what clients hold
//! - [`journal`]: the latest events; [`prometheus`]: tasks as targets
//! - [`command`]: `hub ps`, `hub explain` and `hub wait`, which ask hubs for an [`explanation`]; [`questions`] to agents for `hub wait`
//! - `hub labels`: in the package `traefik-v1`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use cli::{Failure, LogLimit, parse_bool};
use parse::{Cidr, bounded_duration, positive_duration};
use runtime::{AppInfo, Context, Subcommand, app_info, main_with};
use tls::{server, small_provider};
use tracing::warn;
use traefik::{Constraints, DefaultRule, Exposure};

use crate::auth::{Auth, Masters};

mod address;
mod api;
mod auth;
mod certificate;
mod certificates;
mod command;
mod events;
mod explanation;
mod hub;
mod journal;
mod key;
mod leases;
mod limits;
mod metrics;
mod plans;
mod policy;
mod prometheus;
mod query;
mod questions;
mod rawdata;
mod registry;
mod reports;
mod routers;
mod specs;
mod state;
mod ticket;
mod traefik_api;

const APP: AppInfo = app_info!("Service registry that feeds Traefik's HTTP provider")
    .examples(
        "  hub --token-file /run/secrets/token\n  \
         hub --insecure --port 8081  try it on one machine, without a token\n  \
         hub token service ping      print the token for the sidecars of the service ping\n  \
         hub healthcheck             for the HEALTHCHECK of an image\n  \
         hub ps                      list tasks, and whether they are routed\n  \
         hub explain demo_ping       show what becomes of a service's labels\n  \
         hub wait demo_ping          wait until an update is routed\n  \
         hub labels --diff stack.yml translate labels of Traefik 1 and 2 to Traefik 3",
    )
    .subcommands(&[
        Subcommand::of::<auth::TokenCommand>(),
        Subcommand::of::<command::ps::PsCommand>(),
        Subcommand::of::<command::explain::ExplainCommand>(),
        Subcommand::of::<command::wait::WaitCommand>(),
        Subcommand::of::<traefik_v1::LabelsCommand>(),
    ])
    // Not readiness: sidecars only find a hub that is healthy, and the warm-up needs their registrations.
    .healthcheck_path("/healthz")
    .without_admin_port();

#[derive(Args)]
struct Flags {
    /// File with the master token, from which those of services, routers and agents derive; read at the start. A second line
    /// may hold the token that it replaces
    #[arg(long, env = "HUB_TOKEN_FILE", value_name = "FILE", help_heading = "Hub")]
    token_file: Option<PathBuf>,
    /// Accept all requests without a token
    #[arg(long, env = "HUB_INSECURE", value_parser = parse_bool, help_heading = "Hub")]
    insecure: bool,
    /// PEM file with the hub's certificate and its chain; enables HTTPS, and is reloaded when it changes
    #[arg(long, env = "HUB_CERT", value_name = "FILE", requires = "key", help_heading = "Hub")]
    cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate, a P-256 key
    #[arg(long, env = "HUB_KEY", value_name = "FILE", requires = "cert", help_heading = "Hub")]
    key: Option<PathBuf>,
    /// JSON file with the hosts, paths and entry points of services with tokens of their own; SECURITY.md describes it
    #[arg(long, env = "HUB_POLICY", value_name = "FILE", help_heading = "Hub")]
    policy: Option<PathBuf>,
    /// Network whose addresses a service's token may register over a connection from another address
    #[arg(long, env = "HUB_ALLOW_ADDRESS", value_name = "CIDR", value_delimiter = ',', help_heading = "Hub")]
    allow_address: Vec<Cidr>,
    /// Minimum lifetime of a lease without a heartbeat; more than 300 instances extend it, up to 30s
    #[arg(long, env = "HUB_TTL", value_name = "DURATION", default_value = "3s", value_parser = positive_duration)]
    #[arg(help_heading = "Leases")]
    ttl: Duration,
    /// Lifetime of a sidecar's lease after its connection closed
    #[arg(long, env = "HUB_LOST_AFTER", value_name = "DURATION", default_value = "100ms", value_parser = bounded_duration)]
    #[arg(help_heading = "Leases")]
    lost_after: Duration,
    /// Lifetime of an agent's lease after its connection closed; its containers may outlive the agent
    #[arg(long, env = "HUB_AGENT_LOST_AFTER", value_name = "DURATION", default_value = "30s", value_parser = bounded_duration)]
    #[arg(help_heading = "Leases")]
    agent_lost_after: Duration,
    /// Warm-up after the first registration, before Traefik gets a configuration
    #[arg(long = "learn", env = "HUB_LEARN", value_name = "DURATION", default_value = "2s", value_parser = bounded_duration)]
    #[arg(help_heading = "Leases")]
    warm_up: Duration,
    /// Time during which a service without instances keeps its routers
    #[arg(long, env = "HUB_KEEP_EMPTY", value_name = "DURATION", default_value = "60s", value_parser = bounded_duration)]
    #[arg(help_heading = "Leases")]
    keep_empty: Duration,
    /// Give Traefik a default certificate, unless labels set one, so that it does not generate one at each change
    #[arg(long, env = "HUB_DEFAULT_CERTIFICATE", value_parser = parse_bool, help_heading = "Traefik")]
    default_certificate: bool,
    /// Directory with certificates for Traefik: NAME.crt, with its chain, and NAME.key. Read again every 2s, so that renewed ones are
    /// used
    #[arg(long, env = "HUB_CERTIFICATES", value_name = "DIR", help_heading = "Traefik")]
    certificates: Option<PathBuf>,
    /// Path under which Traefik serves the hub's page, which asks for a token of role reader as password, such as /hub
    #[arg(long, env = "HUB_PAGE_PATH", value_name = "PATH", value_parser = page_prefix, help_heading = "Traefik")]
    page_path: Option<String>,
    /// File in Traefik's container with the CA of the hub's certificate, for the page of a hub with --cert
    #[arg(long, env = "HUB_PAGE_CA", value_name = "FILE", help_heading = "Traefik")]
    page_ca: Option<String>,
    /// Traefik's defaultRule, for services without a router rule, such as Host(`{{ normalize .Name }}.lan`)
    #[arg(long, env = "HUB_DEFAULT_RULE", value_name = "TEMPLATE", help_heading = "Traefik")]
    default_rule: Option<DefaultRule>,
    /// Traefik's constraints on the labels of services, such as !Label(`key`, `value`)
    #[arg(long, env = "HUB_CONSTRAINTS", value_name = "EXPRESSION", help_heading = "Traefik")]
    constraints: Option<Constraints>,
    /// Traefik's exposedByDefault: route services without the label traefik.enable
    #[arg(long, env = "HUB_EXPOSED_BY_DEFAULT", value_name = "BOOL", default_value = "true", action = ArgAction::Set)]
    #[arg(help_heading = "Traefik")]
    exposed_by_default: bool,
}

fn main() -> ExitCode {
    main_with(APP, make)
}

fn make(flags: Flags, context: &Context) -> Result<api::Api, Failure> {
    let auth = read_token(flags.token_file.as_deref(), flags.insecure)?;
    let policy = flags.policy.as_deref().map(policy::Policy::read).transpose()?.unwrap_or_default();
    let tls = flags.cert.as_deref().zip(flags.key.as_deref());
    let tls = tls.map(|(cert, key)| server::config(small_provider(), cert, key, None)).transpose();
    let tls = tls.map_err(Failure::usage)?;
    let has_tls = tls.is_some();
    if has_tls && flags.page_path.is_some() && flags.page_ca.is_none() {
        return Err(Failure::usage(
            "--page-path with --cert needs --page-ca, the file in Traefik's container with the CA of the certificate",
        ));
    }
    let settings = registry::Settings {
        policy,
        ttl: flags.ttl,
        lost_after: flags.lost_after,
        agent_lost_after: flags.agent_lost_after,
        keep_empty: flags.keep_empty,
        key: match &auth {
            Auth::Insecure => key::Key::default(),
            Auth::Masters(masters) => masters.key().clone(),
        },
        exposure: Exposure {
            by_default: flags.exposed_by_default,
            constraints: flags.constraints,
            default_rule: flags.default_rule,
        },
    };
    let certificate = flags.default_certificate.then(certificate::Certificate::self_signed).transpose();
    let failure = |error| Failure::new(format_args!("generating a certificate for Traefik: {error}"));
    let certificate = certificate.map_err(failure)?;
    let in_files = flags.certificates.as_deref().map(certificates::Content::read_first).transpose();
    let in_files =
        in_files.map_err(|error| Failure::new(format_args!("reading certificates for Traefik: {error}")))?;
    let in_files = in_files.unwrap_or_default();
    let certificates = in_files.apply(&certificates::Certificates::new());
    let options = state::Options {
        host: context.host().to_owned(),
        warm_up: flags.warm_up,
        certificate,
        certificates: certificates.clone(),
        page: flags.page_path,
        page_ca: flags.page_ca.filter(|_| has_tls),
    };
    let random =
        random_key().map_err(|error| Failure::new(format_args!("generating a random key: {error}")))?;
    // Passwords that derive from an empty token would be public.
    let api_key = if matches!(auth, Auth::Insecure) { &random } else { &settings.key };
    let api = traefik_api::TraefikApi::new(api_key.clone());
    let hub = hub::Hub::new(options, settings, random, api, context.latch());
    tokio::spawn(hub.clone().tick());
    if let Some(directory) = flags.certificates {
        tokio::spawn(certificates::watch(hub.clone(), directory, in_files, certificates));
    }
    let limits = limits::Limits::new(context.max_connections(), matches!(auth, Auth::Insecure));
    Ok(api::Api {
        hub,
        auth,
        allowed_addresses: flags.allow_address,
        admin: context.admin().clone(),
        accept: api::Accept { limits, tls: tls.map(|config| Arc::new(config).into()) },
        rejections: LogLimit::new(),
    })
}

/// Parses the path of the page to a prefix that ends with a slash.
fn page_prefix(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    let path = text.trim_end_matches('/');
    if path.starts_with('/')
        && path.chars().all(is_allowed)
        && !path.split('/').skip(1).any(|part| ["", ".", ".."].contains(&part))
    {
        return Ok(format!("{path}/"));
    }
    Err("expected a path below /, such as /hub, of letters, digits, '-', '_', '.' and '~'".to_owned())
}

fn random_key() -> Result<key::Key, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(key::Key::new(&bytes))
}

/// Reads the token file.
fn read_token(file: Option<&Path>, insecure: bool) -> Result<Auth, Failure> {
    match file {
        // Not a conflict for clap, which would also report it for `HUB_INSECURE=false`.
        Some(_) if insecure => Err(Failure::usage("--token-file cannot be used with --insecure")),
        Some(file) => Masters::read(file).map(|masters| Auth::Masters(masters.into())),
        None if insecure => {
            warn!("requests need no token, because of --insecure");
            Ok(Auth::Insecure)
        }
        None => Err(Failure::usage(
            "missing --token-file or HUB_TOKEN_FILE; use --insecure to accept all requests without a token",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_served_below_a_path() {
        assert_eq!(page_prefix("/a/hub").unwrap(), "/a/hub/");
        assert_eq!(page_prefix("/hub/").unwrap(), "/hub/");
        for wrong in ["", "/", "hub", "/a//b", "/a/../b", "/a`b", "/a b"] {
            assert!(page_prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn either_a_token_or_insecure_is_required() {
        let error =
            |file: Option<&str>, insecure| read_token(file.map(Path::new), insecure).unwrap_err().to_string();
        assert!(matches!(read_token(None, true), Ok(Auth::Insecure)));
        assert!(error(None, false).contains("missing --token-file"));
        assert!(error(Some("/dev/null"), true).contains("cannot be used with --insecure"));
        assert!(error(Some("/dev/null"), false).contains("the file is empty"));
    }
}
