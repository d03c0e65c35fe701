//! The peers that nobody talks to.

use std::net::Ipv4Addr;

/// Their private addresses follow this one, beside those of the lab.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// Their public addresses follow this one: RFC 2544 sets the network aside for measurements.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdlePeer {
    /// Its identity.
    pub private: Ipv4Addr,
    /// Where nobody is.
    pub public: Ipv4Addr,
}

/// All peers but the one that is there.
pub fn idle_peers(peers: u32) -> impl Iterator<Item = IdlePeer> {
    let after = |first: Ipv4Addr, n: u32| Ipv4Addr::from_bits(first.to_bits() + n);
    (1..peers).map(move |n| IdlePeer { private: after(PRIVATE, n), public: after(PUBLIC, n) })
}

/// They as members, for the end of the file.
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
