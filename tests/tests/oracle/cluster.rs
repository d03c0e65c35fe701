//! Describes a host and its peers by the addresses that the loader gives to the programs. The model decides from this
//! description, and the test fills the maps with it.

use std::net::IpAddr;

/// Addresses with `length` bits in common: one address, or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// The first address.
    pub first: IpAddr,
    /// The number of leading bits that all addresses share.
    pub length: u8,
}

impl Range {
    /// Parses a range, with or without a length.
    pub fn of(text: &str) -> Self {
        let (first, length) = match text.split_once('/') {
            Some((first, length)) => (first, Some(length.parse().expect("a length"))),
            None => (text, None),
        };
        let first: IpAddr = first.parse().expect("an address");
        Self { first, length: length.unwrap_or(width(first)) }
    }

    /// True if the range is one address.
    pub fn is_single(self) -> bool {
        self.length == width(self.first)
    }

    /// True if `address` is in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && bits(address) & !self.host_bits() == bits(self.first)
    }

    /// This range's network bits with the host bits of `address`, which is from a range of the same length.
    pub fn at_place_of(self, address: IpAddr) -> IpAddr {
        from_bits(bits(self.first) | bits(address) & self.host_bits(), self.first)
    }

    /// The host mask.
    fn host_bits(self) -> u128 {
        1_u128.checked_shl(u32::from(width(self.first) - self.length)).unwrap_or(0).wrapping_sub(1)
    }
}

/// The number of bits of an address.
fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address with these bits, in the family of `like`.
fn from_bits(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from((bits as u32).to_be_bytes()),
        IpAddr::V6(_) => IpAddr::from(bits.to_be_bytes()),
    }
}

/// The ranges of one local member, in one family.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The member's private addresses.
    pub private: Range,
    /// The member's underlay addresses, as many as its private addresses.
    pub underlay: Range,
    /// The member's underlay addresses before its move, if this host still has them.
    pub former: Option<Range>,
}

impl Own {
    /// The member's current and former underlay addresses.
    fn underlay_ranges(&self) -> impl Iterator<Item = Range> {
        [self.underlay].into_iter().chain(self.former)
    }
}

/// A peer in one family. A member with both families is two peers, with the same slot.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The index of the peer's counters.
    pub slot: u32,
    /// The peer's private addresses.
    pub private: Range,
    /// The peer's public addresses, as many as its private addresses.
    pub public: Range,
    /// The peer's public addresses before its move, if packets may still come from them, and their expiry in seconds
    /// since the machine started; 0 for no expiry.
    pub former: Option<(Range, u32)>,
    /// True if the peer might still use this host's former underlay address: packets to the peer leave from the former
    /// address. Used on a gateway and for a peer that is a prefix; in all other cases, `awaited` holds the source.
    pub is_unaware: bool,
    /// For an awaited peer: the source and destination of packets to the peer. They apply until a notice from the peer
    /// shows that the peer knows the current pair.
    pub awaited: Option<Pair>,
    /// True if packets from the peer's private address may pass.
    pub is_direct: bool,
    /// The end of the peer's grace period, in seconds since the machine started; 0 if the period is long over.
    pub grace_until: u32,
    /// The peer's own bypass rules: IP protocol and port.
    pub bypass: Vec<(u8, u16)>,
}

impl Peer {
    /// A peer with all special features off.
    pub fn new(slot: u32, private: &str, public: &str) -> Self {
        Self {
            slot,
            private: Range::of(private),
            public: Range::of(public),
            former: None,
            is_unaware: false,
            awaited: None,
            is_direct: false,
            grace_until: 0,
            bypass: Vec::new(),
        }
    }
}

/// The source (`underlay`) and destination (`public`) of packets to a peer with one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// This host's underlay address; `None` on a gateway, which has many underlay addresses.
    pub underlay: Option<IpAddr>,
    /// The address that reaches the peer.
    pub public: IpAddr,
}

/// The role of an address of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The peer's identity.
    Private,
    /// The address that reaches the peer.
    Public,
    /// The peer's address before its move.
    Former,
}

/// The entry of one of a peer's ranges.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The peer that has the range.
    pub peer: &'a Peer,
    /// The role of the range.
    pub role: Role,
    /// The range, which is also the key of the entry in `Memory::marks`.
    pub range: Range,
}

impl Entry<'_> {
    /// True if this host no longer accepts packets from this range.
    pub fn has_drained(&self, now: u32) -> bool {
        match self.peer.former {
            Some((_, until)) => self.role == Role::Former && until != 0 && now >= until,
            None => false,
        }
    }
}

/// The link header of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// 14 bytes, and VLAN tags.
    Ethernet,
    /// 24 bytes.
    InfiniBand,
}

/// A host and its peers.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The name in reports.
    pub name: &'static str,
    /// The link that the programs are on.
    pub link: Link,
    /// This host's ranges: one for each family, or several on a gateway.
    pub local: Vec<Own>,
    /// True if this host is several members, or a prefix. The programs then look up its addresses in `local_v4` and
    /// `local_v6`.
    pub is_gateway: bool,
    /// All peers.
    pub peers: Vec<Peer>,
    /// True if the programs handle tagged frames, too.
    pub handles_tags: bool,
    /// Bypass rules for all peers: IP protocol and port.
    pub bypass: Vec<(u8, u16)>,
}

impl Cluster {
    /// The private addresses that no packet from outside may have as source or destination (`guarded_v4`,
    /// `guarded_v6`). Empty on a gateway, whose programs find private addresses in `local_v4` and `local_v6`.
    pub fn guarded(&self) -> impl Iterator<Item = IpAddr> {
        let own = self.local.iter().filter(|own| !self.is_gateway && own.private != own.underlay);
        own.map(|own| own.private.first)
    }

    /// True if `address` is a private address of this host, or of a host behind this gateway.
    pub fn is_private(&self, address: IpAddr) -> bool {
        let of_underlay = |own: &Own| own.underlay_ranges().any(|range| range.contains(address));
        self.narrowest(address)
            .is_some_and(|own| own.private.contains(address) && !of_underlay(own))
    }

    /// The entries of all peers.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.peers.iter().flat_map(|peer| {
            let private = [Entry { peer, role: Role::Private, range: peer.private }];
            let public = [Entry { peer, role: Role::Public, range: peer.public }];
            let former = peer.former.map(|(range, _)| Entry { peer, role: Role::Former, range });
            private.into_iter().chain(public).chain(former)
        })
    }

    /// The entry of `address`: the narrowest range wins.
    pub fn entry(&self, address: IpAddr) -> Option<Entry<'_>> {
        self.entries()
            .filter(|entry| entry.range.contains(address))
            .max_by_key(|entry| entry.range.length)
    }

    /// The underlay address of `private`, if this host has that private address. If `of_now` is false, a former
    /// underlay address takes precedence over the current one.
    pub fn underlay_of(&self, private: IpAddr, of_now: bool) -> Option<IpAddr> {
        let own = self.narrowest(private)?;
        let underlay = own.former.filter(|_| !of_now).unwrap_or(own.underlay);
        own.private.contains(private).then(|| underlay.at_place_of(private))
    }

    /// The private address of `underlay`, if `underlay` is a current or former underlay address of this host.
    pub fn private_of(&self, underlay: IpAddr) -> Option<IpAddr> {
        let own = self.narrowest(underlay)?;
        let is_own = own.underlay_ranges().any(|range| range.contains(underlay));
        is_own.then(|| own.private.at_place_of(underlay))
    }

    /// True if `underlay` is one of this host's current underlay addresses.
    pub fn is_current(&self, underlay: IpAddr) -> bool {
        self.narrowest(underlay).is_some_and(|own| own.underlay.contains(underlay))
    }

    /// True if `underlay` belongs to a local member that has a former underlay address.
    pub fn is_moved(&self, underlay: IpAddr) -> bool {
        self.narrowest(underlay).is_some_and(|own| own.former.is_some())
    }

    /// True if this host has former underlay addresses.
    pub fn has_moved(&self) -> bool {
        self.local.iter().any(|own| own.former.is_some())
    }

    /// The source and destination of packets to the one-address `peer`, before the peer has sent any notice.
    pub fn pair(&self, peer: &Peer) -> Pair {
        peer.awaited.unwrap_or_else(|| self.current_pair(peer))
    }

    /// The current pair for the one-address `peer`. An awaited peer gets packets at this pair once it has shown that it
    /// knows the pair.
    pub fn current_pair(&self, peer: &Peer) -> Pair {
        let public = peer.public.first;
        let is_family = |own: &&Own| own.private.first.is_ipv4() == public.is_ipv4();
        let own = self.local.iter().filter(|_| !self.is_gateway).find(is_family);
        Pair { underlay: own.map(|own| own.underlay.first), public }
    }

    /// This host's narrowest member that holds `address` in a private or underlay range.
    fn narrowest(&self, address: IpAddr) -> Option<&Own> {
        let of_self = |own: &&Own| {
            let mut ranges = own.underlay_ranges().chain([own.private]);
            ranges.any(|range| range.contains(address))
        };
        self.local.iter().filter(of_self).max_by_key(|own| own.private.length)
    }

    /// The public address of the peer's address `private`; `None` if another member has that public address.
    pub fn public_of(&self, peer: &Peer, private: IpAddr) -> Option<IpAddr> {
        self.translated(peer, peer.public, private, Role::Public)
    }

    /// The private address of the peer's address `public`; `None` if another member has that private address.
    pub fn private_of_peer(&self, peer: &Peer, public: IpAddr) -> Option<IpAddr> {
        self.translated(peer, peer.private, public, Role::Private)
    }

    fn translated(&self, peer: &Peer, to: Range, address: IpAddr, role: Role) -> Option<IpAddr> {
        let translated = to.at_place_of(address);
        let owner = self.entry(translated)?;
        (owner.peer.slot == peer.slot && owner.role == role).then_some(translated)
    }

    /// True if this peer has bypass rules to check.
    pub fn has_bypass(&self, peer: &Peer) -> bool {
        !self.bypass.is_empty() || !peer.bypass.is_empty()
    }

    /// True if packets to and from `peer` with these ports are left alone.
    pub fn is_bypassed(&self, peer: &Peer, protocol: u8, ports: [u16; 2]) -> bool {
        let rules = self.bypass.iter().chain(&peer.bypass);
        rules.into_iter().any(|(of, port)| *of == protocol && ports.contains(port))
    }
}
