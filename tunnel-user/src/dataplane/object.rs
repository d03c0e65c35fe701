//! The eBPF object, built by the build script and carried within the binary.

/// The ELF object that holds the programs and the definitions of their maps.
pub static EBPF_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/rewrite.o"));
