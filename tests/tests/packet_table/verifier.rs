//! Tests that the kernel's verifier accepts the programs, with all settings that a loader may choose.

use anyhow::{Context, Result};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, Settings, VLAN_ANY, VLAN_NONE, VLAN_ONE};
use tunnel_user::plan::settings::everything;

use crate::harness::verified_instructions;

/// The maximum number of instructions that the test allows. The verifier's own limit is 1,000,000 (Linux,
/// include/linux/bpf.h, BPF_COMPLEXITY_LIMIT_INSNS).
const MOST_INSTRUCTIONS: u32 = 700_000;

/// All combinations of the switches. Leaves out prefixes of a disabled family, and guarded addresses on a gateway.
fn switched(link_header_len: u8, vlan: u8) -> impl Iterator<Item = Settings> {
    let all = everything(link_header_len);
    let families = [(1, 0), (0, 1), (1, 1)];
    families.into_iter().flat_map(move |(ipv4, ipv6)| {
        (0..1 << 4).map(move |bits: u8| {
            let [prefixes, gateway, bypass, moved] = [0, 1, 2, 3].map(|bit| bits >> bit & 1);
            Settings {
                ipv4,
                ipv6,
                prefixes_v4: prefixes & ipv4,
                prefixes_v6: prefixes & ipv6,
                gateway,
                bypass,
                moved,
                vlan,
                guarded_v4: if gateway == 0 { all.guarded_v4 } else { [0; 4] },
                guarded_v6: if gateway == 0 { all.guarded_v6 } else { [0; 16] },
                ..all
            }
        })
    })
}

fn require_taken(all: impl Iterator<Item = Settings>) -> Result<()> {
    let mut most = (0, "no program", Settings::default());
    for settings in all {
        let verified = verified_instructions(&settings).with_context(|| format!("{settings:?}"))?;
        for (program, instructions) in verified {
            let instructions = instructions.unwrap_or(0);
            assert!(
                instructions <= MOST_INSTRUCTIONS,
                "{program}: {instructions} with {settings:?}"
            );
            if instructions > most.0 {
                most = (instructions, program, settings);
            }
        }
    }
    println!("most instructions: {most:?}");
    Ok(())
}

// The verifier may refuse programs with some settings off although it accepts them with all settings on: on the
// remaining paths, the optimiser puts different values in the registers.

#[test]
fn the_verifier_takes_the_switches_of_an_interface_without_tags() -> Result<()> {
    let is_usual = |settings: &Settings| settings.bypass == settings.moved;
    require_taken(switched(ETHERNET_HEADER_LEN, VLAN_NONE).filter(is_usual))
}

#[test]
#[ignore = "takes minutes: cargo xtask test -- --test packet_table -- --ignored"]
fn the_verifier_takes_every_combination_of_settings() -> Result<()> {
    let ethernet = [VLAN_NONE, VLAN_ANY, VLAN_ONE].map(|vlan| (ETHERNET_HEADER_LEN, vlan));
    let links = ethernet.into_iter().chain([(0, VLAN_NONE)]);
    require_taken(links.flat_map(|(link_header_len, vlan)| switched(link_header_len, vlan)))
}

#[test]
fn the_verifier_is_far_from_its_limit() -> Result<()> {
    let all = everything(ETHERNET_HEADER_LEN);
    for settings in [
        all,
        Settings { gateway: 0, ..all },
        Settings { vlan: VLAN_NONE, ..all },
        Settings { vlan: VLAN_NONE, gateway: 0, ..all },
    ] {
        for (program, instructions) in verified_instructions(&settings)? {
            println!("{program}: {instructions:?} instructions with {settings:?}");
            assert!(instructions <= Some(MOST_INSTRUCTIONS), "{program}");
        }
    }
    Ok(())
}
