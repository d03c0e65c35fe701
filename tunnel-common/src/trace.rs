//! Defines what the programs of `rewrite trace` report about a packet. These programs live as long as the command, and
//! none of their maps is pinned: this layout belongs to one binary, and not to the ABI.

/// The ring buffer of [`Record`]s.
pub const RECORDS: &str = "records";
/// A per-CPU array of one u64: the number of records for which the ring buffer had no room.
pub const LOST: &str = "lost";
/// The object's global variable with the [`Offsets`].
pub const OFFSETS: &str = "OFFSETS";

/// Runs before the egress program, at tc.
pub const EGRESS_ENTRY: &str = "egress_entry";
/// Runs after the egress program, at tc.
pub const EGRESS_EXIT: &str = "egress_exit";
/// Runs before the ingress program at tc.
pub const INGRESS_ENTRY: &str = "ingress_entry";
/// Runs after the ingress program at tc.
pub const INGRESS_EXIT: &str = "ingress_exit";
/// Runs before the ingress program at XDP.
pub const XDP_ENTRY: &str = "xdp_entry";
/// Runs after the ingress program at XDP.
pub const XDP_EXIT: &str = "xdp_exit";

/// The maximum number of bytes that a record holds of a frame. A multiple of 8.
pub const SNAP_LEN: usize = 256;
/// The number of records that the ring buffer has room for.
pub const RECORDS_CAPACITY: usize = 4096;
/// The value of [`Record::reason`] for a packet that no reason counter counted.
pub const NO_REASON: u32 = u32::MAX;

/// The offsets of fields in the kernel's `struct sk_buff`, in bytes. The loader takes them from the kernel's BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `len`: the number of bytes of the whole packet.
    pub len: u32,
    /// `data_len`: the number of those bytes that are outside of the linear part.
    pub data_len: u32,
    /// `data`: the start of the linear part.
    pub data: u32,
}

/// A frame before or after a program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The whole frame's length in bytes, link header included.
    pub len: u32,
    /// The number of valid bytes in `bytes`.
    pub captured: u32,
    /// The first `captured` bytes belong to the frame; the bytes after them are zero.
    pub bytes: [u8; SNAP_LEN],
}

/// The effect of a program on one packet that it rewrote, stamped or counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The time in nanoseconds (`bpf_ktime_get_ns`, CLOCK_MONOTONIC).
    pub time: u64,
    /// The direction, as [`crate::outcome::Direction`].
    pub direction: u32,
    /// The index of the reason why the packet was not rewritten, in [`crate::outcome::Reason::ALL`]; or [`NO_REASON`].
    pub reason: u32,
    /// The frame before the program.
    pub before: Frame,
    /// The frame after the program.
    pub after: Frame,
}

crate::plain_old_data!(Offsets, Frame, Record);

const _: () = assert!(size_of::<Offsets>() == 12);
const _: () = assert!(size_of::<Frame>() == 8 + SNAP_LEN);
const _: () = assert!(size_of::<Record>() == 16 + 2 * size_of::<Frame>());
const _: () = assert!(SNAP_LEN.is_multiple_of(8));
