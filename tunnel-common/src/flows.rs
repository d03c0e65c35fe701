//! Defines the keys and values of the maps `flows_v4` and `flows_v6`: the flows in which this host's underlay address
//! is an end point, and datagrams in fragments. The egress program inserts a flow. The ingress program looks up a
//! reply's flow, and then either leaves the reply alone or rewrites only the peer's address in it. A full map evicts
//! the least recently used flow.

/// The key of `flows_v4` and `flows_v6`: a flow's addresses and ports on the wire, or the addresses and the
/// identification of a datagram in fragments. `A` is an address in network order.
///
/// The alignment lets the programs read whole words of the key.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow<A> {
    /// With kind [`FLOW`], this host's underlay address. With kind [`DATAGRAM`], the datagram's source address.
    pub local: A,
    /// With kind [`FLOW`], the peer's public address. With kind [`DATAGRAM`], the datagram's destination address.
    pub peer: A,
    /// With kind [`FLOW`], this host's port in network order, the identifier of an ICMP query, or 0 for other
    /// protocols. With kind [`DATAGRAM`], the first half of the datagram's identification.
    pub local_port: [u8; 2],
    /// With kind [`FLOW`], the peer's port in network order, or 0 for protocols without ports. With kind [`DATAGRAM`],
    /// the second half of the datagram's identification.
    pub peer_port: [u8; 2],
    /// The IP protocol number.
    pub protocol: u8,
    /// The kind of the key: [`FLOW`] or [`DATAGRAM`].
    pub kind: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

/// The key is a flow.
pub const FLOW: u8 = 0;
/// The key is a fragmented datagram: its later fragments get the first fragment's action. `local` holds the datagram's
/// source, `peer` its destination, and the port fields hold its identification.
pub const DATAGRAM: u8 = 1;

/// The value of `flows_v4` and `flows_v6`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowState {
    /// The time of the last packet that this host sent in the flow, or of the datagram's first fragment: nanoseconds
    /// of CLOCK_MONOTONIC.
    pub last_sent: u64,
    /// The action for packets of the flow or datagram: [`LEFT_ALONE`], [`FROM_UNDERLAY`] or [`BYPASSED`].
    pub action: u8,
    /// Always 0.
    pub reserved: [u8; 3],
    /// An odd hash of the key, or 0 in an entry that the loader or programs of ABI 2 wrote. The kernel may give the
    /// entry's memory to a different key during a read. So a program accepts `action` only if `tag` is 0 or equals the
    /// hash of the key that the program looked up.
    pub tag: u32,
}

/// This host's end is its underlay address, the peer's end a public address: the programs leave the packets alone.
pub const LEFT_ALONE: u8 = 1;
/// This host's end is its underlay address, the peer's end a private address: the programs replace only the peer's
/// address.
pub const FROM_UNDERLAY: u8 = 2;
/// The datagram is on the bypass list: the programs leave its fragments alone.
pub const BYPASSED: u8 = 3;

crate::plain_old_data!(Flow<[u8; 4]>, Flow<[u8; 16]>, FlowState);

const _: () = assert!(size_of::<Flow<[u8; 4]>>() == 16 && size_of::<Flow<[u8; 16]>>() == 40);
const _: () = assert!(size_of::<FlowState>() == 16);
