//! Defines the ABI between the eBPF programs and everything that reads or writes their pinned maps.
//!
//! Every struct here is `#[repr(C)]`, without implicit padding, and holds addresses and ports as byte arrays in network
//! order: `bpftool map dump pinned` prints their bytes in the order in which people read them. A change to a name, a
//! field or a size here requires a new [`ABI_VERSION`].
#![no_std]

pub mod attachment;
pub mod bypass;
pub mod counters;
pub mod flows;
pub mod local_members;
pub mod maps;
pub mod members;
pub mod move_notice;
pub mod outcome;
pub mod peer_filter;
pub mod peers;
pub mod ping;
pub mod settings;
pub mod trace;

/// The version of the maps' layout. A loader takes over the pins of the previous version, and recognises and refuses
/// the pins of all other versions.
pub const ABI_VERSION: u32 = 3;

/// Marks ABI structs as plain old data for aya.
///
/// Every type named here is `#[repr(C)]`, `Copy`, and made of integers and integer arrays with explicit padding: every
/// bit pattern is a valid value, and no byte is uninitialised.
macro_rules! plain_old_data {
    ($($name:ty),+ $(,)?) => {
        $(
            #[cfg(feature = "user")]
            // SAFETY: see the macro's documentation; assertions below the types pin the sizes.
            unsafe impl aya::Pod for $name {}
        )+
    };
}
pub(crate) use plain_old_data;
