//! Links and addresses, through rtnetlink.

use std::net::{IpAddr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp,
};
use rtnetlink::{AddressMessageBuilder, Handle};

use super::link_type::link_header_len;
use crate::address::Private;
use crate::failure::{Context as _, Failure};

const LOOPBACK: &str = "lo";

/// A connection to the kernel's rtnetlink.
pub struct Netlink {
    handle: Handle,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its type (ARPHRD).
    pub link_type: LinkLayerType,
    /// The bytes before the network header of its packets, if its type tells.
    pub header_len: Option<u8>,
    /// Whether it asks for hardware addresses by ARP and neighbor discovery.
    pub has_hardware_addresses: bool,
    /// The ids of the XDP programs that it runs.
    pub xdp_programs: Vec<u32>,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface's index.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
}

impl Netlink {
    /// Connects, in the current network namespace. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn connect() -> Result<Self, Failure> {
        let (connection, handle, _) =
            rtnetlink::new_connection().doing(|| "opening a netlink socket".into())?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// All interfaces.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn links(&self) -> Result<Vec<Link>, Failure> {
        let messages: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .doing(|| "listing the interfaces".into())?;
        Ok(messages.iter().filter_map(link).collect())
    }

    /// The addresses of all interfaces.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn addresses(&self) -> Result<Vec<LinkAddress>, Failure> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .doing(|| "listing the addresses".into())?;
        Ok(messages.iter().filter_map(link_address).collect())
    }

    /// Adds a private address to the loopback interface of index `loopback`, ready for use.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn add_loopback_address(
        &self,
        loopback: u32,
        address: Private,
    ) -> Result<(), Failure> {
        let (ip, length) = (address.0.address(), address.0.length());
        let mut request = self.handle.address().add(loopback, ip, length);
        if let IpAddr::V6(ip) = ip {
            *request.message_mut() = without_detection(loopback, ip, length);
        }
        request.execute().await.doing(|| format!("adding {ip}/{length} to {LOOPBACK}"))
    }

    /// Removes it again. Not there is as good as removed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_loopback_address(
        &self,
        loopback: u32,
        address: Private,
    ) -> Result<(), Failure> {
        let (ip, length) = (address.0.address(), address.0.length());
        let what = || format!("removing {ip}/{length} from {LOOPBACK}");
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .set_link_index_filter(loopback)
            .set_prefix_length_filter(length)
            .set_address_filter(ip)
            .execute()
            .try_collect()
            .await
            .doing(what)?;
        for message in messages {
            self.handle.address().del(message).execute().await.doing(what)?;
        }
        Ok(())
    }
}

fn link(message: &LinkMessage) -> Option<Link> {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let (flags, link_type) = (message.header.flags, message.header.link_layer_type);
    let header_len = link_header_len(link_type, flags.contains(LinkFlags::Pointopoint));
    Some(Link {
        index: message.header.index,
        name,
        up: flags.contains(LinkFlags::Up),
        link_type,
        header_len,
        has_hardware_addresses: header_len.is_some_and(|length| length > 0)
            && !flags.contains(LinkFlags::Noarp),
        xdp_programs: xdp_programs(message),
    })
}

/// With one program, IFLA_XDP_PROG_ID says the same as the attribute of its mode.
fn xdp_programs(message: &LinkMessage) -> Vec<u32> {
    let xdp = message.attributes.iter().filter_map(|attribute| match attribute {
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

fn link_address(message: &AddressMessage) -> Option<LinkAddress> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    // IFA_LOCAL is the interface's own, and IFA_ADDRESS the other end's if they differ; IPv6 has
    // only the latter otherwise.
    let local = find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    let address = find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None });
    Some(LinkAddress { link: message.header.index, address: local.or(address)? })
}

/// Without duplicate address detection, which takes a moment in which no route can name the address
/// as its source. There is nobody to ask on the loopback interface.
fn without_detection(loopback: u32, address: Ipv6Addr, length: u8) -> AddressMessage {
    let mut message =
        AddressMessageBuilder::<Ipv6Addr>::new().index(loopback).address(address, length).build();
    message.header.flags |= AddressHeaderFlags::Nodad;
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    message
}
