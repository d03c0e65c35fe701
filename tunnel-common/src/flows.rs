//! `flows_v4`: flows that this host started with public addresses, so that the replies are left
//! alone. Remembered at egress, looked up at ingress; the least recently used are forgotten first.

/// The key of `flows_v4`, as this host sees the flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// This host's underlay address.
    pub local: [u8; 4],
    /// The peer's public address.
    pub peer: [u8; 4],
    /// This host's port in network order; the identifier of an ICMP query; 0 for other protocols.
    pub local_port: [u8; 2],
    /// The peer's port in network order; 0 for protocols without ports.
    pub peer_port: [u8; 2],
    /// The IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

/// The value of `flows_v4`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowState {
    /// When this host last sent a packet of the flow: nanoseconds of CLOCK_MONOTONIC.
    pub last_sent: u64,
}

crate::plain_old_data!(Flow, FlowState);

const _: () = assert!(size_of::<Flow>() == 16 && size_of::<FlowState>() == 8);
