//! Generates values of pinned maps from the fuzzer's bytes. Most addresses and slots come from a small set, so
//! that entries relate to each other. The remaining addresses and slots are arbitrary.

use std::collections::BTreeMap;

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use tunnel_common::bypass::{BypassKey, CLUSTER};
use tunnel_common::local_members::{LocalAddresses, LocalMember};
use tunnel_common::members::NAME_LEN;
use tunnel_common::peers::Peer;
use tunnel_user::plan::peer_tables::{PeerTable, PeerTables};
use tunnel_user::plan::range::{Address, Range};

/// Any content that the maps of one interface can hold.
#[derive(Debug)]
pub struct Pinned {
    /// The entries of `peers_v4`, `peers_v6`, `prefixes_v4` and `prefixes_v6`.
    pub peers: PeerTables,
    /// The entries of `members`: each slot's name.
    pub names: BTreeMap<u32, [u8; NAME_LEN]>,
    /// The keys of `bypass`.
    pub bypass: Vec<BypassKey>,
    /// The values of `local_members`.
    pub local: Vec<LocalMember>,
}

impl<'a> Arbitrary<'a> for Pinned {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let names = some(input, |input| Ok((slot(input)?, name(input)?)))?;
        Ok(Self {
            peers: PeerTables { v4: table(input)?, v6: table(input)? },
            names: names.into_iter().collect(),
            bypass: some(input, key)?,
            local: some(input, own_member)?,
        })
    }
}

fn some<'a, T>(
    input: &mut Unstructured<'a>,
    one: fn(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.int_in_range(0..=6)?;
    (0..count).map(|_| one(input)).collect()
}

fn slot(input: &mut Unstructured<'_>) -> Result<u32> {
    if input.ratio(1, 16)? { input.arbitrary() } else { input.int_in_range(0..=3) }
}

fn name(input: &mut Unstructured<'_>) -> Result<[u8; NAME_LEN]> {
    if input.ratio(1, 16)? {
        return input.arbitrary();
    }
    let mut name = [0; NAME_LEN];
    name[0] = input.int_in_range(b'a'..=b'd')?;
    Ok(name)
}

fn address<A: Address + for<'a> Arbitrary<'a> + AsMut<[u8]>>(
    input: &mut Unstructured<'_>,
) -> Result<A> {
    if input.ratio(1, 8)? {
        return input.arbitrary();
    }
    let mut address = A::default();
    let octets = address.as_mut();
    if let [first, .., last] = octets {
        (*first, *last) = (10, input.int_in_range(0..=7)?);
    }
    Ok(address)
}

fn length<A: Address>(input: &mut Unstructured<'_>) -> Result<u8> {
    Ok(match input.int_in_range(0..=7)? {
        0 => input.arbitrary()?,
        1 => A::FAMILY.bits() - 2,
        2 => A::FAMILY.bits() - 8,
        3 => 0,
        _ => A::FAMILY.bits(),
    })
}

fn table<A: Address + for<'a> Arbitrary<'a> + AsMut<[u8]>>(
    input: &mut Unstructured<'_>,
) -> Result<PeerTable<A>> {
    let mut table = PeerTable::new();
    for _ in 0..input.int_in_range(0..=10)? {
        // Limit the length: the kernel rejects a key whose length exceeds the number of bits in the address.
        let range = Range { address: address(input)?, length: length::<A>(input)? };
        let range = Range { length: range.length.min(A::FAMILY.bits()), ..range };
        table.insert(range, peer(input, range.length)?);
    }
    Ok(table)
}

fn peer<A: Address + for<'a> Arbitrary<'a> + AsMut<[u8]>>(
    input: &mut Unstructured<'_>,
    length: u8,
) -> Result<Peer<A>> {
    let anything = input.ratio(1, 8)?;
    Ok(Peer {
        private: address(input)?,
        public: address(input)?,
        local_private: address(input)?,
        local_underlay: address(input)?,
        slot: slot(input)?,
        role: if anything { input.arbitrary()? } else { input.int_in_range(1..=3)? },
        direct: input.int_in_range(0..=2)?,
        public_flows: input.int_in_range(0..=2)?,
        length: if anything { input.arbitrary()? } else { length },
        bypass: input.int_in_range(0..=4)?,
        replies_native: input.int_in_range(0..=2)?,
        use_former_source: input.int_in_range(0..=2)?,
        awaited: if anything { input.arbitrary()? } else { input.int_in_range(0..=1)? },
        tie: address(input)?,
        grace_until: input.arbitrary()?,
        expires_at: input.arbitrary()?,
    })
}

fn key(input: &mut Unstructured<'_>) -> Result<BypassKey> {
    Ok(BypassKey {
        slot: if input.ratio(1, 4)? { CLUSTER } else { slot(input)? },
        protocol: *input.choose(&[6, 17, 33, 132, 136, 1, 0, 255])?,
        reserved: input.int_in_range(0..=1)?,
        port: input.arbitrary()?,
    })
}

fn own_member(input: &mut Unstructured<'_>) -> Result<LocalMember> {
    Ok(LocalMember { name: name(input)?, v4: own_addresses(input)?, v6: own_addresses(input)? })
}

fn own_addresses<A: Address + for<'a> Arbitrary<'a> + AsMut<[u8]>>(
    input: &mut Unstructured<'_>,
) -> Result<LocalAddresses<A>> {
    Ok(LocalAddresses {
        private: address(input)?,
        public: address(input)?,
        underlay: address(input)?,
        length: length::<A>(input)?,
        loopback_address_added: input.int_in_range(0..=2)?,
        reserved: [0; 2],
    })
}
