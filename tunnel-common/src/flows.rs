//! `flows_v4` and `flows_v6`: flows in which this host's public address is an end point, so that
//! their replies are not taken for those of private ones. Remembered at egress, looked up at
//! ingress; the least recently used are forgotten first.

/// The key of `flows_v4` and `flows_v6`, as the flow is on the wire. `A` is an address in network
/// order.
///
/// Aligned, so that the programs read its words whole.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow<A> {
    /// This host's underlay address.
    pub local: A,
    /// The peer's public address.
    pub peer: A,
    /// This host's port in network order; the identifier of an ICMP query; 0 for other protocols.
    pub local_port: [u8; 2],
    /// The peer's port in network order; 0 for protocols without ports.
    pub peer_port: [u8; 2],
    /// The IP protocol number.
    pub protocol: u8,
    /// [`FLOW`] or [`DATAGRAM`].
    pub kind: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

/// The key is a flow.
pub const FLOW: u8 = 0;
/// The key is a datagram whose fragments are to be treated alike: the ports hold its
/// identification, and the addresses are those of its fragments as they arrive.
pub const DATAGRAM: u8 = 1;

/// The value of `flows_v4` and `flows_v6`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowState {
    /// When this host last sent a packet of the flow: nanoseconds of CLOCK_MONOTONIC.
    pub last_sent: u64,
    /// [`LEFT_ALONE`], [`FROM_UNDERLAY`] or [`BYPASSED`].
    pub action: u8,
    /// Always 0.
    pub reserved: [u8; 3],
    /// A number made of the key. The kernel may give an entry's slot to another flow while a program
    /// reads it: `action` counts if it stands beside the number of the right flow. Odd; 0 in an entry that
    /// programs of ABI 2 wrote.
    pub tag: u32,
}

/// Both ends are public addresses.
pub const LEFT_ALONE: u8 = 1;
/// This host's end is its underlay address, the other a peer's private one: only the peer's address
/// is replaced.
pub const FROM_UNDERLAY: u8 = 2;
/// A datagram on the bypass list.
pub const BYPASSED: u8 = 3;

crate::plain_old_data!(Flow<[u8; 4]>, Flow<[u8; 16]>, FlowState);

const _: () = assert!(size_of::<Flow<[u8; 4]>>() == 16 && size_of::<Flow<[u8; 16]>>() == 40);
const _: () = assert!(size_of::<FlowState>() == 16);
