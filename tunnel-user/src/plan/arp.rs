//! The sysctls of an interface that keep this host's private addresses out of ARP.

use crate::model::{Family, Private};
use crate::plan::membership::Membership;

/// One of the two sysctls of an interface that keep a private address out of ARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sysctl {
    /// The sender address of ARP requests.
    Announce,
    /// The addresses that the interface answers for.
    Ignore,
}

impl Sysctl {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Announce, Self::Ignore];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announce => "arp_announce",
            Self::Ignore => "arp_ignore",
        }
    }

    /// The least value that keeps a private address out of ARP.
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

/// The sysctls of a host with the private addresses `own`, which ARP could expose on an interface with hardware
/// addresses. A gateway needs none: its addresses are other hosts', and the kernel does not treat them as its
/// own. With a direct peer, `arp_ignore` stays as it is, because the peer asks for the private address.
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
