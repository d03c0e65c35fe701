//! Defines the facts that the tests need about each version of IP: addresses, headers, and the numbers of control
//! messages.

use std::fmt::Debug;
use std::hash::Hash;

use tunnel_common::outcome::Reason;

use super::datagram::{Datagram, Route};
use super::random::Random;
use crate::address::Address;
use crate::family::{Family, Octets};

/// A member of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<A> {
    pub private: A,
    pub public: A,
    pub underlay: A,
}

impl<A: Copy> Member<A> {
    pub const fn new(private: A, public: A) -> Self {
        Self { private, public, underlay: public }
    }
}

/// The part of a datagram's payload that a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part's offset, in bytes.
    pub offset: usize,
    /// True if more parts follow.
    pub more: bool,
}

impl Part {
    pub const WHOLE: Self = Self { offset: 0, more: false };
}

/// A version of IP.
pub trait Version:
    Family<Address: Address<Octets: Eq + Hash + Debug + AsRef<[u8]> + AsMut<[u8]>>>
    + Copy
    + Debug
    + 'static
{
    /// The headers after the fixed header: IPv4's options, or IPv6's extension headers.
    type Options: Clone + Debug + Default;

    const SRVA: Member<Octets<Self>>;
    const SRVB: Member<Octets<Self>>;
    const SRVC: Member<Octets<Self>>;
    const ROUTER: Octets<Self>;
    const STRANGER: Octets<Self>;
    /// srva's underlay address when srva is behind a 1:1 NAT.
    const BEHIND_NAT: Octets<Self>;

    /// The value of the field `Peer::tie`: see [`tunnel_common::peers::tie`] for IPv6; always 0 for IPv4.
    fn tie(private: Octets<Self>, public: Octets<Self>) -> Octets<Self>;

    /// The route from srva to srvb, as their software sees it.
    const PRIVATE: Route<Octets<Self>> = Route::new(Self::SRVA.private, Self::SRVB.private);
    /// The route from srva to srvb, on the wire.
    const PUBLIC: Route<Octets<Self>> = Route::new(Self::SRVA.public, Self::SRVB.public);
    /// The route from srva to srvb for a socket that is bound to srva's underlay address.
    const FROM_UNDERLAY: Route<Octets<Self>> = Route::new(Self::SRVA.public, Self::SRVB.private);

    /// The version number, in the first four bits of a header.
    const VERSION: u8;
    /// Bytes of the fixed header.
    const HEADER_LEN: usize;
    /// The number of bytes by which a fragment's header is longer than the whole datagram's header.
    const FRAGMENT_HEADER_LEN: usize;
    const TIME_TO_LIVE_OFFSET: usize;
    /// The offset of the length field's lower byte.
    const LENGTH_OFFSET: usize;
    /// The offset in the header from which a rewrite may write.
    const WRITTEN_FROM: usize;
    /// The shortest length that a header can state, valid or not.
    const SHORTEST_LEN: usize;
    /// The fault of a packet that is shorter than its header with all options.
    const CUT_HEADER: Reason;
    /// The longest packet that is not BIG TCP.
    const LONGEST: usize;
    /// The fault of a TCP segment whose header states a length of 0, although the packet is not BIG TCP.
    const WITHOUT_LEN: Reason;
    /// The protocol number of control messages.
    const CONTROL: u8;
    /// True if the checksum of control messages covers a pseudo-header.
    const CONTROL_HAS_PSEUDO_HEADER: bool;
    /// The length of the shortest control message.
    const CONTROL_LEN_MIN: usize;
    const ECHO_REQUEST: u8;
    const ECHO_REPLY: u8;
    /// The types of the messages that quote a packet.
    const ERRORS: &'static [u8];
    /// The header of a "too big" error with an MTU of 1400.
    const TOO_BIG: [u8; 8];

    /// Options that do nothing, of about this length.
    fn padding_options(len: usize) -> Self::Options;

    /// Random options that do not stop a rewrite.
    fn random_options(random: &mut Random) -> Self::Options;

    /// Options of 80 bytes, or the longest possible options.
    fn long_options() -> Self::Options;

    /// The header of a "time exceeded" error that states a quote of `len` bytes.
    fn time_exceeded_quoting(len: u8) -> [u8; 8];

    /// The length of options, in bytes.
    fn options_len(options: &Self::Options) -> usize;

    /// The header of `part` of a datagram, before `payload_len` bytes of payload.
    fn packet_header(
        datagram: &Datagram<Self>,
        route: Route<Octets<Self>>,
        payload_len: usize,
        part: Part,
    ) -> Vec<u8>;

    /// The length of the shortest valid quote of a datagram: its whole header in IPv4, the fixed header in IPv6.
    fn quoted_len_min(datagram: &Datagram<Self>) -> usize;

    /// The packet's length according to its header. `None` if the header states a length of 0: the packet then extends
    /// to its end in memory.
    fn len(packet: &[u8]) -> Option<usize>;

    /// The addresses of a packet.
    fn route(packet: &[u8]) -> Route<Octets<Self>>;

    /// Makes the header state a length of 0, so that the packet extends to its end in memory.
    fn set_no_len(packet: &mut [u8]);

    /// Makes the header state a total length of `len` bytes.
    fn set_len(packet: &mut [u8], len: usize);

    /// The offset and the protocol of a packet's payload by its headers, which may be wrong.
    fn payload(packet: &[u8]) -> Option<(usize, u8)>;

    /// Overwrites the start of random bytes with a header that is valid in most of its fields.
    fn put_header(random: &mut Random, bytes: &mut [u8], route: Route<Octets<Self>>);
}

/// Makes a test for each version of IP out of one scenario.
macro_rules! in_both_versions {
    ($($scenario:ident),+ $(,)?) => {
        $(
            mod $scenario {
                #[test]
                fn ipv4() {
                    super::$scenario::<crate::family::V4>();
                }

                #[test]
                fn ipv6() {
                    super::$scenario::<crate::family::V6>();
                }
            }
        )+
    };
}
pub(super) use in_both_versions;
