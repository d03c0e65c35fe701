//! Names the faults that `status` and `doctor` look for. Each fault has an id, which stays the same, and the reason why
//! it harms the traffic.

use serde::{Serialize, Serializer};

macro_rules! faults {
    ($($variant:ident, $id:literal, $why:literal;)+) => {
        /// A fault on this host or on the path to a peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $why] $variant,)+
        }

        impl Fault {
            /// All faults, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The id in the output.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// The harm that the fault does.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$variant => $why,)+ }
            }
        }
    };
}

faults! {
    InterfaceDown, "interface-down", "the interface carries all packets to and from the peers";
    NoCarrier, "no-carrier", "the interface sends nothing while nothing answers at the other end of its link";
    InterfaceUnfit, "interface-unfit", "the programs do not see the packets of such an interface, or not all of them";
    BridgeNetfilter, "bridge-netfilter", "netfilter sees the packets of a bridge before they are rewritten, and takes them for others";
    HalfDone, "half-done", "a command that was killed halfway has left a mixture of two states";
    ProgramMissing, "program-missing", "without the program, packets of this direction keep their addresses";
    OtherMaps, "other-maps", "the programs do not see changes of the pinned maps";
    StrayProgram, "stray-program", "a second program of rewrite rewrites each packet once more";
    ProgramInFront, "program-in-front", "a program in front of rewrite can let packets pass without a rewrite";
    NetworkManager, "network-manager", "a network manager can remove the routes to the peers";
    Arp, "arp", "ARP that reveals the private address leads neighbors to it, past the rewrite";
    PrivateAddress, "private-address", "without its private address, this host's software can't use it";
    UnderlayAddress, "underlay-address", "packets from the peers go to the underlay address";
    Forwarding, "forwarding", "a gateway that does not forward drops the packets to its members";
    Guard, "guard", "packets from non-members could reach the private address";
    Route, "route", "packets to the peer's private address take another way, and are not rewritten";
    Leftover, "leftover", "an earlier attach whose pins are missing still affects packets";
    Unreadable, "unreadable", "a command can't read what an earlier command has left";
    Silent, "silent", "packets go to the peer, and none comes back";
    Path, "path", "the packets of a ping, or their answers, did not arrive as they should";
    FirewallPolicy, "firewall-policy", "the host's firewall sees private addresses, and drops what no rule accepts";
    FirewallRule, "firewall-rule", "the host's firewall drops packets with this private address";
    FirewallPublic, "firewall-public", "the host's firewall sees private addresses: a rule with a member's public address matches none of the rewritten packets";
    FirewallUnread, "firewall-unread", "a firewall whose rules are unknown may drop packets of the peers";
    AddressTranslation, "address-translation", "NAT rules translate the packets of the cluster a second time";
    ReversePath, "reverse-path", "the kernel drops packets of peers that arrive on this interface while their route leads through another";
    ForeignConnection, "foreign-connection", "packets from an address that is no member's are not rewritten, and reach no peer";
    PublicConnection, "public-connection", "a connection from the public address ends when this host's public address changes";
    NotRewritten, "not-rewritten", "packets of peers pass with their addresses as they are, or are dropped";
    LearntMtu, "learnt-mtu", "the kernel cuts packets to a size that it has learnt, and refuses those that must stay whole, also after the path has come to carry more";
    Qdisc, "qdisc", "a queueing discipline that loses, delays or holds packets does so to the packets of the peers";
    TcFilter, "tc-filter", "a filter that drops or redirects packets can take packets of the peers";
    XdpInFront, "xdp-in-front", "an XDP program sees packets before rewrite, and can drop or redirect them";
    PublicListener, "public-listener", "packets of peers arrive at the private address: software that listens on the public address alone does not answer them";
    PublicCluster, "public-cluster", "a connection of the cluster between public addresses ends when one of the hosts moves";
    Conntrack, "conntrack", "with a full connection table, the kernel drops packets of new connections";
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_fault_has_an_id_of_its_own() {
        let ids: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.id()).collect();
        assert_eq!(ids.len(), Fault::ALL.len());
        let is_id = |id: &&str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(ids.iter().all(is_id), "{ids:?}");
    }

    #[test]
    fn the_documentation_has_a_row_for_each_fault() {
        let page = include_str!("../../../docs/command-line.md");
        for fault in Fault::ALL {
            let row = format!("\n| `{}` | ", fault.id());
            assert!(page.contains(&row), "{row}");
        }
    }
}
