//! Loads a host's programs and fills their maps.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::{Context as _, Result};
use aya::maps::lpm_trie::{Key as PrefixKey, LpmTrie};
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use testkit::test_run::Type;
use tunnel_common::maps;
use tunnel_common::peers::{Peer, PeerKey, ROLE_PRIVATE, ROLE_PUBLIC};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, SETTINGS, Settings};
use tunnel_user::dataplane::load::EBPF_OBJECT;
use tunnel_user::dataplane::peer_filter::PeerFilter;
use tunnel_user::dataplane::table::Table;
use tunnel_user::plan::attach_point::Program;

use super::cases::{Families, Version};
use super::octets::Octets;

/// The type of a program.
pub const fn type_of(program: Program) -> Type {
    match program {
        Program::Egress | Program::Ingress => Type::Tc,
        Program::Xdp => Type::Xdp,
    }
}

/// The loaded programs and their maps.
pub struct Host {
    ebpf: Ebpf,
    filter: PeerFilter,
}

impl Host {
    /// Loads the programs, with a capacity of `slots` peers.
    ///
    /// # Errors
    /// If the kernel rejects a map or a program.
    pub fn load(slots: u32, families: Families, has_prefixes: bool) -> Result<Self> {
        let settings = Settings {
            link_header_len: ETHERNET_HEADER_LEN,
            ipv4: u8::from(families.include(Version::V4)),
            ipv6: u8::from(families.include(Version::V6)),
            prefixes_v4: u8::from(has_prefixes),
            prefixes_v6: u8::from(has_prefixes),
            ..Settings::default()
        };
        let mut loader = EbpfLoader::new();
        loader
            .override_global("AYA_LOG_LEVEL", &0_u8, true)
            .override_global(SETTINGS, &settings, true)
            .map_max_entries(maps::PEER_COUNTERS, slots);
        for (version, names) in [
            (Version::V4, [maps::PEERS_V4, maps::PREFIXES_V4]),
            (Version::V6, [maps::PEERS_V6, maps::PREFIXES_V6]),
        ] {
            for name in names.into_iter().filter(|_| families.include(version)) {
                loader.map_max_entries(name, 2 * slots);
            }
        }
        let mut ebpf = loader.load(EBPF_OBJECT).context("load the object")?;
        for program in Program::ALL {
            let name = program.name();
            let loaded = ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
            match type_of(program) {
                Type::Tc => <&mut SchedClassifier>::try_from(loaded)?.load(),
                Type::Xdp => <&mut Xdp>::try_from(loaded)?.load(),
            }
            .with_context(|| format!("load {name}"))?;
        }
        let filter = ebpf.take_map(maps::PEER_FILTER).context("no filter")?.try_into()?;
        Ok(Self { ebpf, filter })
    }

    /// The descriptor of a loaded program.
    ///
    /// # Errors
    /// If the object does not contain the program.
    pub fn program(&self, program: Program) -> Result<BorrowedFd<'_>> {
        let name = program.name();
        let loaded = self.ebpf.program(name).with_context(|| format!("no program {name}"))?;
        let fd = match type_of(program) {
            Type::Tc => <&SchedClassifier>::try_from(loaded)?.fd()?,
            Type::Xdp => <&Xdp>::try_from(loaded)?.fd()?,
        };
        Ok(fd.as_fd())
    }

    /// Adds the peers' entries to the maps. An entry whose `length` covers all bits of an address is a single
    /// address; any other entry is a prefix.
    ///
    /// # Errors
    /// If the kernel rejects an entry.
    pub fn add<A: Octets>(&mut self, peers: impl Iterator<Item = (A, Peer<A>)>) -> Result<()>
    where
        PeerKey<A>: Pod,
        Peer<A>: Pod,
    {
        let mut hash: Table<PeerKey<A>, Peer<A>> =
            self.ebpf.take_map(A::PEERS).context("no map of peers")?.try_into()?;
        let mut prefixes: LpmTrie<_, A, Peer<A>> =
            self.ebpf.take_map(A::PREFIXES).context("no map of prefixes")?.try_into()?;
        let mut single = Vec::new();
        for (address, peer) in peers {
            if peer.length == A::BITS {
                single.push((PeerKey { address }, peer));
            } else {
                let key = PrefixKey::new(peer.length.into(), address);
                prefixes.insert(&key, peer, 0).context("add a prefix")?;
            }
        }
        self.filter
            .add(single.iter().map(|(key, _)| key.address.as_ref()))
            .context("fill the filter")?;
        hash.set(&single).context("add peers")
    }
}

/// The private and the public entry of a peer. `place` is an index into the generated addresses: the index of the
/// peer's address, or of the first address in the peer's prefix.
pub fn entries<A: Octets>(slot: u32, place: u32, length: u8) -> [(A, Peer<A>); 2] {
    let (private, public) = (A::private(place), A::public(place));
    [(private, ROLE_PRIVATE), (public, ROLE_PUBLIC)]
        .map(|(key, role)| (key, peer(slot, role, length, private, public)))
}

/// One entry of a peer.
pub fn peer<A: Octets>(slot: u32, role: u8, length: u8, private: A, public: A) -> Peer<A> {
    Peer {
        private,
        public,
        local_private: A::own(),
        local_underlay: A::own(),
        slot,
        role,
        length,
        use_former_source: 0,
        awaited: 0,
        direct: 0,
        replies_native: 0,
        public_flows: 0,
        bypass: 0,
        tie: if length == A::BITS { A::tie(private, public) } else { A::default() },
        grace_until: 0,
        expires_at: 0,
    }
}
