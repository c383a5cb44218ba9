//! Network namespaces.

use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Keeps the calling thread in another network namespace. Drop returns the thread to its own.
///
/// Threads and processes that it starts meanwhile stay in that namespace.
pub struct NetnsGuard {
    original: File,
    // Drop must run on the thread that entered.
    _not_send: PhantomData<*const ()>,
}

impl NetnsGuard {
    /// Enters the network namespace of process `pid`. Requires root.
    pub fn enter(pid: u32) -> Result<Self> {
        Self::enter_at(&format!("/proc/{pid}/ns/net"))
    }

    /// Enters the network namespace of the file at `path`. Requires root.
    pub fn enter_at(path: &str) -> Result<Self> {
        let original = open("/proc/thread-self/ns/net")?;
        move_to(&open(path)?).with_context(|| format!("entering network namespace {path}"))?;
        Ok(Self { original, _not_send: PhantomData })
    }

    /// Runs `action` in the namespace, and returns to the original one.
    pub fn with<T>(self, action: impl FnOnce() -> T) -> T {
        action()
    }
}

impl Drop for NetnsGuard {
    fn drop(&mut self) {
        if let Err(error) = move_to(&self.original) {
            eprintln!("leaving a network namespace: {error:#}");
        }
    }
}

fn open(path: &str) -> Result<File> {
    File::open(path).with_context(|| format!("opening {path}"))
}

fn move_to(namespace: &File) -> Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}
