//! Defines the keys and values of the map `bypass`: rules that select packets to and from peers. The programs leave
//! these packets alone.

/// The value of `slot` in rules for the whole cluster.
pub const CLUSTER: u32 = u32::MAX;

/// The key of `bypass`. The programs leave a packet alone if its protocol and one of its ports match.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BypassKey {
    /// The peer's slot, or [`CLUSTER`].
    pub slot: u32,
    /// The number of an IP protocol with ports.
    pub protocol: u8,
    /// Always 0.
    pub reserved: u8,
    /// The port in network order.
    pub port: [u8; 2],
}

/// The value of `bypass`: always 1.
pub type BypassValue = u8;

crate::plain_old_data!(BypassKey);

const _: () = assert!(size_of::<BypassKey>() == 8);
