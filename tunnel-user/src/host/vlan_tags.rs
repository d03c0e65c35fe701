//! Detects interfaces whose hardware removes VLAN tags before an XDP program sees the frame: a VLAN's frame then looks
//! like a frame of the interface's own network.

use std::io;
use std::mem;
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::link::Link;

/// The command of the legacy ethtool ioctl that reads an interface's flags (Linux, include/uapi/linux/ethtool.h).
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// A VLAN interface on top of `link`.
#[must_use]
pub fn vlan_above<'a>(link: &Link, links: &'a [Link]) -> Option<&'a Link> {
    links
        .iter()
        .find(|above| above.kind.as_deref() == Some("vlan") && above.below == Some(link.index))
}

/// True if the interface removes VLAN tags (`rx-vlan-offload`); false if the interface does not report this setting.
#[must_use]
pub fn are_taken_off(link: &Link) -> bool {
    flags(&link.name).is_ok_and(|flags| flags & ETH_FLAG_RXVLAN != 0)
}

fn flags(interface: &str) -> io::Result<u32> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut value = EthtoolValue { command: ETHTOOL_GFLAGS, data: 0 };
    // SAFETY: the struct consists of plain C fields and a union of plain C fields, and zeros are valid for all of
    // them.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte of the name stays 0. C's char is signed on x86-64, and unsigned on aarch64.
    for (place, byte) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(interface.as_bytes())
    {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the kernel reads the name and writes within `value`, and both outlive the call.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}

#[cfg(test)]
mod tests {
    use super::super::link::ethernet;
    use super::*;

    #[test]
    fn a_vlan_is_found_on_its_own_interface_alone() {
        let [nic, other] = [ethernet(1, "eth0"), ethernet(2, "eth1")];
        let vlan = Link { kind: Some("vlan".into()), below: Some(1), ..ethernet(3, "eth0.100") };
        let macvlan = Link { kind: Some("macvlan".into()), below: Some(2), ..ethernet(4, "mac0") };
        let links = [nic.clone(), other.clone(), vlan, macvlan];
        assert_eq!(vlan_above(&nic, &links).map(|above| above.name.as_str()), Some("eth0.100"));
        assert_eq!(vlan_above(&other, &links), None);
    }

    #[test]
    fn an_interface_that_does_not_tell_takes_no_tags_off() {
        assert!(!are_taken_off(&ethernet(1, "nowhere")));
    }
}
