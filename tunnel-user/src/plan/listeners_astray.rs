//! Finds software of a cluster that uses public addresses: sockets that listen on this host's underlay address alone, and
//! connections between two members' public addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::cluster_ports::{GLUSTERD, Protocol, may_be_a_brick, software};
use super::connections_astray::KnownAddresses;
use super::kept_connections::Connection;
use crate::model::Prefix;

/// A socket that takes packets or connections from any peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The protocol.
    pub protocol: Protocol,
    /// The socket's address; an unspecified address stands for all addresses.
    pub local: SocketAddr,
}

/// A socket of a cluster's software that listens on the underlay address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicListener {
    /// The socket.
    pub listener: Listener,
    /// The software that usually has the port.
    pub software: &'static str,
}

/// Connections of a cluster's software between public addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicConnections {
    /// This host's underlay address.
    pub local: IpAddr,
    /// The peer's public address.
    pub remote: IpAddr,
    /// The known port.
    pub port: u16,
    /// The software that usually has the port.
    pub software: &'static str,
    /// The number of connections.
    pub count: usize,
}

fn has(prefixes: &[Prefix], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(address))
}

impl KnownAddresses {
    /// The sockets at known ports that listen on the underlay address, while no socket at the same port listens on a
    /// private address or on all addresses. A port of bricks counts on a host with glusterd.
    #[must_use]
    pub fn public_listeners(&self, listeners: &[Listener]) -> Vec<PublicListener> {
        let has_glusterd = listeners.iter().any(|one| one.local.port() == GLUSTERD);
        let answers_private = |public: &Listener| {
            listeners.iter().any(|other| {
                let ip = other.local.ip();
                (other.protocol, other.local.port()) == (public.protocol, public.local.port())
                    && (ip.is_unspecified() || has(&self.private, ip))
            })
        };
        let is_public = |one: &&Listener| {
            let ip = one.local.ip();
            has(&self.underlay, ip) && !has(&self.private, ip) && !answers_private(one)
        };
        let named = |listener: &Listener| {
            let (protocol, port) = (listener.protocol, listener.local.port());
            let brick =
                (has_glusterd && may_be_a_brick(protocol, port)).then_some("a brick of GlusterFS");
            let software = software(protocol, port).or(brick)?;
            Some(PublicListener { listener: *listener, software })
        };
        listeners.iter().filter(is_public).filter_map(named).collect()
    }

    /// The connections in `open` between this host's underlay address and a peer's public address that have a known
    /// port.
    #[must_use]
    pub fn public_connections(&self, open: &[Connection]) -> Vec<PublicConnections> {
        let mut counts: BTreeMap<(IpAddr, IpAddr, u16), (&'static str, usize)> = BTreeMap::new();
        for Connection { local, remote } in open {
            let is_between = has(&self.underlay, local.ip())
                && !has(&self.private, local.ip())
                && has(&self.peers_public, remote.ip())
                && !has(&self.peers, remote.ip());
            let known = [remote.port(), local.port()]
                .into_iter()
                .find_map(|port| Some((port, software(Protocol::Tcp, port)?)));
            if let (true, Some((port, software))) = (is_between, known) {
                counts.entry((local.ip(), remote.ip(), port)).or_insert((software, 0)).1 += 1;
            }
        }
        let connections = counts.into_iter().map(|((local, remote, port), (software, count))| {
            PublicConnections { local, remote, port, software, count }
        });
        connections.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownAddresses {
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        KnownAddresses {
            private: prefixes(&["10.0.0.1", "fd00::1"]),
            underlay: prefixes(&["198.51.100.2", "2001:db8::2"]),
            peers: prefixes(&["10.0.0.2"]),
            peers_public: prefixes(&["203.0.113.2"]),
        }
    }

    fn listeners(texts: &[&str]) -> Vec<String> {
        let listener = |text: &&str| {
            let (protocol, local) = text.split_once(' ').unwrap();
            let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
            Listener { protocol, local: local.parse().unwrap() }
        };
        let all: Vec<_> = texts.iter().map(listener).collect();
        let found = known().public_listeners(&all);
        found.iter().map(|one| format!("{} {}", one.software, one.listener.local)).collect()
    }

    #[test]
    fn a_listener_of_a_cluster_on_the_public_address_alone_is_found() {
        let found = listeners(&["tcp 198.51.100.2:24007", "udp 198.51.100.2:5405"]);
        assert_eq!(found, ["glusterd 198.51.100.2:24007", "corosync 198.51.100.2:5405"]);
        assert_eq!(listeners(&["tcp [2001:db8::2]:2380"]), ["etcd [2001:db8::2]:2380"]);
    }

    #[test]
    fn other_software_and_a_listener_that_peers_reach_are_right() {
        let right: [&[&str]; 5] = [
            &["tcp 0.0.0.0:22", "tcp 198.51.100.2:443", "tcp 198.51.100.2:22"],
            &["tcp 0.0.0.0:24007", "tcp [::]:2379", "tcp 10.0.0.1:4567", "tcp 127.0.0.1:2379"],
            &["tcp 198.51.100.2:2379", "tcp 10.0.0.1:2379"],
            &["tcp 198.51.100.2:2379", "tcp [::]:2379"],
            // The protocol is another one.
            &["udp 198.51.100.2:24007", "tcp 198.51.100.2:5405"],
        ];
        for listening in right {
            assert_eq!(listeners(listening), Vec::<String>::new(), "{listening:?}");
        }
    }

    #[test]
    fn a_high_port_is_a_brick_only_beside_glusterd() {
        let brick = "tcp 198.51.100.2:51234";
        assert_eq!(listeners(&[brick]), Vec::<String>::new());
        let found = listeners(&[brick, "tcp 0.0.0.0:24007"]);
        assert_eq!(found, ["a brick of GlusterFS 198.51.100.2:51234"]);
    }

    #[test]
    fn connections_of_a_cluster_between_public_addresses_count_together() {
        let open = [
            ("198.51.100.2:49151", "203.0.113.2:24007"),
            ("198.51.100.2:49150", "203.0.113.2:24007"),
            ("198.51.100.2:24007", "203.0.113.2:49151"),
            ("198.51.100.2:22", "203.0.113.2:40000"),
            ("10.0.0.1:49149", "10.0.0.2:24007"),
            ("198.51.100.2:40000", "192.0.2.77:2379"),
        ];
        let open: Vec<_> = open
            .iter()
            .map(|(local, remote)| Connection {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
            })
            .collect();
        let [found] = known().public_connections(&open)[..] else { panic!("one") };
        assert_eq!((found.software, found.port, found.count), ("glusterd", 24007, 3));
    }
}
