//! Reads the rare conditions of a peer from one word.

/// `direct`, `replies_native`, `public_flows` and `bypass` of an entry, in one word. All are 0 for most peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions(pub u32);

impl Conditions {
    /// True if at least one condition is not 0.
    #[must_use]
    #[inline(always)]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// True if the ingress program accepts packets whose source is the peer's private address.
    #[must_use]
    #[inline(always)]
    pub const fn is_direct(self) -> bool {
        let [direct, ..] = self.0.to_ne_bytes();
        direct == 1
    }

    /// True while packets from the direct peer arrive with its private address.
    #[must_use]
    #[inline(always)]
    pub const fn replies_native(self) -> bool {
        let [_, replies_native, ..] = self.0.to_ne_bytes();
        replies_native == 1
    }

    /// True if packets to the peer leave as they are.
    #[must_use]
    #[inline(always)]
    pub const fn is_native(self) -> bool {
        self.is_direct() && self.replies_native()
    }

    /// True if there are flows with the peer in which this host's underlay address is an end point.
    #[must_use]
    #[inline(always)]
    pub const fn has_public_flows(self) -> bool {
        let [_, _, public_flows, _] = self.0.to_ne_bytes();
        public_flows != 0
    }

    /// The bypass rules to check: see [`tunnel_common::peers::Peer::bypass`].
    #[must_use]
    #[inline(always)]
    pub const fn bypass(self) -> u8 {
        let [.., bypass] = self.0.to_ne_bytes();
        bypass
    }
}
