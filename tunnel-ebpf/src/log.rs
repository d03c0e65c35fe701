//! Logs packets for `attach --verbose`. Without this option, the loader sets a log level with which the verifier
//! removes this code.

use aya_ebpf::EbpfContext;
use aya_log_ebpf::debug;
use tunnel_common::outcome::{Direction, Reason};
use tunnel_ebpf::address::Address as _;
use tunnel_ebpf::family::{Family, V4, V6};
use tunnel_ebpf::packet::Packet;

/// A version of IP whose addresses can be logged.
pub trait Logged: Family {
    /// Logs a packet of `length` bytes that concerns a peer and is not rewritten.
    fn log<C: EbpfContext, P: Packet>(
        ctx: &C,
        packet: &P,
        direction: Direction,
        reason: Reason,
        length: u32,
    );
}

macro_rules! logged {
    ($family:ident, $address:ty) => {
        impl Logged for $family {
            #[inline(never)]
            fn log<C: EbpfContext, P: Packet>(
                ctx: &C,
                packet: &P,
                direction: Direction,
                reason: Reason,
                length: u32,
            ) {
                let Some(own) = $family::header_ref(packet) else { return };
                let source: $address = $family::source::<P>(&own).octets();
                let destination: $address = $family::destination::<P>(&own).octets();
                debug!(
                    ctx,
                    "direction {} reason {} length {} {:i} to {:i}",
                    direction as u32,
                    reason as u32,
                    length,
                    source,
                    destination
                );
            }
        }
    };
}

logged!(V4, [u8; 4]);
logged!(V6, [u8; 16]);
