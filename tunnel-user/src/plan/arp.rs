//! Selects the sysctls of an interface that keep this host's private addresses out of ARP.

use crate::model::{Family, Private};
use crate::plan::membership::Membership;

/// One of the two sysctls of an interface that keep a private address out of ARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sysctl {
    /// Controls the sender address of ARP requests.
    Announce,
    /// Controls the addresses for which the interface answers ARP requests.
    Ignore,
}

impl Sysctl {
    /// Both sysctls.
    pub const ALL: [Self; 2] = [Self::Announce, Self::Ignore];

    /// The sysctl's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announce => "arp_announce",
            Self::Ignore => "arp_ignore",
        }
    }

    /// The minimum value that keeps a private address out of ARP.
    #[must_use]
    pub const fn wanted(self) -> u8 {
        match self {
            Self::Announce => 2,
            Self::Ignore => 1,
        }
    }
}

/// The sysctls that `membership` needs on an interface.
#[must_use]
pub fn wanted(has_hardware_addresses: bool, membership: &Membership) -> Vec<Sysctl> {
    let has_direct = membership.peers.iter().any(|peer| peer.direct);
    wanted_for(has_hardware_addresses, membership.identity.on_loopback(), has_direct)
}

/// The sysctls that a host with the private addresses `own` needs. An interface without hardware addresses, and a host
/// without a private IPv4 address, need no sysctls, because ARP can't expose a private address there. For a gateway,
/// `own` is empty: the private addresses belong to other hosts, and the gateway's kernel does not treat them as local.
/// With a direct peer, `arp_ignore` stays unchanged, because the peer's ARP requests ask for the private address.
pub fn wanted_for(
    has_hardware_addresses: bool,
    mut own: impl Iterator<Item = Private>,
    has_direct: bool,
) -> Vec<Sysctl> {
    if !has_hardware_addresses || !own.any(|private| private.0.family() == Family::Ipv4) {
        return Vec::new();
    }
    let is_wanted = |sysctl: &Sysctl| *sysctl != Sysctl::Ignore || !has_direct;
    Sysctl::ALL.into_iter().filter(is_wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRVA: &str =
        "[[member]]\nname = \"srva\"\nprivate = \"10.0.0.1\"\npublic = \"198.51.100.2\"\n";
    const SRVB: &str =
        "[[member]]\nname = \"srvb\"\nprivate = \"10.0.0.2\"\npublic = \"203.0.113.2\"\n";
    const SRVC: &str =
        "[[member]]\nname = \"srvc\"\nprivate = \"10.0.0.3\"\npublic = \"203.0.113.3\"\n";

    fn described(has_hardware_addresses: bool, text: &str, local: &[&str]) -> Vec<String> {
        let membership = Membership::of_text(text, local);
        let wanted = wanted(has_hardware_addresses, &membership);
        wanted.iter().map(|sysctl| format!("{}={}", sysctl.name(), sysctl.wanted())).collect()
    }

    #[test]
    fn a_private_ipv4_address_is_kept_out_of_requests_and_of_answers() {
        let text = [SRVA, SRVB].concat();
        assert_eq!(described(true, &text, &["srva"]), ["arp_announce=2", "arp_ignore=1"]);
    }

    #[test]
    fn a_direct_peer_gets_answers_for_the_private_address() {
        let text = [SRVA, SRVB, SRVC, "direct = true\n"].concat();
        assert_eq!(described(true, &text, &["srva"]), ["arp_announce=2"]);
    }

    #[test]
    fn where_arp_can_show_no_private_address_nothing_is_set() {
        let none: [&str; 0] = [];
        let text = [SRVA, SRVB, SRVC].concat();
        assert_eq!(described(false, &text, &["srva"]), none);
        assert_eq!(described(true, &text, &["srva", "srvb"]), none, "a gateway");
        let v6 = "[[member]]\nname = \"a\"\nprivate = \"fd00::1\"\npublic = \"2001:db8::1\"\n\
            [[member]]\nname = \"b\"\nprivate = \"fd00::2\"\npublic = \"2001:db8::2\"\n";
        assert_eq!(described(true, v6, &["a"]), none);
    }
}
