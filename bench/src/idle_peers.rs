//! Generates peers without traffic, and their entries in the cluster file.

use std::net::Ipv4Addr;

/// The address before the first idle peer's private address, outside of the lab's networks.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// The address before the first idle peer's public address. RFC 2544 reserves the network for
/// benchmarks.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// A peer without traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdlePeer {
    /// The peer's private address.
    pub private: Ipv4Addr,
    /// The peer's public address, which no host has.
    pub public: Ipv4Addr,
}

/// The idle peers of a host with `peers` peers. The remaining peer is the lab's other host.
pub fn idle_peers(peers: u32) -> impl Iterator<Item = IdlePeer> {
    let after = |first: Ipv4Addr, n: u32| Ipv4Addr::from_bits(first.to_bits() + n);
    (1..peers).map(move |n| IdlePeer { private: after(PRIVATE, n), public: after(PUBLIC, n) })
}

/// The idle peers as members in the cluster file's syntax.
pub fn members(peers: u32) -> String {
    let member = |(n, IdlePeer { private, public })| {
        format!(
            "\n[[member]]\nname = \"other{n}\"\nprivate = \"{private}\"\npublic = \"{public}\"\n"
        )
    };
    idle_peers(peers).enumerate().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_is_there_and_the_others_follow_each_other() {
        assert_eq!(idle_peers(1).count(), 0);
        let last = idle_peers(10_000).last().unwrap();
        let wanted = IdlePeer {
            private: Ipv4Addr::new(10, 64, 39, 15),
            public: Ipv4Addr::new(198, 18, 39, 15),
        };
        assert_eq!(last, wanted);
        assert_eq!(idle_peers(10_000).count(), 9_999);
    }

    #[test]
    fn members_are_of_the_files_syntax() {
        let wanted =
            "\n[[member]]\nname = \"other0\"\nprivate = \"10.64.0.1\"\npublic = \"198.18.0.1\"\n";
        assert_eq!(members(2), wanted);
        assert_eq!(members(1), "");
    }
}
