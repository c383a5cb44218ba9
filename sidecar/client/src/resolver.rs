//! Look-ups of names, with a time limit.
//!
//! The resolver of libc blocks a thread, for up to a minute if no DNS server responds, and cannot be cancelled. So each
//! name has at most one look-up at a time: a caller that gives up leaves it running, and the next one waits for the same.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::url::Url;

/// Maximum time that a caller waits for a look-up.
const LIMIT: Duration = Duration::from_secs(2);

/// Addresses, or the kind and message of an error.
type Answer = Result<Vec<IpAddr>, (io::ErrorKind, String)>;
type Running = watch::Receiver<Option<Answer>>;

/// The look-ups that are running, by name.
static RUNNING: Mutex<BTreeMap<String, Running>> = Mutex::new(BTreeMap::new());

/// Returns the addresses of the URL's host, at least one.
pub async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let addresses = match url.host.parse() {
        Ok(address) => vec![address],
        Err(_) => resolve_with(&url.host, LIMIT, look_up).await?,
    };
    Ok(addresses.into_iter().map(|address| (address, url.port).into()).collect())
}

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

async fn resolve_with(
    name: &str,
    limit: Duration,
    look_up: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
) -> io::Result<Vec<IpAddr>> {
    let mut running = join(name, look_up);
    let answer = match timeout(limit, running.wait_for(Option::is_some)).await {
        Err(_) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no response within {limit:?}")));
        }
        // The runtime is shutting down.
        Ok(Err(error)) => return Err(io::Error::other(error)),
        Ok(Ok(answer)) => answer.clone(),
    };
    match answer.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(addresses) if addresses.is_empty() => {
            Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        }
        Ok(addresses) => Ok(addresses),
        Err((kind, message)) => Err(io::Error::new(kind, message)),
    }
}

/// Starts a look-up, or joins the one that is running.
fn join(
    name: &str,
    look_up: impl FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
) -> watch::Receiver<Option<Answer>> {
    let mut lookups = running();
    // A look-up whose runtime has ended has no sender.
    if let Some(running) = lookups.get(name).filter(|running| running.has_changed().is_ok()) {
        return running.clone();
    }
    let (sender, receiver) = watch::channel(None);
    lookups.insert(name.to_owned(), receiver.clone());
    let name = name.to_owned();
    spawn_blocking(move || {
        let answer = look_up(&name).map_err(|error| (error.kind(), error.to_string()));
        running().remove(&name);
        sender.send_replace(Some(answer));
    });
    receiver
}

fn running() -> MutexGuard<'static, BTreeMap<String, Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const HUB: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[tokio::test]
    async fn address_needs_no_look_up() {
        let url = "http://[::1]:8080".parse().unwrap();
        assert_eq!(resolve(&url).await.unwrap(), [SocketAddr::from((HUB, 8080))]);
    }

    #[tokio::test]
    async fn callers_that_give_up_share_one_look_up() {
        let (answer, answers) = channel();
        let first = move |_: &str| Ok(answers.recv().unwrap());
        let error = resolve_with("slow", Duration::from_millis(1), first).await.unwrap_err();
        assert_eq!(error.to_string(), "no response within 1ms");
        let another = |_: &str| -> io::Result<Vec<IpAddr>> { panic!("a second look-up of the same name") };
        resolve_with("slow", Duration::from_millis(1), another).await.unwrap_err();
        assert_eq!(resolve_with("other", LIMIT, |_| Ok(vec![HUB])).await.unwrap(), [HUB]);
        let third = tokio::spawn(resolve_with("slow", LIMIT, another));
        // It joins the look-up before that ends.
        tokio::task::yield_now().await;
        answer.send(vec![HUB]).unwrap();
        assert_eq!(third.await.unwrap().unwrap(), [HUB]);
        assert!(running().get("slow").is_none());
    }

    #[tokio::test]
    async fn name_without_an_address_is_an_error() {
        let error = resolve_with("empty", LIMIT, |_| Ok(Vec::new())).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
        let failing = |_: &str| Err(io::Error::other("no such name"));
        assert_eq!(resolve_with("missing", LIMIT, failing).await.unwrap_err().to_string(), "no such name");
    }
}
