//! Looks up sockets of this host by their two ends.

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_CURRENT_NETNS, BPF_TCP_LISTEN, bpf_sock, bpf_sock_tuple,
};
use aya_ebpf::helpers::{bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release};
use tunnel_common::flows::Flow;
use tunnel_ebpf::address::{Address, Addresses};
use tunnel_ebpf::parse::transport::TCP;

const V4_BITS: u8 = 32;
/// The lengths of an IPv4 and an IPv6 socket tuple, in bytes.
const V4_LEN: u32 = 12;
const V6_LEN: u32 = 36;

/// True if a socket of this host uses the ports of `flow` with the private addresses `ends`: the socket has a
/// connection between exactly these two addresses, or is a UDP socket that is bound to exactly `ends.source`, this
/// host's private address. TCP listeners and sockets that are bound to all addresses do not count: such a socket may
/// belong to the packet's sender, which uses the public address.
///
/// False if the packet's own socket has the address `ends.source`. The packet then belongs to the private connection,
/// and address translation (iptables) has given the packet public addresses.
#[inline(never)]
pub fn is_there<A: Address>(
    skb: *mut __sk_buff,
    flow: &Flow<A::Octets>,
    ends: &Addresses<A>,
) -> bool {
    if is_sent_from(skb, ends.source) {
        return false;
    }
    let mut tuple = [0_u32; 9];
    let ([r0, r1], [l0, l1]) = (flow.peer_port, flow.local_port);
    let ports = u32::from_ne_bytes([r0, r1, l0, l1]);
    // The order in a packet to the socket: from the remote end to the local one.
    ends.destination.write_to(&mut tuple, 0);
    let len = if A::BITS == V4_BITS {
        ends.source.write_to(&mut tuple, 1);
        tuple[2] = ports;
        V4_LEN
    } else {
        ends.source.write_to(&mut tuple, 4);
        tuple[8] = ports;
        V6_LEN
    };
    let is_tcp = flow.protocol == TCP;
    let place = (&raw mut tuple).cast::<bpf_sock_tuple>();
    let namespace = BPF_F_CURRENT_NETNS as u64;
    // The helpers return no socket for a TCP connection in TIME_WAIT, and the listener for a connection that the peer
    // is opening (SYN-RECEIVED): they return only full sockets (Linux 5.2, net/core/filter.c, bpf_sk_lookup, commit
    // f7355a6c0497).
    // SAFETY: the tuple lies on the stack, whole; the context is a valid `__sk_buff`.
    let socket = unsafe {
        if is_tcp {
            bpf_sk_lookup_tcp(skb.cast(), place, len, namespace, 0)
        } else {
            bpf_sk_lookup_udp(skb.cast(), place, len, namespace, 0)
        }
    };
    if socket.is_null() {
        return false;
    }
    // SAFETY: the socket is held until it is released.
    let is_taken = unsafe { is_bound_to(socket, ends.source, is_tcp) };
    // SAFETY: the socket was looked up here, and is released once.
    unsafe { bpf_sk_release(socket.cast()) };
    is_taken
}

/// True if the packet's own socket has the address `local`.
#[inline(always)]
fn is_sent_from<A: Address>(skb: *mut __sk_buff, local: A) -> bool {
    // SAFETY: the context is a valid `__sk_buff`. The kernel turns the read into a read of `skb->sk`, which the packet
    // holds (Linux 5.1, net/core/filter.c, bpf_convert_ctx_access).
    let socket = unsafe { (*skb).__bindgen_anon_2.sk };
    if socket.is_null() {
        return false;
    }
    // SAFETY: the pointer is not null.
    unsafe { has_address(socket, local) }
}

/// # Safety
/// The caller holds a reference to the socket.
#[inline(always)]
unsafe fn has_address<A: Address>(socket: *mut bpf_sock, local: A) -> bool {
    // SAFETY: the caller holds the socket; the kernel turns the reads into reads of its own struct
    // (net/core/filter.c, bpf_sock_convert_ctx_access).
    let (v4, v6) = unsafe { ((*socket).src_ip4, (*socket).src_ip6) };
    if A::BITS == V4_BITS { local.is_words(&[v4, 0, 0, 0]) } else { local.is_words(&v6) }
}

/// # Safety
/// The caller holds a reference to the socket.
#[inline(always)]
unsafe fn is_bound_to<A: Address>(socket: *mut bpf_sock, local: A, is_tcp: bool) -> bool {
    // SAFETY: the caller holds the socket.
    let (is_local, state) = unsafe { (has_address(socket, local), (*socket).state) };
    is_local && !(is_tcp && state == BPF_TCP_LISTEN)
}
