//! On which network the router reaches a container. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::{Endpoint, Inspection};

/// What an engine calls the network of a host itself.
const HOST: &str = "host";
/// Swarm's own network for published ports: nobody is reached on it who does not come by such a port.
const INGRESS: &str = "ingress";

/// Where a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On its host's own network.
    Host,
    /// On these networks, by name; on none if it has no address.
    Networks(BTreeMap<String, IpAddr>),
}

/// Which networks are preferred, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preference<'a> {
    /// The one that the container's label names.
    pub(crate) label: Option<&'a str>,
    /// The one that was given for all containers.
    pub(crate) given: Option<&'a str>,
    /// The one on which this agent reaches the hub.
    pub(crate) shared: Option<&'a str>,
}

impl Place {
    /// Where an engine says that it is.
    pub(crate) fn of(inspection: &Inspection) -> Self {
        if inspection.host_config.network_mode == HOST {
            return Self::Host;
        }
        Self::Networks(addresses(&inspection.network_settings.networks).collect())
    }
}

/// A container's addresses, each with the name of its network. Of two on one network the first is the older protocol's.
pub(crate) fn addresses(
    networks: &BTreeMap<String, Option<Endpoint>>,
) -> impl Iterator<Item = (String, IpAddr)> {
    networks.iter().filter_map(|(name, endpoint)| {
        let endpoint = endpoint.as_ref()?;
        let address = endpoint.v4.parse().or_else(|_| endpoint.v6.parse()).ok()?;
        Some((name.clone(), address))
    })
}

/// The address of a container that is on `networks`; or none, if there is no telling which one is meant.
pub(crate) fn choose(networks: &BTreeMap<String, IpAddr>, preference: Preference<'_>) -> Option<IpAddr> {
    let Preference { label, given, shared } = preference;
    let preferred = [label, given, shared].into_iter().flatten().find_map(|name| networks.get(name));
    preferred.copied().or_else(|| {
        let mut usable = networks.iter().filter(|(name, _)| *name != INGRESS);
        let (_, only) = usable.next()?;
        usable.next().is_none().then_some(*only)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(names: &[&str]) -> BTreeMap<String, IpAddr> {
        names.iter().zip(1..).map(|(name, number)| ((*name).to_owned(), [10, 0, 0, number].into())).collect()
    }

    fn chosen(names: &[&str], preference: Preference<'_>) -> Option<u8> {
        match choose(&networks(names), preference)? {
            IpAddr::V4(address) => Some(address.octets()[3]),
            IpAddr::V6(_) => None,
        }
    }

    #[test]
    fn a_label_counts_before_a_flag_and_that_before_the_hubs_network() {
        let names = ["a", "b", "c", "d"];
        let all = Preference { label: Some("b"), given: Some("c"), shared: Some("d") };
        assert_eq!(chosen(&names, all), Some(2));
        assert_eq!(chosen(&names, Preference { label: None, ..all }), Some(3));
        assert_eq!(chosen(&names, Preference { label: None, given: None, ..all }), Some(4));
        assert_eq!(chosen(&names, Preference { label: Some("elsewhere"), ..all }), Some(3));
    }

    #[test]
    fn without_a_preference_the_only_network_counts() {
        assert_eq!(chosen(&["a"], Preference::default()), Some(1));
        assert_eq!(chosen(&["a"], Preference { given: Some("b"), ..Preference::default() }), Some(1));
        assert_eq!(chosen(&["a", "b"], Preference::default()), None);
        assert_eq!(chosen(&[], Preference::default()), None);
        assert_eq!(chosen(&["apps", "ingress"], Preference::default()), Some(1));
        assert_eq!(chosen(&["ingress"], Preference::default()), None);
    }

    #[test]
    fn an_address_of_the_newer_protocol_counts_where_there_is_no_other() {
        let endpoint = |v4: &str, v6: &str| Some(Endpoint { v4: v4.to_owned(), v6: v6.to_owned() });
        let networks = BTreeMap::from([
            ("both".to_owned(), endpoint("10.0.0.1", "fd00::1")),
            ("six".to_owned(), endpoint("", "fd00::2")),
            ("none".to_owned(), endpoint("", "")),
            ("null".to_owned(), None),
        ]);
        let addresses: Vec<_> =
            addresses(&networks).map(|(name, address)| format!("{name} {address}")).collect();
        assert_eq!(addresses, ["both 10.0.0.1", "six fd00::2"]);
    }
}
