//! Identity of clients, from their tokens. The token of a role derives from the master token; `hub token` prints it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64ct::{Base64, Encoding};
use clap::{Args, ValueEnum};
use cli::{Failure, Token};
use protocol::{Registration, Source};
use runtime::SubcommandHandler;

use crate::key::Key;

/// Minimum length of a master token, in bytes.
const MIN_MASTER: usize = 32;

/// Role of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Sidecars of the service NAME
    Service,
    /// Traefik
    Router,
    /// Agents
    Agent,
    /// Agents on managers of the swarm
    Manager,
    /// Clients that list instances and follow events
    Reader,
}

/// Client that sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A client of a hub without tokens (`--insecure`). It has every role.
    Insecure,
    /// A client with the master token. It has every role.
    Master,
    /// The sidecar of a service. The name is the service's full one, such as `demo_ping`.
    Service(String),
    /// A router (Traefik instance).
    Router,
    /// An agent.
    Agent,
    /// An agent on a manager of the swarm.
    Manager,
    /// A client that only reads.
    Reader,
}

/// Reason why a request has no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// No header `authorization`, or one without a token.
    Missing,
    /// The token does not derive from a master token of this hub.
    Invalid,
}

/// Master tokens of the hub.
#[derive(Debug)]
pub(crate) struct Masters {
    current: Token,
    /// Token that is still accepted, while `current` replaces it.
    previous: Option<Token>,
    key: Key,
}

/// Identifies clients.
#[derive(Debug)]
pub(crate) enum Auth {
    /// Clients need no token.
    Insecure,
    /// Clients need a token that derives from one of these.
    Masters(Box<Masters>),
}

impl Auth {
    /// Identifies a client by its header `authorization`: `Bearer TOKEN`, or `Basic` with the token as password.
    pub(crate) fn authenticate(&self, header: Option<&[u8]>) -> Result<Identity, AuthError> {
        match self {
            Self::Insecure => Ok(Identity::Insecure),
            Self::Masters(masters) => {
                let token = header.and_then(token).ok_or(AuthError::Missing)?;
                masters.identify(&token).ok_or(AuthError::Invalid)
            }
        }
    }
}

impl Masters {
    /// Reads the master token, and the one that it replaces if the file has two lines.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let (current, previous) = Token::read_pair(file)
            .map_err(|error| Failure::new(format_args!("{error}; check --token-file or HUB_TOKEN_FILE")))?;
        for token in [Some(&current), previous.as_ref()].into_iter().flatten() {
            let length = token.as_bytes().len();
            if length < MIN_MASTER {
                return Err(Failure::new(format_args!(
                    "token file {}: a master token has at least {MIN_MASTER} bytes, and this one has {length}; \
                     `openssl rand -hex 32` makes one",
                    file.display()
                )));
            }
        }
        let key = Key::new(current.as_bytes()).with_previous(previous.as_ref().map(Token::as_bytes));
        Ok(Self { current, previous, key })
    }

    /// Returns the key of everything that derives from the master tokens.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Returns the token of a role: `ROLE.HMAC`, or `service.NAME.HMAC`.
    fn token(&self, role: Role, name: &str) -> String {
        let secret = self.key.derive(role.name(), name);
        let name = if name.is_empty() { String::new() } else { format!(".{name}") };
        format!("{}{name}.{secret}", role.name())
    }

    fn identify(&self, token: &[u8]) -> Option<Identity> {
        if [Some(&self.current), self.previous.as_ref()].into_iter().flatten().any(|own| own.equals(token)) {
            return Some(Identity::Master);
        }
        // A name may contain dots.
        let (role, secret) = str::from_utf8(token).ok()?.rsplit_once('.')?;
        let (role, name) = role.split_once('.').unwrap_or((role, ""));
        let identity = match (Role::from_str(role, false).ok()?, name) {
            (Role::Service, "") => None,
            (Role::Service, name) => Some(Identity::Service(name.to_owned())),
            (Role::Router, "") => Some(Identity::Router),
            (Role::Agent, "") => Some(Identity::Agent),
            (Role::Manager, "") => Some(Identity::Manager),
            (Role::Reader, "") => Some(Identity::Reader),
            _ => None,
        };
        identity.filter(|_| self.key.verify(role, name, secret))
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Router => "router",
            Self::Agent => "agent",
            Self::Manager => "manager",
            Self::Reader => "reader",
        }
    }
}

impl Identity {
    /// Returns whether the client has one of `roles`.
    pub(crate) fn has_role(&self, roles: &[Role]) -> bool {
        let own = match self {
            Self::Insecure | Self::Master => return true,
            Self::Service(_) => Role::Service,
            Self::Router => Role::Router,
            Self::Agent => Role::Agent,
            Self::Manager => Role::Manager,
            Self::Reader => Role::Reader,
        };
        roles.contains(&own)
    }

    /// Returns whether the client may register and withdraw instances of `service`.
    pub(crate) fn acts_for(&self, service: &str) -> bool {
        match self {
            Self::Insecure | Self::Master | Self::Agent | Self::Manager => true,
            Self::Service(own) => own == service,
            Self::Router | Self::Reader => false,
        }
    }

    /// Returns whether the client may replace or withdraw an instance with this registration. An agent's token acts only for
    /// instances of agents: a container with a forged task name must not replace a task with a sidecar.
    pub(crate) fn may_replace(&self, registration: &Registration) -> bool {
        let is_agent = matches!(self, Self::Agent | Self::Manager);
        self.acts_for(&registration.service) && (!is_agent || registration.source == Source::Agent)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insecure => f.write_str("any client"),
            Self::Master => f.write_str("master"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Router => f.write_str("router"),
            Self::Agent => f.write_str("agent"),
            Self::Manager => f.write_str("manager"),
            Self::Reader => f.write_str("reader"),
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing token",
            Self::Invalid => "invalid token",
        })
    }
}

/// Names `roles` in errors: `service, agent or manager`.
pub(crate) fn one_of(roles: &[Role]) -> String {
    let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns the token in a header `authorization`.
fn token(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, value) = str::from_utf8(header).ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("Bearer") {
        return Some(value.into());
    }
    let credentials = scheme.eq_ignore_ascii_case("Basic").then(|| Base64::decode_vec(value))?.ok()?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some(credentials[colon + 1..].to_owned())
}

/// Flags of `hub token`.
#[derive(Args, Debug)]
pub(crate) struct TokenCommand {
    /// Role of the client
    #[arg(value_name = "ROLE", value_enum)]
    role: Role,
    /// Full name of the service, such as `demo_ping`; only with `service`
    #[arg(value_name = "NAME", required_if_eq("role", "service"))]
    name: Option<String>,
    /// File with the master token; `-` is standard input
    #[arg(long, env = "HUB_TOKEN_FILE", value_name = "FILE")]
    token_file: PathBuf,
}

impl SubcommandHandler for TokenCommand {
    const NAME: &'static str = "token";
    const DESCRIPTION: &'static str = "Print the token of a service or of another role";
    const EXAMPLES: &'static str = "
  openssl rand -hex 32 > master
  hub token --token-file master service demo_ping
  hub token --token-file master router | docker secret create swarmlings_router -

The token derives from the master token. The master token itself has every role.
";

    fn run(self) -> Result<ExitCode, Failure> {
        let name = self.name.unwrap_or_default();
        if self.role != Role::Service && !name.is_empty() {
            return Err(Failure::usage(format_args!("role {} has no NAME", self.role.name())));
        }
        if name.contains(char::is_control) {
            return Err(Failure::usage("NAME: a name has no control characters"));
        }
        println!("{}", Masters::read(&self.token_file)?.token(self.role, &name));
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MASTER: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn masters(name: &str, content: &str) -> Result<Masters, Failure> {
        let path = std::env::temp_dir().join(format!("hub-auth-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        let masters = Masters::read(&path);
        fs::remove_file(&path).unwrap();
        masters
    }

    fn identify(auth: &Auth, header: impl AsRef<[u8]>) -> Result<Identity, AuthError> {
        auth.authenticate(Some(header.as_ref()))
    }

    #[test]
    fn token_names_role_and_service() {
        let masters = masters("names", MASTER).unwrap();
        // From: printf swarmlings/1/service/a.b_c | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let token = "service.a.b_c.f51fc3344d5746e00723840618a36ccdca4181f77fb30f40b6afb019cb61f489";
        assert_eq!(masters.token(Role::Service, "a.b_c"), token);
        assert!(masters.token(Role::Router, "").starts_with("router."));
        let auth = Auth::Masters(Box::new(masters));
        assert_eq!(identify(&auth, format!("Bearer {token}")), Ok(Identity::Service("a.b_c".to_owned())));
    }

    #[test]
    fn token_is_valid_for_its_role_and_name_only() {
        let masters = masters("roles", MASTER).unwrap();
        let token = |role| masters.token(role, "");
        let tokens = [
            (MASTER.to_owned(), Identity::Master),
            (masters.token(Role::Service, "ping"), Identity::Service("ping".to_owned())),
            (token(Role::Router), Identity::Router),
            (token(Role::Agent), Identity::Agent),
            (token(Role::Manager), Identity::Manager),
            (token(Role::Reader), Identity::Reader),
        ];
        let ping = masters.token(Role::Service, "ping");
        let secret = ping.rsplit_once('.').unwrap().1;
        let invalid = [
            format!("service.hello.{secret}"),
            format!("router.{secret}"),
            format!("agent.ping.{secret}"),
            format!("Service.ping.{secret}"),
            secret.to_owned(),
            ping.replace(secret, &secret.to_uppercase()),
            ping[..ping.len() - 1].to_owned(),
            "service.ping.".to_owned(),
            masters.token(Role::Service, ""),
            masters.token(Role::Router, "x"),
            MASTER[1..].to_owned(),
            OTHER.to_owned(),
            String::new(),
        ];
        let auth = Auth::Masters(Box::new(masters));
        for (token, identity) in tokens {
            assert_eq!(identify(&auth, format!("Bearer {token}")), Ok(identity.clone()), "{token}");
            assert_eq!(identify(&auth, format!("bearer {token}")), Ok(identity.clone()), "{token}");
            let basic = Base64::encode_string(format!("anyone:{token}").as_bytes());
            assert_eq!(identify(&auth, format!("Basic {basic}")), Ok(identity), "{token}");
        }
        for token in invalid {
            assert_eq!(identify(&auth, format!("Bearer {token}")), Err(AuthError::Invalid), "{token}");
        }
        for header in ["", MASTER, "Basic", "Basic ?", "Basic bm9jb2xvbg==", "Digest x"] {
            assert_eq!(identify(&auth, header), Err(AuthError::Missing), "{header}");
        }
        assert_eq!(identify(&auth, b"Bearer \xff"), Err(AuthError::Missing));
        assert_eq!(auth.authenticate(None), Err(AuthError::Missing));
        assert_eq!(Auth::Insecure.authenticate(None), Ok(Identity::Insecure));
    }

    #[test]
    fn tokens_of_both_masters_are_valid_while_one_replaces_the_other() {
        let [old, new, both] = [MASTER, OTHER, &format!("{OTHER}\n{MASTER}\n")]
            .map(|content| masters("rotation", content).unwrap());
        assert_eq!(both.token(Role::Reader, ""), new.token(Role::Reader, ""));
        let tokens = [&old, &new].map(|masters| masters.token(Role::Reader, ""));
        let (old, both) = (Auth::Masters(old.into()), Auth::Masters(both.into()));
        for token in &tokens {
            assert_eq!(identify(&both, format!("Bearer {token}")), Ok(Identity::Reader));
        }
        for master in [MASTER, OTHER] {
            assert_eq!(identify(&both, format!("Bearer {master}")), Ok(Identity::Master));
        }
        assert_eq!(identify(&old, format!("Bearer {}", tokens[1])), Err(AuthError::Invalid));
    }

    #[test]
    fn short_master_token_is_refused() {
        for content in [&MASTER[1..], &format!("{MASTER}\nshort")] {
            let error = masters("short", content).unwrap_err().to_string();
            assert!(error.contains("at least 32 bytes") && error.contains("openssl rand -hex 32"), "{error}");
        }
    }

    #[test]
    fn roles_are_those_of_the_token_and_all_of_the_master_token() {
        let service = Identity::Service("ping".to_owned());
        assert!(service.has_role(&[Role::Agent, Role::Service]) && !service.has_role(&[Role::Agent]));
        assert!(service.acts_for("ping") && !service.acts_for("hello"));
        for identity in [Identity::Master, Identity::Insecure] {
            assert!(
                identity.has_role(&[Role::Router]) && identity.has_role(&[]) && identity.acts_for("ping")
            );
        }
        assert!(Identity::Agent.acts_for("ping") && !Identity::Reader.acts_for("ping"));
        assert_eq!(one_of(&[Role::Reader]), "reader");
        assert_eq!(one_of(&[Role::Service, Role::Agent, Role::Manager]), "service, agent or manager");
    }
}
