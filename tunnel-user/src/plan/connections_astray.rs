//! Finds TCP connections to peers' private addresses that do not start at this host's private address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fault::Fault;
use super::kept_connections::Connection;
use crate::model::Prefix;

/// The addresses of the cluster, on all attached interfaces.
#[derive(Clone, Debug, Default)]
pub struct KnownAddresses {
    /// This host's private addresses.
    pub private: Vec<Prefix>,
    /// This host's underlay addresses, including the underlay addresses from before a move.
    pub underlay: Vec<Prefix>,
    /// The peers' private addresses.
    pub peers: Vec<Prefix>,
    /// The peers' public addresses.
    pub peers_public: Vec<Prefix>,
}

/// Connections between two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Astray {
    /// The fault: the connection is not rewritten, or it ends when this host moves.
    pub fault: Fault,
    /// This host's address.
    pub local: IpAddr,
    /// The peer's private address.
    pub remote: IpAddr,
    /// The number of connections.
    pub count: usize,
}

impl KnownAddresses {
    /// The connections in `open` to a peer's private address that do not start at a private address of this host.
    #[must_use]
    pub fn astray(&self, open: &[Connection]) -> Vec<Astray> {
        let has = |prefixes: &[Prefix], address| {
            prefixes.iter().any(|prefix: &Prefix| prefix.contains(address))
        };
        let mut counts: BTreeMap<(IpAddr, IpAddr), usize> = BTreeMap::new();
        for connection in open {
            let (local, remote) = (connection.local.ip(), connection.remote.ip());
            if has(&self.peers, remote) && !has(&self.private, local) {
                *counts.entry((local, remote)).or_default() += 1;
            }
        }
        let astray = counts.into_iter().map(|((local, remote), count)| {
            let fault = match has(&self.underlay, local) {
                true => Fault::PublicConnection,
                false => Fault::ForeignConnection,
            };
            Astray { fault, local, remote, count }
        });
        astray.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(open: &[(&str, &str)]) -> Vec<(Fault, String, usize)> {
        let known = KnownAddresses {
            private: prefixes(&["10.0.0.1"]),
            underlay: prefixes(&["198.51.100.2", "192.0.2.9"]),
            peers: prefixes(&["10.0.0.2", "10.3.0.0/24"]),
            peers_public: prefixes(&["203.0.113.2"]),
        };
        let open = open.iter().map(|(local, remote)| Connection {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        });
        let astray = known.astray(&open.collect::<Vec<_>>());
        astray.iter().map(|astray| (astray.fault, astray.local.to_string(), astray.count)).collect()
    }

    #[test]
    fn connections_between_private_addresses_and_to_others_are_right() {
        assert_eq!(
            found(&[("10.0.0.1:49151", "10.0.0.2:24007"), ("198.51.100.2:22", "10.9.0.9:7")]),
            []
        );
        assert_eq!(found(&[("198.51.100.2:22", "203.0.113.2:40000")]), []);
    }

    #[test]
    fn connections_of_two_addresses_count_together() {
        let open = [
            ("198.51.100.2:49151", "10.0.0.2:24007"),
            ("198.51.100.2:49150", "10.0.0.2:24007"),
            ("192.0.2.9:49151", "10.3.0.7:24007"),
            ("172.17.0.1:49151", "10.0.0.2:24007"),
        ];
        let expected = [
            (Fault::ForeignConnection, "172.17.0.1".to_owned(), 1),
            (Fault::PublicConnection, "192.0.2.9".to_owned(), 1),
            (Fault::PublicConnection, "198.51.100.2".to_owned(), 2),
        ];
        assert_eq!(found(&open), expected);
    }
}
