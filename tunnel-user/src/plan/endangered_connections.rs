//! Finds the open TCP connections of this host that a first attach can end: the connections with peers that the attach
//! does not keep (decision 50).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::kept_connections::Connection;
use super::membership::Membership;
use super::peers::NamedPeer;
use crate::model::{BypassProtocol, BypassRule, MemberName};

/// An open connection that an attach can end. `Display` names the connection and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endangered {
    /// The connection.
    pub connection: Connection,
    /// The peer at the other end.
    pub peer: MemberName,
    /// The reason.
    pub reason: Reason,
    /// True if the connection carries the operator's ssh session.
    pub is_ssh: bool,
}

/// The reason why an attach can end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A connection between private addresses. From the attach on, its packets travel between the public addresses.
    Private,
    /// A connection from another address of this host to a peer's private address. Its packets are not rewritten, but
    /// take the new route.
    OtherSource,
    /// A connection of a gateway with a peer's public address.
    Gateway,
    /// A connection between public addresses, with the ports of a private connection with the same peer.
    SamePorts,
}

impl fmt::Display for Endangered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection: Connection { local, remote }, peer, reason, is_ssh } = self;
        let ssh = if *is_ssh { "your ssh, " } else { "" };
        write!(f, "{ssh}{local} with {remote} ({peer}): ")?;
        match reason {
            Reason::Private => {
                write!(f, "{peer} resets it, unless {peer} is attached as well")
            }
            Reason::OtherSource => {
                f.write_str("its packets take the new route, and are not rewritten")
            }
            Reason::Gateway => f.write_str(
                "it ends if a packet of the peer comes first, since this host is a gateway",
            ),
            Reason::SamePorts => f.write_str(
                "it ends, since a connection between the private addresses has its ports",
            ),
        }
    }
}

/// The situation of the attach.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The wanted membership.
    pub membership: &'a Membership,
    /// True if attach sets no routes. The packets of bypassed ports then stay on their path.
    pub no_routes: bool,
    /// This host's end and the other end of the operator's ssh connection.
    pub ssh: Option<Connection>,
}

/// The connections of `open` that the attach can end. `leaves` tells if packets to a peer's private address leave
/// through the interface after the attach.
#[must_use]
pub fn find(
    open: &[Connection],
    situation: &Situation<'_>,
    leaves: impl Fn(IpAddr) -> bool,
) -> Vec<Endangered> {
    let membership = situation.membership;
    let found = open.iter().filter_map(|connection| {
        let remote = connection.remote.ip();
        let (peer, reason) = membership.peers.iter().find_map(|peer| {
            let has_private = peer.private().any(|private| private.contains(remote));
            let reason = if has_private {
                leaves(remote).then(|| private(connection, peer, situation)).flatten()
            } else {
                public(connection, open, peer, membership)
            };
            reason.map(|reason| (peer.name.clone(), reason))
        })?;
        let is_ssh = situation.ssh == Some(*connection);
        Some(Endangered { connection: *connection, peer, reason, is_ssh })
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|endangered| !endangered.is_ssh);
    found
}

fn private(connection: &Connection, peer: &NamedPeer, situation: &Situation<'_>) -> Option<Reason> {
    let Situation { membership, no_routes, .. } = situation;
    let is_bypassed = is_bypassed(connection, peer, membership);
    let local = connection.local.ip();
    let is_own = membership.identity.mappings().any(|own| own.private().0.contains(local));
    match (is_own && !is_bypassed, no_routes) {
        (true, _) => Some(Reason::Private),
        (false, true) => None,
        (false, false) => Some(Reason::OtherSource),
    }
}

fn public(
    connection: &Connection,
    open: &[Connection],
    peer: &NamedPeer,
    membership: &Membership,
) -> Option<Reason> {
    let Connection { local, remote } = connection;
    let addresses = peer.addresses.iter().find(|pair| pair.public.0.contains(remote.ip()))?;
    let own = membership.identity.mappings().find(|own| own.underlay().0.contains(local.ip()))?;
    if is_bypassed(connection, peer, membership) {
        return None;
    }
    if membership.identity.is_gateway() {
        return Some(Reason::Gateway);
    }
    let twin = Connection {
        local: SocketAddr::new(own.private().0.address(), local.port()),
        remote: SocketAddr::new(addresses.private.0.address(), remote.port()),
    };
    let has_twin = addresses.public.0.is_single() && open.contains(&twin);
    has_twin.then_some(Reason::SamePorts)
}

fn is_bypassed(connection: &Connection, peer: &NamedPeer, membership: &Membership) -> bool {
    let ports = [connection.local.port(), connection.remote.port()];
    let matches = |rule: &BypassRule| {
        rule.protocol == BypassProtocol::Tcp && ports.contains(&rule.port.get())
    };
    peer.bypass.iter().chain(&membership.bypass).any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(local: &str, remote: &str) -> Connection {
        Connection { local: local.parse().unwrap(), remote: remote.parse().unwrap() }
    }

    fn membership(local: &[&str], more: &str) -> Membership {
        let text = format!(
            "{more}[[member]]\nname = \"a\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"
            [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"
            [[member]]\nname = \"c\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.3\"\n"
        );
        Membership::of_text(&text, local)
    }

    fn reasons(open: &[Connection], membership: &Membership, no_routes: bool) -> Vec<Reason> {
        let situation = Situation { membership, no_routes, ssh: None };
        find(open, &situation, |_| true).into_iter().map(|found| found.reason).collect()
    }

    #[test]
    fn a_connection_between_public_addresses_is_kept_and_one_between_private_ones_is_not() {
        let membership = membership(&["a"], "");
        let open = [
            connection("198.51.100.2:22", "203.0.113.2:40000"),
            connection("10.0.0.1:24007", "10.0.0.2:49151"),
            connection("198.51.100.2:22", "198.51.100.9:40000"),
        ];
        assert_eq!(reasons(&open, &membership, false), [Reason::Private]);
        let situation = Situation { membership: &membership, no_routes: true, ssh: None };
        assert_eq!(find(&open, &situation, |_| false), [], "the cable keeps its packets");
    }

    #[test]
    fn the_operators_ssh_comes_first_and_is_named() {
        let open = [
            connection("10.0.0.1:24007", "10.0.0.2:49151"),
            connection("10.0.0.1:22", "10.0.0.3:40000"),
        ];
        let membership = membership(&["a"], "");
        let situation = Situation { membership: &membership, no_routes: false, ssh: Some(open[1]) };
        let found = find(&open, &situation, |_| true);
        assert_eq!(
            found[0].to_string(),
            "your ssh, 10.0.0.1:22 with 10.0.0.3:40000 (c): c resets it, unless c is attached as \
             well"
        );
        assert!(!found[1].is_ssh);
    }

    #[test]
    fn a_gateway_keeps_none_with_a_peer() {
        let open = [connection("198.51.100.2:22", "192.0.2.3:40000")];
        let gateway = membership(&["a", "b"], "");
        assert_eq!(reasons(&open, &gateway, false), [Reason::Gateway]);
        assert_eq!(reasons(&open, &membership(&["a"], ""), false), []);
    }

    #[test]
    fn one_with_the_ports_of_a_private_connection_is_not_kept() {
        let open = [
            connection("198.51.100.2:22", "203.0.113.2:40000"),
            connection("10.0.0.1:22", "10.0.0.2:40000"),
        ];
        let reasons = reasons(&open, &membership(&["a"], ""), false);
        assert_eq!(reasons, [Reason::SamePorts, Reason::Private]);
    }

    #[test]
    fn a_bypassed_port_stays_where_it_is_without_new_routes() {
        let bypassed = membership(&["a"], "bypass = [\"tcp/22\"]\n");
        let open = [connection("10.0.0.1:22", "10.0.0.2:40000")];
        assert_eq!(reasons(&open, &bypassed, true), []);
        assert_eq!(reasons(&open, &bypassed, false), [Reason::OtherSource]);
        let gateway = membership(&["a", "b"], "bypass = [\"tcp/22\"]\n");
        let open = [connection("198.51.100.2:22", "192.0.2.3:40000")];
        assert_eq!(reasons(&open, &gateway, false), []);
    }
}
