//! Judges the queueing disciplines and filters of an interface: which of them can lose, delay or redirect packets.

use tunnel_common::outcome::Direction;

/// The root of an interface's queueing disciplines (Linux, include/uapi/linux/pkt_sched.h, TC_H_ROOT).
const ROOT: u32 = u32::MAX;

/// A queueing discipline of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    /// The kind, `netem` for example.
    pub kind: String,
    /// The handle: the major number in the upper half.
    pub handle: u32,
    /// The handle of the class above, or the root.
    pub parent: u32,
}

impl Qdisc {
    /// The harm that a discipline of this kind does; `None` for a discipline that only orders or shares.
    #[must_use]
    pub fn harm(&self) -> Option<&'static str> {
        match self.kind.as_str() {
            "netem" => Some("loses, delays or duplicates packets as it is told"),
            "tbf" => Some("limits the rate, and drops packets above it"),
            "plug" => Some("holds packets back until it is told"),
            "blackhole" => Some("drops all packets"),
            "etf" | "taprio" => Some("drops packets that miss their time"),
            _ => None,
        }
    }

    /// The command that removes the discipline from `interface`.
    #[must_use]
    pub fn remedy(&self, interface: &str) -> String {
        match self.parent {
            ROOT => format!("tc qdisc del dev {interface} root"),
            parent => format!(
                "tc qdisc del dev {interface} parent {} handle {:x}:",
                hexadecimal(parent),
                self.handle >> 16
            ),
        }
    }
}

/// A handle as tc(8) prints it: `1:10`.
fn hexadecimal(handle: u32) -> String {
    format!("{:x}:{:x}", handle >> 16, handle & 0xffff)
}

/// A thing that a filter does to the packets that match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterHarm {
    /// The filter drops them.
    Drop,
    /// The filter drops those above a rate.
    Police,
    /// The filter sends them through another interface.
    Redirect,
}

impl FilterHarm {
    /// The harm in words, after `a filter`.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Drop => "drops packets",
            Self::Police => "drops packets above a rate",
            Self::Redirect => "redirects packets to another interface",
        }
    }
}

/// A filter of the clsact or ingress qdisc that is no BPF program, and that can take packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarmfulFilter {
    /// The kind, `u32` for example.
    pub kind: String,
    /// The priority, `pref` in tc(8).
    pub priority: u16,
    /// The direction of its packets.
    pub direction: Direction,
    /// The harm.
    pub harm: FilterHarm,
}

impl HarmfulFilter {
    /// True if packets meet the filter before rewrite's program. `ours` is the priority of rewrite's own filter; `None`
    /// for a program at tcx or XDP, which at both directions comes before all filters.
    #[must_use]
    pub fn is_before(&self, ours: Option<u16>) -> bool {
        ours.is_some_and(|ours| self.priority < ours)
    }

    /// The command that removes the filters with this priority from `interface`.
    #[must_use]
    pub fn remedy(&self, interface: &str) -> String {
        format!("tc filter del dev {interface} {} pref {}", self.direction.name(), self.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qdisc(kind: &str, parent: u32) -> Qdisc {
        Qdisc { kind: kind.into(), handle: 0x20_0000, parent }
    }

    #[test]
    fn disciplines_of_distributions_are_harmless_and_those_that_lose_are_not() {
        for kind in ["noqueue", "fq_codel", "fq", "mq", "pfifo_fast", "htb", "cake", "clsact"] {
            assert_eq!(qdisc(kind, ROOT).harm(), None, "{kind}");
        }
        for kind in ["netem", "tbf", "plug", "blackhole", "taprio"] {
            assert!(qdisc(kind, ROOT).harm().is_some(), "{kind}");
        }
    }

    #[test]
    fn the_remedy_names_the_place_as_tc_does() {
        assert_eq!(qdisc("netem", ROOT).remedy("eth0"), "tc qdisc del dev eth0 root");
        let below = qdisc("netem", 0x1_0010).remedy("eth0");
        assert_eq!(below, "tc qdisc del dev eth0 parent 1:10 handle 20:");
    }

    #[test]
    fn a_filter_is_in_front_by_its_priority_and_behind_tcx_always() {
        let filter = HarmfulFilter {
            kind: "u32".into(),
            priority: 10,
            direction: Direction::Egress,
            harm: FilterHarm::Drop,
        };
        assert!(filter.is_before(Some(49151)) && !filter.is_before(Some(1)));
        assert!(!filter.is_before(None));
        assert_eq!(filter.remedy("eth0"), "tc filter del dev eth0 egress pref 10");
    }
}
