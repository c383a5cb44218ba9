//! Starts the real thing for tests and for `cargo xtask`: the project's programs, Traefik, Docker engines. No mocks.
//!
//! | module | what it provides |
//! |---|---|
//! | [`eventually`] | waiting for a condition with a time limit |
//! | [`process`], [`log`] | the process driver: starts a program, keeps its log, ends it with its descendants |
//! | [`proc`] | other processes and their resource usage, from `/proc` |
//! | [`service_process`] | a service on free ports, for the tests of its package |
//! | [`loopback`] | a loopback address for one test, with free ports |
//! | [`binaries`], [`tools`] | paths of the project's binaries, of Traefik and of other programs |
//! | [`hub`], [`traefik`], [`instance`], [`agent`] | one program each, with its options |
//! | [`tokens`], [`secrets`] | the hub's tokens, and Docker secrets with them |
//! | [`fleet`], [`labels`] | hub, Traefik and instances together, as in `stacks/demo.yml` |
//! | [`http`], [`load`] | single requests; load with a report |
//! | [`browser`], [`pty`] | headless Chromium; a pseudo-terminal |
//! | [`certificates`], [`acme`] | a certificate authority; one with ACME |
//! | [`conformance`] | checks against an `OpenAPI` description, and of a WebSocket server |
//! | [`docker`], [`engine`], [`container`] | the Docker client, one engine in swarm mode, a container |
//! | [`netns`] | running a thread in another network namespace |
//! | [`images`], [`nginx`], [`apache`] | the project's images and Traefik's; images of nginx and Apache |
//! | [`stack_file`], [`stack`] | stack files, and stacks deployed from them |
//! | [`swarm_stack`], [`compose`], [`proxy`] | the demo on one engine; docker-compose; a socket proxy |
//! | [`lab`], [`lab_stack`] | several hosts on this machine; a stack on three of them |
//! | [`shared`] | a resource that all tests of a process share |
//!
//! Tests unwrap results instead of returning them, because a panic makes every [`Process`] print its log.

pub mod acme;
pub mod agent;
pub mod apache;
pub mod binaries;
pub mod browser;
pub mod certificates;
pub mod compose;
pub mod conformance;
pub mod container;
pub mod docker;
pub mod engine;
pub mod eventually;
pub mod fleet;
pub mod http;
pub mod hub;
pub mod images;
pub mod instance;
pub mod lab;
pub mod lab_stack;
pub mod labels;
#[cfg(feature = "load")]
pub mod load;
pub mod log;
pub mod loopback;
pub mod netns;
pub mod nginx;
pub mod proc;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod secrets;
pub mod service_process;
pub mod shared;
pub mod stack;
pub mod stack_file;
pub mod swarm_stack;
pub mod tokens;
pub mod tools;
pub mod traefik;

pub use agent::{Agent, WatchedEngine, WatchedEngineOptions};
pub use binaries::Binaries;
pub use browser::Browser;
pub use compose::Compose;
pub use container::Container;
pub use docker::Docker;
pub use engine::{Engine, SharedEngine};
pub use eventually::{TIMEOUT, eventually};
pub use fleet::{Fleet, FleetOptions};
pub use hub::Hub;
pub use images::Images;
pub use instance::{Instance, InstanceSpec};
pub use lab::{Lab, LabOptions};
pub use lab_stack::LabStack;
#[cfg(feature = "load")]
pub use load::{Load, LoadOptions, Report};
pub use loopback::Loopback;
pub use process::{Process, Signal, SpawnOptions};
pub use proxy::SocketProxy;
pub use pty::Pty;
pub use secrets::Secrets;
pub use service_process::ServiceProcess;
pub use stack::Stack;
pub use swarm_stack::SwarmStack;
pub use tokens::Master;
pub use traefik::{Traefik, TraefikApi};
