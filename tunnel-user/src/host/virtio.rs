//! Detects virtio-net devices that accept an XDP program but never run it.

use std::fs;
use std::path::{Path, PathBuf};

use super::link::{BusDevice, Link};

/// The numbers of virtio-net features (Linux, include/uapi/linux/virtio_net.h).
mod feature {
    pub const MTU: usize = 3;
    pub const GUEST_TSO4: usize = 7;
    pub const GUEST_TSO6: usize = 8;
    pub const GUEST_ECN: usize = 9;
    pub const GUEST_UFO: usize = 10;
    pub const MRG_RXBUF: usize = 15;
    pub const GUEST_USO4: usize = 54;
    pub const GUEST_USO6: usize = 55;
}

/// The largest MTU that needs no big buffers.
const ETH_DATA_LEN: u32 = 1500;

/// True if the interface is a virtio-net device whose driver never runs an XDP program. False if the device's features
/// can't be read.
#[must_use]
pub fn ignores_xdp(link: &Link) -> bool {
    let Some(folder) = folder(link) else { return false };
    fs::read_to_string(folder.join("features"))
        .is_ok_and(|features| receives_big(&features, link.max_mtu))
}

/// The folder of the interface's device in sysfs, if the device is a virtio device.
fn folder(link: &Link) -> Option<PathBuf> {
    match &link.device {
        Some(BusDevice { bus, name }) => {
            (bus == "virtio").then(|| Path::new("/sys/bus/virtio/devices").join(name))
        }
        // Linux before 5.14 does not report the device: look it up in sysfs. The mounted sysfs may show another
        // network namespace, so compare the interface's index.
        None => {
            let class = Path::new("/sys/class/net").join(&link.name);
            let index = fs::read_to_string(class.join("ifindex")).ok()?;
            let device = class.join("device");
            let subsystem = fs::read_link(device.join("subsystem")).ok()?;
            (index.trim() == link.index.to_string() && subsystem.ends_with("virtio"))
                .then_some(device)
        }
    }
}

/// True if the driver receives packets by receive_big, one of its three receive functions. The driver uses receive_big
/// for large packets without mergeable buffers. receive_big runs no XDP program, although the driver accepts a program
/// (Linux 6.12, drivers/net/virtio_net.c: virtnet_set_big_packets, receive_buf, virtnet_xdp_set).
///
/// `features` is the text in sysfs, with a digit for each feature; `max_mtu` is the interface's largest MTU, if known.
fn receives_big(features: &str, max_mtu: Option<u32>) -> bool {
    use feature::{
        GUEST_ECN, GUEST_TSO4, GUEST_TSO6, GUEST_UFO, GUEST_USO4, GUEST_USO6, MRG_RXBUF, MTU,
    };
    let digits = features.trim().as_bytes();
    let has = |number: usize| digits.get(number) == Some(&b'1');
    let segments = [GUEST_TSO4, GUEST_TSO6, GUEST_ECN, GUEST_UFO].into_iter().any(has)
        || (has(GUEST_USO4) && has(GUEST_USO6));
    let jumbo = has(MTU) && max_mtu.is_some_and(|mtu| mtu > ETH_DATA_LEN);
    !digits.is_empty() && !has(MRG_RXBUF) && (segments || jumbo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(numbers: &[usize]) -> String {
        (0..64).map(|number| if numbers.contains(&number) { '1' } else { '0' }).collect()
    }

    #[test]
    fn mergeable_buffers_run_the_program() {
        assert!(!receives_big(&features(&[0, 1, 7, 8, 10, 15]), Some(9000)));
        assert!(!receives_big(&features(&[3, 15]), Some(9000)));
    }

    #[test]
    fn segments_without_mergeable_buffers_do_not() {
        for numbers in [&[7][..], &[8], &[9], &[10], &[54, 55]] {
            assert!(receives_big(&features(numbers), Some(1500)), "{numbers:?}");
        }
        // The sysfs text of a Firecracker guest, with its newline.
        let firecracker = "110001011011101100000000000001001000000000000000000000000000000000\n";
        let without = format!("{}0{}", &firecracker[..15], &firecracker[16..]);
        assert!(receives_big(&without, Some(1500)));
    }

    #[test]
    fn small_packets_run_the_program() {
        assert!(!receives_big(&features(&[0, 1, 5]), Some(1500)));
        assert!(!receives_big(&features(&[54]), Some(1500)));
        // Without the MTU feature, the largest MTU is the driver's limit, not the length of packets that the driver
        // has to receive.
        assert!(!receives_big(&features(&[]), Some(65535)));
    }

    #[test]
    fn a_device_of_jumbo_packets_without_mergeable_buffers_does_not() {
        assert!(receives_big(&features(&[3]), Some(9000)));
        assert!(!receives_big(&features(&[3]), Some(1500)));
        assert!(!receives_big(&features(&[3]), None));
    }

    #[test]
    fn nothing_is_known_of_no_features() {
        assert!(!receives_big("\n", Some(9000)));
    }
}
