//! Where the router reaches a container, as far as this node is known. Pure.

use std::net::IpAddr;

use super::{Node, Remark, Shared};
use crate::container::{self, Container};
use crate::network::{Place, Preference, choose};

impl Node {
    /// Where the router reaches a container, and what is to be said about that.
    pub(super) fn address(&self, container: &Container) -> (Option<IpAddr>, Option<Remark>) {
        let name = &container.name;
        let remark = |text| Some(Remark { is_warning: self.asks_for_a_route(container), text });
        let networks = match &container.place {
            Place::Networks(networks) => networks,
            Place::Host => {
                let address = self.host_address();
                let missing = || {
                    remark(format!(
                        "container {name} is on its host's network, and this node's address is not known: it is not \
                         routed; give it by --host-address"
                    ))
                };
                return (address, if address.is_none() { missing() } else { None });
            }
        };
        if networks.is_empty() {
            let text = format!("container {name} is on no network: it is not routed");
            return (None, Some(Remark { is_warning: false, text }));
        }
        let label = container.network();
        let shared = if let Shared::Network(network) = &self.shared { Some(&**network) } else { None };
        let preference = Preference { label, given: self.settings.network.as_deref(), shared };
        let address = choose(networks, preference);
        let names = || networks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let text = match (address, label.filter(|label| !networks.contains_key(*label))) {
            (None, None) => format!(
                "container {name} is on the networks {}, and nothing says on which the router reaches it: it is not \
                 routed; name one by its label traefik.docker.network, or by --network",
                names()
            ),
            (None, Some(label)) => format!(
                "container {name} is not on the network {label} that its label names, but on {}: it is not routed",
                names()
            ),
            (Some(address), Some(label)) => format!(
                "container {name} is not on the network {label} that its label names, but on {}: it is reached at \
                 {address}",
                names()
            ),
            (Some(_), None) => return (address, None),
        };
        (address, remark(text))
    }

    fn host_address(&self) -> Option<IpAddr> {
        let seen = self.local.filter(|_| self.shared == Shared::Host);
        self.settings.host_address.or(seen).or_else(|| self.info.swarm.node_addr.parse().ok())
    }

    fn asks_for_a_route(&self, container: &Container) -> bool {
        let services = self.services.as_ref().and_then(|known| known.services.get(&container.service));
        let of_service = services.into_iter().flat_map(|service| &service.labels.0);
        container::ask_for_a_route(container.labels.0.iter().chain(of_service))
    }
}
