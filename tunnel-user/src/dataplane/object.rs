//! The eBPF objects that are carried within the binary: the one that the build script builds, and the one of
//! the version before.

/// The ELF object that holds the programs and the definitions of their maps.
pub static EBPF_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/rewrite.o"));

/// The object of ABI 2, for the way back to the version before (tunnel-user/abi2/README.md).
pub static PREVIOUS_OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/abi2/rewrite.o"));
