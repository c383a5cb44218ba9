//! The network that a thread is in.

use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A thread's stay in the network of another process. It ends when this is dropped.
///
/// Threads that are started meanwhile are in that network too, and stay there.
pub struct Inside {
    home: File,
    // It is this very thread that has to go home.
    _not_send: PhantomData<*const ()>,
}

impl Inside {
    /// Takes the calling thread to the network of process `pid`, which takes root.
    pub fn enter(pid: u32) -> Result<Self> {
        Self::enter_at(&format!("/proc/{pid}/ns/net"))
    }

    /// Takes the calling thread to the network that the file at `path` stands for.
    pub fn enter_at(path: &str) -> Result<Self> {
        let home = open("/proc/thread-self/ns/net")?;
        go(&open(path)?).with_context(|| format!("entering the network {path}"))?;
        Ok(Self { home, _not_send: PhantomData })
    }

    /// What `action` returns, after which the stay ends.
    pub fn with<T>(self, action: impl FnOnce() -> T) -> T {
        action()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Err(error) = go(&self.home) {
            eprintln!("leaving a network: {error:#}");
        }
    }
}

fn open(path: &str) -> Result<File> {
    File::open(path).with_context(|| format!("opening {path}"))
}

fn go(network: &File) -> Result<()> {
    Ok(move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?)
}
