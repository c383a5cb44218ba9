//! What integration tests, and `cargo xtask up`, start the real thing with: real Traefik, real processes, no mocks.
//!
//! | module | what it gives |
//! |---|---|
//! | [`eventually`] | waits for a condition, never for a time |
//! | [`process`], [`log`], [`proc`] | a program that does not outlive its owner; what it wrote; processes it started |
//! | [`loopback`] | an address of one's own, and ports that nobody else takes |
//! | [`binaries`], [`tools`] | what goes into images and where that is; where Traefik is |
//! | [`hub`], [`traefik`], [`instance`] | the parts |
//! | [`traefik_view`] | what a Traefik has in use |
//! | [`fleet`], [`labels`] | hub, Traefik and instances together, as the demo has them |
//! | [`http`], [`load`] | one request; many, counted |
//! | [`browser`], [`pty`] | a browser without a window, and what it says of a page; a terminal |
//! | [`certificates`] | a certificate authority for one test |
//! | [`description`] | a server held against the description of its API |
//! | [`hold`] | what all tests of a process share |
//! | [`docker`], [`engine`], [`network`] | the client; an engine in swarm mode, started if none runs; the network that it is in |
//! | [`lab`] | several engines on this machine, as hosts of one swarm |
//! | [`agent`], [`proxy`] | an engine that an agent watches, with hub and Traefik beside it; a proxy for its socket |
//! | [`images`], [`stack`], [`swarm_stack`] | the project's images; a stack; the demo's, deployed for a test |
//! | [`compose`], [`nginx`] | a file for docker-compose, started for a test; an image that the project has no part in |
//! | [`rehearsal`] | the demo on three hosts, which tests take turns with |
//!
//! Tests unwrap instead of returning a `Result`: the panic is what makes the parts show their logs.

pub mod agent;
pub mod binaries;
pub mod browser;
pub mod certificates;
pub mod compose;
pub mod description;
pub mod docker;
pub mod engine;
pub mod eventually;
pub mod fleet;
pub mod hold;
pub mod http;
pub mod hub;
pub mod images;
pub mod instance;
pub mod lab;
pub mod labels;
#[cfg(feature = "load")]
pub mod load;
pub mod log;
pub mod loopback;
pub mod network;
pub mod nginx;
pub mod proc;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod rehearsal;
pub mod service_process;
pub mod stack;
pub mod swarm_stack;
pub mod tools;
pub mod traefik;
pub mod traefik_view;
pub mod websocket;

pub use agent::{Agent, Watched, WatchedOptions};
pub use binaries::Binaries;
pub use browser::Browser;
pub use compose::Compose;
pub use docker::Docker;
pub use engine::{Engine, SharedEngine};
pub use eventually::{TIMEOUT, eventually};
pub use fleet::{Fleet, FleetOptions};
pub use hub::Hub;
pub use images::Images;
pub use instance::{Instance, InstanceSpec};
pub use lab::{Lab, LabOptions};
#[cfg(feature = "load")]
pub use load::{Load, LoadOptions, Report};
pub use loopback::Loopback;
pub use process::{Process, Signal, SpawnOptions};
pub use proxy::SocketProxy;
pub use pty::Pty;
pub use service_process::ServiceProcess;
pub use stack::Stack;
pub use swarm_stack::SwarmStack;
pub use traefik::Traefik;
pub use traefik_view::TraefikView;
