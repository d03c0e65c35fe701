//! Defines the value of the map `members`, from each peer's slot to the peer's name.

/// Bytes of a member's name in the map, padded with zeros. The longest name is one byte shorter.
pub const NAME_LEN: usize = 64;

/// The value of `members`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The peer's name in the file: ASCII, padded with zeros.
    pub name: [u8; NAME_LEN],
}

crate::plain_old_data!(Member);

const _: () = assert!(size_of::<Member>() == NAME_LEN);
