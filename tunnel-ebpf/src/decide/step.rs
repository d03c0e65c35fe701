//! Defines the result of one step. The result names the function that continues.

use tunnel_common::outcome::{Outcome, Reason};

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The decision is complete.
    Done(Outcome),
    /// The packet is, or may be, an ICMP error: [`super::icmp_error`] continues.
    IcmpError,
    /// The packet is an ICMP message from a peer, but not an error: [`super::icmp_query`] continues.
    IcmpQuery,
    /// The packet is a move notice: the peer has shown that it considers the packet's source and destination addresses
    /// current. [`super::icmp_query::shown`] continues.
    Shown {
        /// True if the notice also shows that the peer sends its packets between these two addresses.
        peer_sends: bool,
    },
    /// The packet is a path probe from a peer: [`super::path_probe`] continues.
    PathProbe,
    /// The packet is a ping or path probe of `rewrite ping` from a host that is no peer: [`super::ping_stamp`] continues.
    PingOfStranger,
    /// No peer has the packet's destination (egress) or source (ingress): [`super::egress::unknown`] or
    /// [`super::ingress::unknown`] continues.
    Unknown,
}

const NOT_OURS: u64 = 0;
const REWRITTEN: u64 = 1;
const NOT_REWRITTEN: u64 = 2;
const ICMP_ERROR: u64 = 3;
const UNKNOWN: u64 = 4;
const ICMP_QUERY: u64 = 5;
const SHOWN: u64 = 6;
const PING_OF_STRANGER: u64 = 7;
const PATH_PROBE: u64 = 8;

impl Step {
    /// The step as a number whose bits are all defined. The verifier accepts no other result of a function, and an
    /// enum has undefined bits in its smaller variants.
    #[must_use]
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        match self {
            Self::Done(Outcome::NotOurs) => NOT_OURS,
            Self::Done(Outcome::Rewritten { slot }) => REWRITTEN << 32 | slot as u64,
            Self::Done(Outcome::NotRewritten(reason)) => NOT_REWRITTEN << 32 | reason as u64,
            Self::IcmpError => ICMP_ERROR << 32,
            Self::Unknown => UNKNOWN << 32,
            Self::IcmpQuery => ICMP_QUERY << 32,
            Self::Shown { peer_sends } => SHOWN << 32 | peer_sends as u64,
            Self::PingOfStranger => PING_OF_STRANGER << 32,
            Self::PathProbe => PATH_PROBE << 32,
        }
    }

    /// The inverse of [`Self::to_bits`].
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        match bits >> 32 {
            REWRITTEN => Self::Done(Outcome::Rewritten { slot: bits as u32 }),
            NOT_REWRITTEN => match Reason::from_index(bits as u32) {
                Some(reason) => Self::Done(Outcome::NotRewritten(reason)),
                None => Self::Done(Outcome::NotOurs),
            },
            ICMP_ERROR => Self::IcmpError,
            UNKNOWN => Self::Unknown,
            ICMP_QUERY => Self::IcmpQuery,
            SHOWN => Self::Shown { peer_sends: bits as u32 == 1 },
            PING_OF_STRANGER => Self::PingOfStranger,
            PATH_PROBE => Self::PathProbe,
            _ => Self::Done(Outcome::NotOurs),
        }
    }
}

impl From<Result<Self, Reason>> for Step {
    #[inline(always)]
    fn from(decided: Result<Self, Reason>) -> Self {
        match decided {
            Ok(step) => step,
            Err(reason) => Self::Done(Outcome::NotRewritten(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_same_after_it_was_a_number() {
        let mut steps = vec![Step::IcmpError, Step::IcmpQuery, Step::PingOfStranger, Step::Unknown];
        steps.push(Step::PathProbe);
        steps.extend([false, true].map(|peer_sends| Step::Shown { peer_sends }));
        steps.push(Step::Done(Outcome::NotOurs));
        steps.extend([0, 1, u32::MAX].map(|slot| Step::Done(Outcome::Rewritten { slot })));
        steps.extend(Reason::ALL.iter().map(|r| Step::Done(Outcome::NotRewritten(*r))));
        for step in steps {
            assert_eq!(Step::from_bits(step.to_bits()), step);
        }
    }
}
