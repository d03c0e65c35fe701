//! Names the software of a cluster by the ports on which its members reach each other.

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The protocol's name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The port of glusterd.
pub const GLUSTERD: u16 = 24007;
/// The first port that glusterd gives to a brick, and the last one (GlusterFS 10, glusterd's `base-port` and
/// `max-port`).
const BRICKS: std::ops::RangeInclusive<u16> = 49152..=60999;

/// The ports on which the members of a cluster dial each other. Ports that clients dial as well are left out.
const PORTS: [(Protocol, u16, &str); 13] = [
    (Protocol::Tcp, GLUSTERD, "glusterd"),
    (Protocol::Tcp, 2379, "etcd"),
    (Protocol::Tcp, 2380, "etcd"),
    (Protocol::Tcp, 2888, "ZooKeeper"),
    (Protocol::Tcp, 3888, "ZooKeeper"),
    (Protocol::Tcp, 3300, "a Ceph monitor"),
    (Protocol::Tcp, 6789, "a Ceph monitor"),
    (Protocol::Tcp, 4369, "Erlang's port mapper"),
    (Protocol::Tcp, 25672, "RabbitMQ"),
    (Protocol::Tcp, 4567, "Galera"),
    (Protocol::Tcp, 4568, "Galera"),
    (Protocol::Tcp, 16379, "Redis Cluster"),
    (Protocol::Udp, 5405, "corosync"),
];

/// The software that has this port; `None` for a port that any software may have.
#[must_use]
pub fn software(protocol: Protocol, port: u16) -> Option<&'static str> {
    let found = PORTS.iter().find(|(of, own, _)| (*of, *own) == (protocol, port));
    found.map(|(.., software)| *software)
}

/// True if a brick of GlusterFS can have this port. So can any other software.
#[must_use]
pub fn may_be_a_brick(protocol: Protocol, port: u16) -> bool {
    protocol == Protocol::Tcp && BRICKS.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_belongs_to_one_protocol_and_ssh_to_no_cluster() {
        assert_eq!(software(Protocol::Tcp, 24007), Some("glusterd"));
        assert_eq!(software(Protocol::Udp, 24007), None);
        assert_eq!(software(Protocol::Udp, 5405), Some("corosync"));
        assert_eq!(software(Protocol::Tcp, 22), None);
        assert!(may_be_a_brick(Protocol::Tcp, 49152) && !may_be_a_brick(Protocol::Tcp, 61000));
    }
}
