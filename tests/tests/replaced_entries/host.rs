//! Loads the programs of one host of the cluster: host a, whose peers are b, c and d.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData};
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use testkit::test_run::Type;
use tunnel_common::maps;
use tunnel_common::peers::{Peer, PeerKey, ROLE_PRIVATE, ROLE_PUBLIC, tie};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, SETTINGS, Settings};
use tunnel_user::dataplane::load::EBPF_OBJECT;
use tunnel_user::dataplane::peer_filter::PeerFilter;

/// The program that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The egress program.
    Egress,
    /// The ingress program at tc.
    Ingress,
    /// The ingress program at XDP.
    Xdp,
}

/// The family, which determines the map of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The last byte of b's private and public address.
pub const B: u8 = 2;
/// The last byte of c's private and public address.
pub const C: u8 = 3;
/// The last byte of d's private and public address.
pub const D: u8 = 4;

/// Both entries of a peer.
pub type Entries<A> = [(PeerKey<A>, Peer<A>); 2];

/// A peer's entries in IPv4.
pub fn v4(last: u8) -> Entries<[u8; 4]> {
    let addresses = [[10, 0, 0, last], [203, 0, 113, last]];
    entries(addresses, [[10, 0, 0, 1], [198, 51, 100, 2]], [0; 4], last)
}

/// A peer's entries in IPv6.
pub fn v6(last: u8) -> Entries<[u8; 16]> {
    let mut private = [0; 16];
    private[0] = 0xfd;
    let public = |site: u8| {
        let mut address = [0; 16];
        address[..6].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, site]);
        address
    };
    let ending = |mut address: [u8; 16], last| {
        address[15] = last;
        address
    };
    let addresses = [ending(private, last), ending(public(0xb), last)];
    let local = [ending(private, 1), ending(public(0xa), 2)];
    entries(addresses, local, tie(addresses[0], addresses[1]), last)
}

fn entries<A: Copy>(addresses: [A; 2], local: [A; 2], tie: A, slot: u8) -> Entries<A> {
    [ROLE_PRIVATE, ROLE_PUBLIC].map(|role| {
        let peer = Peer {
            private: addresses[0],
            public: addresses[1],
            local_private: local[0],
            local_underlay: local[1],
            tie,
            slot: slot.into(),
            role,
            length: 8 * size_of::<A>() as u8,
            use_former_source: 0,
            awaited: 0,
            direct: 0,
            replies_native: 0,
            public_flows: 0,
            bypass: 0,
            grace_until: 0,
            expires_at: 0,
        };
        let key = addresses[usize::from(role != ROLE_PRIVATE)];
        (PeerKey { address: key }, peer)
    })
}

/// The loaded programs.
pub struct Host(Ebpf);

impl Host {
    /// Loads the programs.
    pub fn new() -> Result<Self> {
        let settings = Settings {
            link_header_len: ETHERNET_HEADER_LEN,
            ipv4: 1,
            ipv6: 1,
            ..Settings::default()
        };
        let mut ebpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &0_u8, false)
            .override_global(SETTINGS, &settings, true)
            .load(EBPF_OBJECT)
            .context("cannot load the object")?;
        for name in [maps::EGRESS_PROGRAM, maps::INGRESS_PROGRAM] {
            let program = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
            <&mut SchedClassifier>::try_from(program)?.load()?;
        }
        let xdp = ebpf.program_mut(maps::XDP_PROGRAM).context("no program for XDP")?;
        <&mut Xdp>::try_from(xdp)?.load()?;
        Ok(Self(ebpf))
    }

    /// A program's descriptor, and its type.
    pub fn program(&self, program: Program) -> Result<(OwnedFd, Type)> {
        let name = match program {
            Program::Egress => maps::EGRESS_PROGRAM,
            Program::Ingress => maps::INGRESS_PROGRAM,
            Program::Xdp => maps::XDP_PROGRAM,
        };
        let found = self.0.program(name).with_context(|| format!("no program {name}"))?;
        let (fd, kind) = match program {
            Program::Xdp => (<&Xdp>::try_from(found)?.fd()?, Type::Xdp),
            Program::Egress | Program::Ingress => {
                (<&SchedClassifier>::try_from(found)?.fd()?, Type::Tc)
            }
        };
        Ok((fd.as_fd().try_clone_to_owned()?, kind))
    }

    /// The filter for addresses that may belong to peers.
    pub fn filter(&self) -> Result<PeerFilter> {
        let map = self.0.map(maps::PEER_FILTER).context("no filter")?;
        let Map::Array(data) = map else { anyhow::bail!("the filter is no array") };
        let data = MapData::from_fd(data.fd().as_fd().try_clone_to_owned()?)?;
        Ok(Map::Array(data).try_into()?)
    }

    /// The map of a family's peers.
    pub fn peers<A: Pod>(&self, family: Family) -> Result<HashMap<MapData, PeerKey<A>, Peer<A>>>
    where
        PeerKey<A>: Pod,
        Peer<A>: Pod,
    {
        let name = match family {
            Family::V4 => maps::PEERS_V4,
            Family::V6 => maps::PEERS_V6,
        };
        let map = self.0.map(name).with_context(|| format!("no map {name}"))?;
        let Map::HashMap(data) = map else { anyhow::bail!("{name} is no hash") };
        let data = MapData::from_fd(data.fd().as_fd().try_clone_to_owned()?)?;
        Ok(HashMap::try_from(Map::HashMap(data))?)
    }
}
