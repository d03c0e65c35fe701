//! Builds the link header of IP over InfiniBand as tc sees it: the hardware address that Linux prepends, followed by
//! the header of [RFC 4391, section 6] (`struct ipoib_pseudo_header` and `struct ipoib_header` in
//! drivers/infiniband/ulp/ipoib/ipoib.h).
//!
//! [RFC 4391, section 6]: https://www.rfc-editor.org/rfc/rfc4391#section-6

/// The length of the header in bytes (`IPOIB_HARD_LEN`).
pub const HEADER_LEN: usize = 24;
/// The offset of the EtherType.
pub const ETHERTYPE: usize = 20;
/// The offset from which `BPF_PROG_TEST_RUN` takes the packet's protocol. The test run treats every frame as
/// Ethernet (`bpf_prog_test_run_skb` calls `eth_type_trans`), so the offset is in the middle of the
/// hardware address.
pub const TEST_RUN_ETHERTYPE: usize = 12;

/// The header's bytes, before a payload of type `ethertype`.
///
/// The hardware address (flags, queue pair and GID) contains the EtherType at the test run's offset, so
/// that the program sees the same protocol as on a real device.
#[must_use]
pub fn header(ethertype: u16) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    // Flags 0 (datagram mode), queue pair 0x48, and the first two bytes of a link-local GID.
    bytes[..6].copy_from_slice(&[0, 0, 0, 0x48, 0xfe, 0x80]);
    bytes[14..20].copy_from_slice(&[0xc9, 0x03, 0x00, 0x12, 0x34, 0x56]);
    for at in [TEST_RUN_ETHERTYPE, ETHERTYPE] {
        bytes[at..at + 2].copy_from_slice(&ethertype.to_be_bytes());
    }
    bytes
}
