//! Reads an interface's properties from rtnetlink's message about the interface.

use rtnetlink::packet_route::link::{
    InfoBridge, InfoData, InfoIpVlan, IpVlanMode, LinkAttribute, LinkFlags, LinkInfo,
    LinkLayerType, LinkMessage, LinkXdp,
};

use super::link_type::link_header_len;
use crate::error::Error;
use crate::model::Family;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's index.
    pub index: u32,
    /// The interface's name.
    pub name: String,
    /// True if the interface is administratively up.
    pub up: bool,
    /// True if packets can cross the interface: it has a carrier, and no authentication is outstanding (IFF_LOWER_UP,
    /// IFF_DORMANT).
    pub carrier: bool,
    /// The interface's type (ARPHRD).
    pub link_type: LinkLayerType,
    /// The interface's kind (IFLA_INFO_KIND), `vxlan` for example. Software devices have a kind.
    pub kind: Option<String>,
    /// True if the interface is an ipvlan device in mode l3s.
    pub is_ipvlan_l3s: bool,
    /// The families whose packets a bridge passes to netfilter by its own settings (`nf_call_iptables` and
    /// `nf_call_ip6tables`).
    pub bridge_netfilter: Vec<Family>,
    /// The index of the bond, bridge or VRF that the interface is a part of (IFLA_MASTER).
    pub controller: Option<u32>,
    /// The index of the interface below this interface, in this network namespace (IFLA_LINK): for example, the
    /// interface that carries a VLAN.
    pub below: Option<u32>,
    /// The interface's MTU in bytes; `None` if the MTU exceeds 65535, as on the loopback interface.
    pub mtu: Option<u16>,
    /// The largest MTU that the interface can have.
    pub max_mtu: Option<u32>,
    /// The interface's device on its bus (Linux 5.14).
    pub device: Option<BusDevice>,
    /// The number of bytes before the network header of the interface's packets, if the interface's type determines
    /// it.
    pub header_len: Option<u8>,
    /// True if the interface resolves hardware addresses by ARP and neighbor discovery.
    pub has_hardware_addresses: bool,
    /// The ids of the XDP programs that the interface runs.
    pub xdp_programs: Vec<u32>,
}

/// An interface's device on its bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusDevice {
    /// The name of the bus, `virtio` for example.
    pub bus: String,
    /// The device's name on the bus, `virtio0` for example.
    pub name: String,
}

impl Link {
    /// Requires that the interface is up: the kernel has no route through an interface that is down.
    ///
    /// # Errors
    /// [`Error::Refused`] if the interface is down.
    pub fn require_up(&self) -> Result<(), Error> {
        let name = &self.name;
        match self.up {
            true => Ok(()),
            false => Err(Error::refused(
                format!("{name} is down"),
                format!("bring it up: ip link set {name} up; or attach with --no-routes"),
            )),
        }
    }

    /// Reads an interface from a message; `None` if the message names no interface.
    pub(super) fn from_message(message: &LinkMessage) -> Option<Self> {
        let attributes = &message.attributes;
        let name = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
        let (flags, link_type) = (message.header.flags, message.header.link_layer_type);
        let header_len = link_header_len(link_type, flags.contains(LinkFlags::Pointopoint));
        let infos = || {
            let infos = attributes.iter().filter_map(|attribute| match attribute {
                LinkAttribute::LinkInfo(infos) => Some(infos),
                _ => None,
            });
            infos.flatten()
        };
        Some(Self {
            index: message.header.index,
            name,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp) && !flags.contains(LinkFlags::Dormant),
            link_type,
            kind: infos().find_map(|info| match info {
                LinkInfo::Kind(kind) => Some(kind.to_string()),
                _ => None,
            }),
            is_ipvlan_l3s: infos().any(|info| match info {
                LinkInfo::Data(InfoData::IpVlan(data)) => {
                    data.contains(&InfoIpVlan::Mode(IpVlanMode::L3S))
                }
                _ => false,
            }),
            bridge_netfilter: bridge_netfilter(infos()),
            controller: attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Controller(index) => Some(*index),
                _ => None,
            }),
            below: below(message),
            mtu: attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::Mtu(mtu) => u16::try_from(*mtu).ok(),
                _ => None,
            }),
            max_mtu: attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::MaxMtu(mtu) => Some(*mtu),
                _ => None,
            }),
            device: device(attributes),
            header_len,
            has_hardware_addresses: header_len.is_some_and(|length| length > 0)
                && !flags.contains(LinkFlags::Noarp),
            xdp_programs: xdp_programs(attributes),
        })
    }
}

fn bridge_netfilter<'a>(infos: impl Iterator<Item = &'a LinkInfo>) -> Vec<Family> {
    let bridge = infos.filter_map(|info| match info {
        LinkInfo::Data(InfoData::Bridge(bridge)) => Some(bridge),
        _ => None,
    });
    bridge
        .flatten()
        .filter_map(|info| match info {
            InfoBridge::NfCallIpTables(true) => Some(Family::Ipv4),
            InfoBridge::NfCallIp6Tables(true) => Some(Family::Ipv6),
            _ => None,
        })
        .collect()
}

/// The index of the interface below; `None` if the index belongs to another network namespace (IFLA_LINK_NETNSID), is
/// 0, which no interface has, or is the interface's own index.
fn below(message: &LinkMessage) -> Option<u32> {
    let attributes = &message.attributes;
    if attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::LinkNetNsId(_))) {
        return None;
    }
    let index = attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    });
    index.filter(|index| *index != 0 && *index != message.header.index)
}

fn device(attributes: &[LinkAttribute]) -> Option<BusDevice> {
    let find =
        |wanted: fn(&LinkAttribute) -> Option<&String>| attributes.iter().find_map(wanted).cloned();
    let bus = find(|attribute| match attribute {
        LinkAttribute::ParentDevBusName(name) => Some(name),
        _ => None,
    })?;
    let name = find(|attribute| match attribute {
        LinkAttribute::ParentDevName(name) => Some(name),
        _ => None,
    })?;
    Some(BusDevice { bus, name })
}

/// The ids of the XDP programs, without duplicates: with one program, IFLA_XDP_PROG_ID repeats the id from the
/// attribute of the program's mode.
fn xdp_programs(attributes: &[LinkAttribute]) -> Vec<u32> {
    let xdp = attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    });
    let mut programs: Vec<u32> = xdp
        .flatten()
        .filter_map(|attribute| match attribute {
            LinkXdp::ProgId(id)
            | LinkXdp::DrvProgId(id)
            | LinkXdp::SkbProgId(id)
            | LinkXdp::HwProgId(id) => Some(*id),
            _ => None,
        })
        .collect();
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// An interface for unit tests: Ethernet without a kind, up, and no part of another interface.
#[cfg(test)]
pub(super) fn ethernet(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        up: true,
        carrier: true,
        link_type: LinkLayerType::Ether,
        kind: None,
        is_ipvlan_l3s: false,
        bridge_netfilter: Vec::new(),
        controller: None,
        below: None,
        mtu: None,
        max_mtu: None,
        device: None,
        header_len: Some(14),
        has_hardware_addresses: true,
        xdp_programs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::link::InfoKind;

    use super::*;

    fn message(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.attributes = attributes;
        message.attributes.push(LinkAttribute::IfName("eth0".into()));
        message
    }

    fn read(attributes: Vec<LinkAttribute>) -> Option<Link> {
        Link::from_message(&message(attributes))
    }

    #[test]
    fn a_kind_is_read_as_the_kernel_writes_it() {
        for (kind, name) in [
            (InfoKind::Xfrm, "xfrm"),
            (InfoKind::GreTap6, "ip6gretap"),
            (InfoKind::Other("ovpn".into()), "ovpn"),
        ] {
            let info = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]);
            assert_eq!(read(vec![info]).and_then(|link| link.kind).as_deref(), Some(name));
        }
        assert_eq!(read(Vec::new()).map(|link| link.kind), Some(None));
    }

    #[test]
    fn only_mode_l3s_of_ipvlan_is_l3s() {
        for (mode, is) in
            [(IpVlanMode::L2, false), (IpVlanMode::L3, false), (IpVlanMode::L3S, true)]
        {
            let data = LinkInfo::Data(InfoData::IpVlan(vec![InfoIpVlan::Mode(mode)]));
            let link = read(vec![LinkAttribute::LinkInfo(vec![data])]);
            assert_eq!(link.map(|link| link.is_ipvlan_l3s), Some(is), "{mode:?}");
        }
    }

    #[test]
    fn an_interface_below_counts_only_in_this_network_namespace() {
        let below = |attributes| read(attributes).map(|link| link.below);
        assert_eq!(below(vec![LinkAttribute::Link(3)]), Some(Some(3)));
        assert_eq!(below(vec![LinkAttribute::Link(0)]), Some(None));
        assert_eq!(below(vec![LinkAttribute::Link(7)]), Some(None));
        let elsewhere = vec![LinkAttribute::Link(3), LinkAttribute::LinkNetNsId(1)];
        assert_eq!(below(elsewhere), Some(None));
    }
}
