//! Judges the path MTUs that the kernel has learnt for the peers' addresses: a learnt value outlives the path that it was
//! learnt on.

use std::net::IpAddr;

/// A path MTU that the kernel remembers for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LearntMtu {
    /// The destination.
    pub destination: IpAddr,
    /// The path MTU in bytes.
    pub mtu: u32,
    /// The index of the interface to the destination.
    pub link: u32,
}

/// The judgement of a learnt path MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The path carries no larger packets, or the value does not limit the interface's packets.
    Right,
    /// The path carries packets of this size in bytes.
    Stale(u32),
    /// The size that the path carries is unknown.
    Unknown,
}

impl LearntMtu {
    /// Judges the value. `interface` is the MTU of the interface, and `measured` the largest packet that arrived at the
    /// peer in a search that ignores learnt values; both in bytes.
    #[must_use]
    pub fn judge(&self, interface: u32, measured: Option<u32>) -> Judgement {
        match measured {
            _ if self.mtu >= interface => Judgement::Right,
            Some(measured) if measured > self.mtu => Judgement::Stale(measured),
            Some(_) => Judgement::Right,
            None => Judgement::Unknown,
        }
    }

    /// The command that makes the kernel forget all learnt path MTUs of the destination's family.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self.destination {
            IpAddr::V4(_) => "ip route flush cache",
            IpAddr::V6(_) => "ip -6 route flush cache",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learnt_mtu_is_stale_only_if_the_path_carries_more() {
        let learnt = LearntMtu { destination: IpAddr::from([10, 0, 0, 2]), mtu: 1400, link: 2 };
        assert_eq!(learnt.judge(1500, Some(1500)), Judgement::Stale(1500));
        assert_eq!(learnt.judge(1500, Some(1400)), Judgement::Right);
        // The search for the path MTU is exact to a few bytes.
        assert_eq!(learnt.judge(1500, Some(1397)), Judgement::Right);
        assert_eq!(learnt.judge(1500, None), Judgement::Unknown);
        assert_eq!(learnt.judge(1400, None), Judgement::Right);
    }
}
