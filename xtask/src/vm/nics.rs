//! Defines the network interfaces of a machine: emulated devices, which are wired in pairs in an isolated
//! network namespace for qemu.
//!
//! A wire is a bridge between two tap devices. qemu's own hubs and sockets do not carry partial checksums and GSO
//! packets: with hubs and sockets, virtio has no offloads, and qemu 7.2 makes IP fragments of packets that an e1000e
//! should send as TCP segments (hw/net/net_tx_pkt.c, net_tx_pkt_do_sw_fragmentation).

use testkit::lab::{End, Nic};

/// A shell script that makes the wires, and then executes the program in its arguments.
const WIRES: &str = include_str!("wires.sh");

/// The command line that precedes qemu's command: it makes the wires in a new network namespace.
pub fn wires(nics: &[Nic]) -> Vec<String> {
    if nics.is_empty() {
        return Vec::new();
    }
    let wires = nics.iter().flat_map(|nic| {
        End::WIRES.map(|[host, router]| format!("{},{}", tap(*nic, host), tap(*nic, router)))
    });
    let wires = wires.collect::<Vec<_>>().join(" ");
    let words = ["unshare", "--net", "sh", "-c", WIRES, "wires.sh", &wires];
    words.map(str::to_owned).to_vec()
}

/// qemu's options for the devices.
pub fn devices(nics: &[Nic]) -> Vec<String> {
    let mut options = Vec::new();
    for nic in nics {
        for end in End::WIRES.into_iter().flatten() {
            let tap = tap(*nic, end);
            options.push("-netdev".to_owned());
            options.push(format!("tap,id={tap},ifname={tap},script=no,downscript=no"));
            options.push("-device".to_owned());
            let (device, address) = (device(*nic, end), nic.hardware_address(end));
            options.push(format!("{device},netdev={tap},mac={address},romfile="));
        }
    }
    options
}

fn tap(nic: Nic, end: End) -> String {
    format!("tap{}-{}", nic as u8, end as u8)
}

/// The value of qemu's option `-device`. The router's virtio devices have their receive offloads off: before the router
/// sees a host's packets, their partial checksums are completed and GSO packets are segmented.
fn device(nic: Nic, end: End) -> String {
    let device = match nic {
        Nic::E1000e => "e1000e",
        Nic::Vmxnet3 => "vmxnet3",
        Nic::VirtioMerging => "virtio-net-pci,mrg_rxbuf=on",
        Nic::VirtioWhole => "virtio-net-pci,mrg_rxbuf=off",
    };
    let receives = match nic {
        Nic::VirtioMerging | Nic::VirtioWhole if end.is_router() => {
            ",guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"
        }
        _ => "",
    };
    format!("{device}{receives}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_interfaces_has_no_wires() {
        assert_eq!(wires(&[]), [""; 0]);
        assert_eq!(devices(&[]), [""; 0]);
    }

    #[test]
    fn the_ends_of_each_wire_are_those_of_devices() {
        let nics = [Nic::Vmxnet3, Nic::VirtioWhole];
        let wires = wires(&nics).pop().expect("the wires");
        let ends: Vec<_> = wires.split([' ', ',']).collect();
        assert_eq!(ends.len(), 8);
        let devices = devices(&nics).join("\n");
        for end in ends {
            assert!(devices.contains(&format!("ifname={end},")), "{end} is not in {devices}");
        }
    }
}
