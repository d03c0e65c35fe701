//! Tests the packet path through the drivers of real network interfaces. `cargo xtask vm --drivers` runs the tests in a
//! virtual machine, which emulates the devices. Elsewhere the tests are ignored.
//!
//! Each scenario runs twice: with the offloads that the driver turns on, and with the offloads off. The scenario at XDP
//! runs once, with the driver's offloads.

mod hosts;
mod segments;
mod traffic;
mod tunnels;
mod vlan;

/// Defines the tests of all scenarios with one kind of network interface.
macro_rules! scenarios {
    ($module:ident, $nic:ident) => {
        mod $module {
            use anyhow::Result;
            use testkit::lab::Nic;
            use testkit::udp_tunnel::{Kind, Outer};

            use crate::hosts::Offloads;
            use crate::{segments, traffic, tunnels, vlan};

            const NIC: Nic = Nic::$nic;

            scenarios!(@both tcp_udp_and_ping_arrive, |offloads| traffic::arrives(NIC, offloads));
            scenarios!(@both messages_in_segments_arrive, |offloads| {
                segments::all_arrive(NIC, offloads)
            });
            scenarios!(@both vxlan_arrives, |offloads| {
                tunnels::arrive(NIC, offloads, Kind::Vxlan, Outer::Checksum)
            });
            scenarios!(@both geneve_arrives, |offloads| {
                tunnels::arrive(NIC, offloads, Kind::Geneve, Outer::Checksum)
            });
            scenarios!(@both vxlan_without_an_outer_checksum_arrives, |offloads| {
                tunnels::arrive(NIC, offloads, Kind::Vxlan, Outer::Zero)
            });
            scenarios!(@both a_vlan_beside_rewrite_is_left_alone, |offloads| {
                vlan::is_left_alone(NIC, offloads)
            });

            #[test]
            #[ignore = "takes an emulated network interface: cargo xtask vm --drivers"]
            fn a_vlan_beside_rewrite_is_left_alone_at_xdp() -> Result<()> {
                vlan::is_left_alone_at_xdp(NIC)
            }
        }
    };
    (@both $scenario:ident, $run:expr) => {
        mod $scenario {
            use super::*;

            #[test]
            #[ignore = "takes an emulated network interface: cargo xtask vm --drivers"]
            fn with_the_offloads_of_the_driver() -> Result<()> {
                let run: fn(Offloads) -> Result<()> = $run;
                run(Offloads::OfTheDriver)
            }

            #[test]
            #[ignore = "takes an emulated network interface: cargo xtask vm --drivers"]
            fn without_offloads() -> Result<()> {
                let run: fn(Offloads) -> Result<()> = $run;
                run(Offloads::Off)
            }
        }
    };
}

scenarios!(e1000e, E1000e);
scenarios!(vmxnet3, Vmxnet3);
scenarios!(virtio_merging, VirtioMerging);
scenarios!(virtio_whole, VirtioWhole);
