//! Defines the outcomes of a packet. Each outcome is one enum variant, which determines the verdict, the counter and
//! the printed name.

use crate::counters::Count;

/// The direction of a packet, seen from this host's interface. The value is the index in `reason_counters`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The packet leaves this host.
    Egress = 0,
    /// The packet arrives at this host.
    Ingress = 1,
}

impl Direction {
    /// The name for people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// The verdict for the network stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on to the next program, the next filter or the stack.
    Pass,
    /// The kernel frees the packet.
    Drop,
    /// The packet leaves by the interface on which it came.
    Redirect,
}

impl Verdict {
    /// The name for people and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Redirect => "redirect",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident, $field:ident, $name:literal, $verdict:ident, $remedy:expr;)+) => {
        /// The reason why a packet that concerns a peer, or claims to, was not rewritten.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        /// The value of `reason_counters`: one count for each [`Reason`].
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct ReasonCounters {
            $($(#[doc = $doc])+ pub $field: Count,)+
        }

        impl Reason {
            /// All reasons, in the order of [`ReasonCounters`].
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The reason at this index of [`Self::ALL`]. The index is also the reason's number in the logs.
            #[must_use]
            #[inline(always)]
            pub const fn from_index(index: u32) -> Option<Self> {
                match index {
                    $(index if index == Self::$variant as u32 => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The name in `rewrite stats` and in the logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// A description for people, on one line.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }

            /// The remedy for people, on one line; `None` for a reason that harms nobody.
            #[must_use]
            pub const fn remedy(self) -> Option<&'static str> {
                match self { $(Self::$variant => $remedy,)+ }
            }

            /// The verdict on the packet.
            #[must_use]
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)+ }
            }
        }

        impl ReasonCounters {
            /// The counter of `reason`.
            #[must_use]
            pub const fn get(&self, reason: Reason) -> Count {
                match reason { $(Reason::$variant => self.$field,)+ }
            }

            /// The counter of `reason`, as a mutable reference.
            #[must_use]
            #[inline(always)]
            pub const fn get_mut(&mut self, reason: Reason) -> &mut Count {
                match reason { $(Reason::$variant => &mut self.$field,)+ }
            }
        }
    };
}

reasons! {
    /// to a peer's private address, but not from this host's private address
    ForeignSource, foreign_source, "foreign-source", Pass,
        Some("send from the private address: ip route get PEER shows the source that the kernel takes");
    /// from a peer's public address, but not to this host's underlay address
    ForeignDestination, foreign_destination, "foreign-destination", Pass,
        Some("on the peer: give this host its present public address in the file, and attach again");
    /// of a flow that this host started with public addresses
    PublicFlow, public_flow, "public-flow", Pass, None;
    /// to or from the private address of a peer that is marked direct
    Direct, direct, "direct", Pass, None;
    /// on the bypass list
    Bypass, bypass, "bypass", Pass, None;
    /// neighbor discovery, which is about the addresses on the link
    NeighborDiscovery, neighbor_discovery, "neighbor-discovery", Pass, None;
    /// an address of a peer's prefix that another member has for itself
    Shadowed, shadowed, "shadowed", Pass, None;
    /// an IPv6 routing header that names further hops
    SourceRouted, source_routed, "source-routed", Pass,
        Some("turn the routing header off in the software that sends the packet");
    /// more IPv6 extension headers than are looked at
    TooManyHeaders, too_many_headers, "too-many-headers", Pass,
        Some("turn extension headers off in the software that sends the packet");
    /// from a private address, a peer's or this host's own, that cannot have sent it
    Spoofed, spoofed, "spoofed", Drop,
        Some("find the sender by its MAC address (tcpdump -e); mark a peer on the same network as direct");
    /// to this host's private address itself, from anybody but a direct peer
    PrivateDestination, private_destination, "private-destination", Drop,
        Some("find the sender by its MAC address (tcpdump -e); on a peer: rewrite status");
    /// a reset of a connection that the peer does not know, while it may lack its own attach
    StrayReset, stray_reset, "stray-reset", Drop,
        Some("on the peer: rewrite attach");
    /// of a flow with public addresses whose ports an open private connection has
    PortConflict, port_conflict, "port-conflict", Drop,
        Some("connect to the private address instead, or put the port on the bypass list");
    /// its peer's entry was replaced at two looks in a row
    Contended, contended, "contended", Drop,
        Some("if the count goes on growing: look for a command that changes the peers again and again");
    /// a path probe of a peer, which the program answers itself
    ProbeAnswered, probe_answered, "probe-answered", Redirect, None;
    /// shorter than its headers say
    Truncated, truncated, "truncated", Pass,
        Some("look at the interface and the sender: ethtool -S, tcpdump -v");
    /// an IP header that contradicts itself
    Malformed, malformed, "malformed", Pass,
        Some("look at the sender: tcpdump -v");
    /// an ICMP error whose quoted packet is cut within its IP header or contradicts itself
    MalformedQuote, malformed_quote, "malformed-quote", Pass,
        Some("look at the router that sends these ICMP errors: tcpdump -v icmp or icmp6");
    /// the kernel refused a write after the first one
    WriteFailed, write_failed, "write-failed", Drop,
        Some("free memory, and look at the kernel log: dmesg");
}

crate::plain_old_data!(ReasonCounters);

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The packet concerns no peer: it is part of the host's other traffic, which the programs do not count.
    NotOurs,
    /// The program has rewritten the packet, and has counted it for the peer in this slot.
    Rewritten {
        /// The peer's slot.
        slot: u32,
    },
    /// The packet concerns a peer, but the program did not rewrite it. Each reason has its own counter.
    NotRewritten(Reason),
}

impl Outcome {
    /// The verdict for the network stack.
    #[must_use]
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::NotOurs | Self::Rewritten { .. } => Verdict::Pass,
            Self::NotRewritten(reason) => reason.verdict(),
        }
    }
}
