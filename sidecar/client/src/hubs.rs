//! The hubs behind a name.
//!
//! Hubs share nothing, so a client keeps a connection to each of them. In a swarm the name `hub` stands for all tasks of that
//! service, and so does `tasks.hub`, even if `hub` is a virtual IP. [`Hubs`] looks up both names every two seconds and
//! serves each address that either of them has.
//!
//! - An address that DNS no longer lists stays while its connection works. DNS may be wrong, and the hub holds a lease.
//! - A look-up that fails or has no address changes nothing.
//! - A virtual IP leads to another hub each time, so it is [refused](HubError::VirtualIp).
//! - Two addresses of the same hub, such as one of each family, have one connection.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio::{join, select};

use crate::hub::{Hub, HubError, Session};
use crate::resolver::resolve;
use crate::url::Url;

/// Time between two look-ups.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(2);
/// Minimum time between two look-ups, if a connection was lost or no name has an address.
const LOOK_UP_PAUSE: Duration = Duration::from_millis(200);
/// Maximum time for the look-up of `tasks.NAME`. Outside of a swarm it may have no answer.
const TASKS_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two checks whether another connection to the same hub has ended.
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// Serves one hub until DNS no longer lists its address and its connection has ended.
pub type Serving<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The hubs behind a URL.
#[derive(Debug)]
pub struct Hubs {
    hub: Hub,
    members: RefCell<Members>,
    /// Whether `tasks.NAME` has had an address, so that the name is one of a service in a swarm.
    in_swarm: Cell<bool>,
    look_up_now: Notify,
}

/// An address of a hub.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    hubs: &'a Hubs,
    /// Address to connect to.
    pub address: SocketAddr,
}

/// Addresses that are being served.
#[derive(Debug, Default)]
struct Members(BTreeMap<SocketAddr, Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// Whether the last look-up had it.
    is_listed: bool,
    is_served: bool,
    /// Identity of the hub that answered last.
    hub: Option<String>,
    is_connected: bool,
}

impl Hubs {
    /// Creates the set of hubs behind the URL of `hub`.
    pub fn new(hub: Hub) -> Self {
        Self { hub, members: RefCell::default(), in_swarm: Cell::new(false), look_up_now: Notify::new() }
    }

    /// URL of the hubs.
    pub fn url(&self) -> &Url {
        &self.hub.url
    }

    /// Calls `serve` for each address, and drives what it returns. Calls `failed` if there is no address yet.
    pub async fn run<'a>(
        &'a self,
        mut serve: impl FnMut(Member<'a>) -> Serving<'a>,
        failed: impl Fn(HubError),
    ) -> Infallible {
        let mut look_ups = pin!(self.look_up_forever(failed));
        let mut running: Vec<(SocketAddr, Serving<'a>)> = Vec::new();
        poll_fn(|context| {
            let Poll::Pending = look_ups.as_mut().poll(context);
            let new = self.members.borrow_mut().take_new();
            running.extend(new.into_iter().map(|address| (address, serve(Member { hubs: self, address }))));
            running.retain_mut(|(address, serving)| {
                let goes_on = serving.as_mut().poll(context).is_pending();
                if !goes_on {
                    self.members.borrow_mut().0.remove(address);
                }
                goes_on
            });
            Poll::Pending
        })
        .await
    }

    async fn look_up_forever(&self, failed: impl Fn(HubError)) -> Infallible {
        loop {
            match self.look_up().await {
                Ok(addresses) => self.members.borrow_mut().list(&addresses),
                Err(error) if self.members.borrow().0.is_empty() => failed(HubError::Resolve(error)),
                Err(_) => {}
            }
            if self.url().host.parse::<IpAddr>().is_ok() {
                return pending().await;
            }
            sleep(LOOK_UP_PAUSE).await;
            if !self.members.borrow().0.is_empty() {
                select! {
                    () = sleep(LOOK_UP_INTERVAL) => {}
                    () = self.look_up_now.notified() => {}
                }
            }
        }
    }

    /// Returns the addresses of all hubs, each once.
    pub async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let url = self.url();
        if url.host.parse::<IpAddr>().is_ok() || url.host.starts_with("tasks.") {
            return resolve(url).await;
        }
        let tasks = Url { host: format!("tasks.{}", url.host), ..url.clone() };
        let (name, tasks) = join!(resolve(url), timeout(TASKS_TIMEOUT, resolve(&tasks)));
        let Ok(Ok(mut addresses)) = tasks else { return name };
        self.in_swarm.set(true);
        addresses.extend(name.into_iter().flatten());
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

impl Member<'_> {
    /// Opens a connection, and checks that it leads to a hub at this address that no other connection leads to.
    pub async fn connect(&self) -> Result<Session, HubError> {
        let session = self.greet().await?;
        self.hubs.members.borrow_mut().claim(self.address, &session.hub).map_err(HubError::SameHub)?;
        Ok(session)
    }

    /// Opens a connection, and checks that it leads to a hub at this address.
    pub async fn greet(&self) -> Result<Session, HubError> {
        let session = self.hubs.hub.connect_to(self.address).await?;
        match session.reached {
            Some(reached) if self.hubs.in_swarm.get() && reached != self.address.ip().to_canonical() => {
                Err(HubError::VirtualIp(reached))
            }
            _ => Ok(session),
        }
    }

    /// Records that the connection ended.
    pub fn disconnected(&self) {
        if let Some(entry) = self.hubs.members.borrow_mut().0.get_mut(&self.address) {
            entry.is_connected = false;
        }
        self.hubs.look_up_now.notify_one();
    }

    /// Waits until no connection to another address leads to the same hub.
    pub async fn turn(&self) {
        while self.hubs.members.borrow().is_taken(self.address) {
            sleep(TURN_PAUSE).await;
        }
    }

    /// Returns whether DNS lists the address.
    pub fn is_listed(&self) -> bool {
        self.hubs.members.borrow().0.get(&self.address).is_some_and(|entry| entry.is_listed)
    }
}

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hub {}", self.hubs.url())?;
        if self.hubs.url().host.parse::<IpAddr>().is_err() {
            write!(f, " at {}", self.address.ip())?;
        }
        Ok(())
    }
}

impl Members {
    /// Records the addresses of a look-up. None at all is not trusted.
    fn list(&mut self, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        self.0.values_mut().for_each(|entry| entry.is_listed = false);
        for address in addresses {
            self.0.entry(*address).or_default().is_listed = true;
        }
    }

    /// Returns the addresses that are not served yet.
    fn take_new(&mut self) -> Vec<SocketAddr> {
        let mut new = Vec::new();
        for (address, entry) in &mut self.0 {
            if !std::mem::replace(&mut entry.is_served, true) {
                new.push(*address);
            }
        }
        new
    }

    /// Records that a connection to `address` leads to `hub`. Fails with the address that already does.
    fn claim(&mut self, address: SocketAddr, hub: &str) -> Result<(), SocketAddr> {
        let entry = self.0.entry(address).or_default();
        entry.hub = Some(hub.to_owned());
        entry.is_connected = false;
        if let Some(other) = self.holder(address) {
            return Err(other);
        }
        self.0.entry(address).or_default().is_connected = true;
        Ok(())
    }

    fn is_taken(&self, address: SocketAddr) -> bool {
        self.holder(address).is_some()
    }

    /// Returns the other address with a connection to the same hub.
    fn holder(&self, address: SocketAddr) -> Option<SocketAddr> {
        let hub = self.0.get(&address)?.hub.as_ref()?;
        let same = |other: &SocketAddr, entry: &Entry| {
            *other != address && entry.is_connected && entry.hub.as_ref() == Some(hub)
        };
        self.0.iter().find(|(other, entry)| same(other, entry)).map(|(other, _)| *other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> SocketAddr {
        ([10, 0, 1, number], 8080).into()
    }

    #[test]
    fn each_listed_address_is_served_once() {
        let mut members = Members::default();
        members.list(&[address(1), address(2)]);
        assert_eq!(members.take_new(), [address(1), address(2)]);
        members.list(&[address(2), address(3)]);
        assert_eq!(members.take_new(), [address(3)]);
        assert!(!members.0[&address(1)].is_listed && members.0[&address(2)].is_listed);
    }

    #[test]
    fn empty_answer_is_not_trusted() {
        let mut members = Members::default();
        members.list(&[address(1)]);
        members.list(&[]);
        assert!(members.0[&address(1)].is_listed);
    }

    #[test]
    fn one_address_of_each_hub_is_connected() {
        let mut members = Members::default();
        members.list(&[address(1), address(2)]);
        assert_eq!(members.claim(address(1), "a"), Ok(()));
        assert_eq!(members.claim(address(1), "a"), Ok(()), "a second connection to the same address");
        assert_eq!(members.claim(address(2), "a"), Err(address(1)));
        assert!(members.is_taken(address(2)) && !members.is_taken(address(1)));
        members.0.get_mut(&address(1)).unwrap().is_connected = false;
        assert!(!members.is_taken(address(2)));
        assert_eq!(members.claim(address(2), "a"), Ok(()));
        // The hub at the first address restarted.
        assert_eq!(members.claim(address(1), "b"), Ok(()));
    }
}
