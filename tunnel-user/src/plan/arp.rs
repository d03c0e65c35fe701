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
