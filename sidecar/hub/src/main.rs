//! `hub`: holds who is there, as leases, and tells Traefik. The routes are in [`api`]. `hub labels` is in the package `traefik-v1`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args};
use cli::Failure;
use parse::duration;
use runtime::{AppInfo, Context, Subcommand, app_info, main_with};
use tracing::warn;
use traefik::{Constraints, DefaultRule, Exposure};

mod api;
mod certificate;
mod events;
mod hub;
mod metrics;
mod query;
mod registry;
mod routers;
mod specs;
mod state;

const APP: AppInfo = app_info!("Holds who is there, as leases, and tells Traefik")
    .examples(
        "  hub --token-file /run/secrets/token\n  \
         hub --insecure --port 8081          for a try on one machine\n  \
         hub healthcheck                     for a container's HEALTHCHECK\n  \
         hub labels stack.yml                Traefik 1's labels as Traefik 3 has them",
    )
    .subcommands(&[Subcommand::of::<traefik_v1::LabelsCommand>()])
    // Who is there is learnt from sidecars, which find the hub only once it is healthy.
    .healthcheck_path("/healthz")
    .without_admin_port();

#[derive(Args)]
struct Flags {
    /// File with the token that sidecars have to show
    #[arg(long, env = "HUB_TOKEN_FILE", value_name = "PATH", conflicts_with = "insecure")]
    token_file: Option<PathBuf>,
    /// Let anybody register
    #[arg(long, env = "HUB_INSECURE")]
    insecure: bool,
    /// How long a lease holds without a heartbeat
    #[arg(long, env = "HUB_TTL", value_name = "DURATION", default_value = "3s", value_parser = duration)]
    ttl: Duration,
    /// How long a lease holds once its connection has closed
    #[arg(long, env = "HUB_LOST_AFTER", value_name = "DURATION", default_value = "100ms", value_parser = duration)]
    lost_after: Duration,
    /// The same where an agent has the lease: its end is not the container's
    #[arg(long, env = "HUB_AGENT_LOST_AFTER", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    agent_lost_after: Duration,
    /// How long after the first registration Traefik is told who is there
    #[arg(long, env = "HUB_LEARN", value_name = "DURATION", default_value = "2s", value_parser = duration)]
    learn: Duration,
    /// How long a service without instances keeps its routers
    #[arg(long, env = "HUB_KEEP_EMPTY", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    keep_empty: Duration,
    /// Give Traefik a default certificate, so that it does not make one at each change; not where it has one already
    #[arg(long, env = "HUB_DEFAULT_CERTIFICATE")]
    default_certificate: bool,
    /// Traefik's defaultRule, for services without a router label: Host(`{{ normalize .Name }}.lan`)
    #[arg(long, env = "HUB_DEFAULT_RULE", value_name = "TEMPLATE")]
    default_rule: Option<DefaultRule>,
    /// Traefik's constraints, which a service's labels have to fit, such as !Label(`key`, `value`)
    #[arg(long, env = "HUB_CONSTRAINTS", value_name = "EXPRESSION")]
    constraints: Option<Constraints>,
    /// Whether services are routed that do not say traefik.enable
    #[arg(long, env = "HUB_EXPOSED_BY_DEFAULT", value_name = "BOOL", default_value = "true", action = ArgAction::Set)]
    exposed_by_default: bool,
}

fn main() -> ExitCode {
    main_with(APP, make)
}

fn make(flags: Flags, context: &Context) -> Result<api::Api, Failure> {
    let token = match &flags.token_file {
        Some(path) => Some(cli::Token::read(path)?),
        None if flags.insecure => None,
        None => return Err(Failure::usage("--token-file is needed, or --insecure to let anybody register")),
    };
    if token.is_none() {
        warn!("anybody may register: --insecure");
    }
    let settings = registry::Settings {
        ttl: flags.ttl,
        lost_after: flags.lost_after,
        agent_lost_after: flags.agent_lost_after,
        keep_empty: flags.keep_empty,
        exposure: Exposure {
            by_default: flags.exposed_by_default,
            constraints: flags.constraints,
            default_rule: flags.default_rule,
        },
    };
    let certificate = flags.default_certificate.then(certificate::Certificate::self_signed).transpose()?;
    let hub = hub::Hub::new(settings, flags.learn, certificate, context.latch());
    tokio::spawn(hub.clone().tick());
    Ok(api::Api::new(hub, token, context.admin().clone()))
}
