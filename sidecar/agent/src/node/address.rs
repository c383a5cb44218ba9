//! The address at which the router reaches a container.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use super::{AgentNetwork, LogMessage, Node, Published};
use crate::container::{self, Container, NetworkLocation};

/// Swarm's network for published ports. Containers are not reachable on it.
const INGRESS: &str = "ingress";

/// Where the router reaches a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) address: IpAddr,
    /// Port, unless labels name another.
    pub(super) port: NonZeroU16,
    /// Ports for those that labels name, if they are published ones.
    pub(super) published: BTreeMap<String, NonZeroU16>,
}

impl Node {
    /// Returns where the router reaches a container, and a message if it does not, or not where its labels ask for.
    pub(super) fn location(&self, container: &Container) -> (Option<Location>, Option<LogMessage>) {
        if let (Some(published), NetworkLocation::Networks(_)) =
            (self.settings.published, &container.location)
        {
            let location = self.published_at(container, published);
            let message = location.as_ref().err().map(|reason| LogMessage {
                is_warning: self.is_route_wanted(container),
                text: format!("container {} is not routed: {reason}", container.name),
            });
            return (location.ok(), message);
        }
        let (address, message) = self.address(container);
        let location = |address| Location { address, port: container.port, published: BTreeMap::new() };
        (address.map(location), message)
    }

    /// Returns the published ports of a container. All are at one address: that of the lowest port.
    fn published_at(&self, container: &Container, published: Published) -> Result<Location, &'static str> {
        let is_open = |own: Option<IpAddr>| match published {
            Published::Address(address) => own.is_none_or(|own| own == address || !own.is_loopback()),
            Published::Auto => own.is_none_or(|own| !own.is_loopback()),
        };
        let bound = |port: &str| container.published.get(port).into_iter().flatten().copied();
        let open = |port: &str| bound(port).find(|(own, _)| is_open(*own));
        let lowest = container::lowest_port(&container.published.keys().filter(|port| open(port).is_some()));
        let lowest =
            lowest.and_then(|port| open(&format!("{port}/tcp")).or_else(|| open(&format!("{port}/udp"))));
        let Some((own, port)) = lowest else {
            return Err(if container.published.values().all(Vec::is_empty) {
                "--published is set, and it publishes no port on this host; in a swarm, publish one with mode: host"
            } else {
                "it publishes its ports on a loopback address only"
            });
        };
        let address = match published {
            Published::Address(address) => address,
            Published::Auto => own
                .or_else(|| self.host_address())
                .ok_or("this node's address is unknown; set it with --published ADDRESS or --host-address")?,
        };
        let at_address = |port: &String| {
            let is_there = |own: Option<IpAddr>| match published {
                Published::Address(_) => is_open(own),
                Published::Auto => own.is_none_or(|own| own == address),
            };
            let (_, published) = bound(port).find(|(own, _)| is_there(*own))?;
            Some((port.clone(), published))
        };
        let published = container.published.keys().filter_map(at_address).collect();
        Ok(Location { address, port, published })
    }

    /// Returns the address at which the router reaches a container, and a message if there is no address, or not the one that
    /// its labels ask for.
    fn address(&self, container: &Container) -> (Option<IpAddr>, Option<LogMessage>) {
        let name = &container.name;
        let message = |text| Some(LogMessage { is_warning: self.is_route_wanted(container), text });
        let networks = match &container.location {
            NetworkLocation::Networks(networks) => networks,
            NetworkLocation::Host => {
                let address = self.host_address();
                let unknown = || {
                    message(format!(
                        "container {name} is not routed: it is on the host's network and this node's address is unknown; \
                         set --host-address"
                    ))
                };
                return (address, if address.is_none() { unknown() } else { None });
            }
        };
        if networks.is_empty() {
            let text = format!("container {name} is not routed: it is on no network");
            return (None, Some(LogMessage { is_warning: false, text }));
        }
        let label = container.network();
        let own = match &self.agent_network {
            AgentNetwork::Network(network) => Some(&**network),
            AgentNetwork::Unknown | AgentNetwork::Host => None,
        };
        let address = choose(networks, [label, self.settings.network.as_deref(), own]);
        let names = networks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let text = match (address, label.filter(|label| !networks.contains_key(*label))) {
            (Some(_), None) => return (address, None),
            (None, None) => format!(
                "container {name} is not routed: it is on several networks ({names}); name one with the label \
                 traefik.docker.network or with --network"
            ),
            (None, Some(label)) => format!(
                "container {name} is not routed: its label names the network {label}, but it is on {names}"
            ),
            (Some(address), Some(label)) => format!(
                "container {name} is routed at {address}: its label names the network {label}, but it is on {names}"
            ),
        };
        (address, message(text))
    }

    fn host_address(&self) -> Option<IpAddr> {
        let own = self.local_address.filter(|_| self.agent_network == AgentNetwork::Host);
        self.settings.host_address.or(own).or_else(|| self.info.swarm.node_addr.parse().ok())
    }

    fn is_route_wanted(&self, container: &Container) -> bool {
        let service = self.services.as_ref().and_then(|known| known.services.get(&container.service));
        let of_service = service.into_iter().flat_map(|service| &service.labels.0);
        container::ask_for_a_route(container.labels.0.iter().chain(of_service))
    }
}

/// Returns the address on the first preferred network, or else on the only one.
fn choose(networks: &BTreeMap<String, IpAddr>, preferred: [Option<&str>; 3]) -> Option<IpAddr> {
    let chosen = preferred.into_iter().flatten().find_map(|name| networks.get(name));
    chosen.copied().or_else(|| {
        let mut usable = networks.iter().filter(|(name, _)| *name != INGRESS);
        let (_, only) = usable.next()?;
        usable.next().is_none().then_some(*only)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], preferred: [Option<&str>; 3]) -> Option<u8> {
        let networks = names.iter().zip(1..);
        let networks =
            networks.map(|(name, number)| ((*name).to_owned(), [10, 0, 0, number].into())).collect();
        match choose(&networks, preferred)? {
            IpAddr::V4(address) => Some(address.octets()[3]),
            IpAddr::V6(_) => None,
        }
    }

    #[test]
    fn label_beats_flag_and_flag_beats_the_agents_own_network() {
        let names = ["a", "b", "c", "d"];
        assert_eq!(chosen(&names, [Some("b"), Some("c"), Some("d")]), Some(2));
        assert_eq!(chosen(&names, [None, Some("c"), Some("d")]), Some(3));
        assert_eq!(chosen(&names, [None, None, Some("d")]), Some(4));
        assert_eq!(chosen(&names, [Some("elsewhere"), Some("c"), Some("d")]), Some(3));
    }

    #[test]
    fn without_preference_only_a_single_network_is_used() {
        let none = [None; 3];
        assert_eq!(chosen(&["a"], none), Some(1));
        assert_eq!(chosen(&["a"], [None, Some("b"), None]), Some(1));
        assert_eq!(chosen(&["a", "b"], none), None);
        assert_eq!(chosen(&[], none), None);
        assert_eq!(chosen(&["apps", "ingress"], none), Some(1));
        assert_eq!(chosen(&["ingress"], none), None);
    }
}
