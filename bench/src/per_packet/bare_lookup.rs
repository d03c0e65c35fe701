//! Measures the nanoseconds of a program that only looks up an absent address: the minimum cost of a packet
//! that concerns no peer.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use aya::EbpfLoader;
use aya::maps::Map;
use testkit::test_run::{self, Type, Way};
use tunnel_common::maps;
use tunnel_user::dataplane::load::EBPF_OBJECT;

use super::{Empty, RUNS, nanoseconds};
use crate::cpu_noise::Sampler;
use crate::raw_program::{self, Instruction};
use crate::report::{Better, Row, Spread, Table};

/// The maps' capacity: the number of entries for one member.
const ENTRIES: u32 = 2;
/// The packet, whose content the programs ignore.
const FRAME: [u8; 64] = [0; 64];
/// A word of the address to look up. The map is empty, so any address is absent.
const NOBODY: i32 = 1;

/// The opcodes (include/uapi/linux/bpf.h), in this order: `BPF_LD | BPF_IMM | BPF_DW`, `BPF_ST | BPF_MEM | BPF_W`,
/// `BPF_ALU64 | BPF_MOV | BPF_X`, `BPF_ALU64 | BPF_ADD | BPF_K` and `BPF_JMP | BPF_CALL`. `LOAD_MAP` is two
/// instructions long. The last two constants are BPF_PSEUDO_MAP_FD, for the source register field of `LOAD_MAP`, and
/// the number of bpf_map_lookup_elem, for the immediate field of `CALL`.
const LOAD_MAP: u8 = 0x18;
const STORE: u8 = 0x62;
const MOVE_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
const CALL: u8 = 0x85;
const PSEUDO_MAP_FD: u8 = 1;
const MAP_LOOKUP: i32 = 1;
/// The registers of a function's first two arguments, and the frame pointer.
const MAP: u8 = 1;
const KEY: u8 = 2;
const STACK: u8 = 10;

/// The tc and the XDP program that look up an address in a map of peers, and the programs' samples.
pub struct BareLookup {
    name: &'static str,
    programs: [(Type, OwnedFd, Vec<f64>); 2],
}

impl BareLookup {
    /// Loads the lookups for IPv4 and IPv6.
    ///
    /// # Errors
    /// If the kernel rejects a map or a program.
    pub fn all() -> Result<[Self; 2]> {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(maps::PEERS_V4, ENTRIES)
            .map_max_entries(maps::PEERS_V6, ENTRIES)
            .load(EBPF_OBJECT)
            .context("load the object")?;
        let mut of = |name, peers, words| -> Result<Self> {
            let map = ebpf.take_map(peers).with_context(|| format!("no map {peers}"))?;
            let (tc, xdp) = (load(Type::Tc, &map, words)?, load(Type::Xdp, &map, words)?);
            let programs = [(Type::Tc, tc, Vec::new()), (Type::Xdp, xdp, Vec::new())];
            Ok(Self { name, programs })
        };
        Ok([of("IPv4", maps::PEERS_V4, 1)?, of("IPv6", maps::PEERS_V6, 4)?])
    }

    /// Takes a sample of each program.
    pub fn once_more(&mut self, empty: &Empty, sampler: &Sampler) -> Result<()> {
        for (of, program, samples) in &mut self.programs {
            let run = |fd| test_run::repeat(fd, *of, &FRAME, Way::default(), RUNS);
            samples.push(sampler.sample(|| {
                let (_, floor) = run(empty.of(*of))?;
                let (_, time) = run(program.as_fd())?;
                Ok(nanoseconds(time) - nanoseconds(floor))
            })?);
        }
        Ok(())
    }
}

/// The table of all lookups.
pub fn table(lookups: &[BareLookup]) -> Table {
    let row = |lookup: &BareLookup| Row {
        what: format!("{}, nobody's address", lookup.name),
        cells: lookup.programs.iter().map(|(_, _, samples)| Spread::of(samples)).collect(),
    };
    Table {
        name: "per-packet-lookup",
        title: "A program that only looks up an address, minus an empty program of the same type: the lower bound of \
                a miss."
            .to_owned(),
        unit: "ns",
        digits: 0,
        better: Better::Less,
        columns: ["tc", "XDP"].map(str::to_owned).into(),
        rows: lookups.iter().map(row).collect(),
        notes: Vec::new(),
    }
}

/// Loads a program that looks up an address of `words` 32-bit words.
fn load(of: Type, map: &Map, words: u8) -> Result<OwnedFd> {
    let Map::HashMap(map) = map else { anyhow::bail!("the map of peers is no hash") };
    let key = |word: u8| -i16::from(word) * size_of::<u32>() as i16;
    let plain =
        |code, registers, offset, immediate| Instruction { code, registers, offset, immediate };
    let mut program: Vec<_> =
        (1..=words).map(|word| plain(STORE, STACK, key(word), NOBODY)).collect();
    program.extend([
        plain(MOVE_REGISTER, KEY | STACK << 4, 0, 0),
        plain(ADD, KEY, 0, key(words).into()),
        plain(LOAD_MAP, MAP | PSEUDO_MAP_FD << 4, 0, map.fd().as_fd().as_raw_fd()),
        plain(0, 0, 0, 0),
        plain(CALL, 0, 0, MAP_LOOKUP),
    ]);
    raw_program::load(of, "bare_lookup", &program).context("load a lookup")
}
