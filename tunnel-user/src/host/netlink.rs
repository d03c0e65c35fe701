//! Lists links and addresses, and adds and removes loopback addresses, through rtnetlink.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use rtnetlink::{AddressMessageBuilder, Handle};
use tokio::time::timeout;

use super::link::Link;
use super::netlink_routes::ROUTE_PROTOCOL;
use super::network_changes::NetworkChanges;
use crate::error::{Context as _, Error};
use crate::model::Private;

const LOOPBACK: &str = "lo";
/// The mark of the addresses that attach adds (IFA_PROTO, Linux 5.18; older kernels keep no mark). The number is also
/// our routes' protocol number; `ip address` shows it as `proto 114`. The kernel uses the numbers 1 to 3.
const ADDRESS_PROTOCOL: u8 = ROUTE_PROTOCOL;
/// The longest wait for the local route of a new address.
const LOCAL_ROUTE_PATIENCE: Duration = Duration::from_secs(2);

/// A connection to the kernel's rtnetlink.
pub struct Netlink {
    handle: Handle,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface's index.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of the address's prefix, in bits.
    pub length: u8,
    /// True if the address has the mark that attach sets.
    pub is_ours: bool,
}

impl Netlink {
    /// Connects, in the current network namespace. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn connect() -> Result<Self, Error> {
        let (connection, handle, _) =
            rtnetlink::new_connection().context(|| "opening a netlink socket".into())?;
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
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let messages: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .context(|| "listing the interfaces".into())?;
        Ok(messages.iter().filter_map(Link::from_message).collect())
    }

    /// The addresses of all interfaces.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn addresses(&self) -> Result<Vec<LinkAddress>, Error> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .context(|| "listing the addresses".into())?;
        Ok(messages.iter().filter_map(link_address).collect())
    }

    /// Adds a private address to the loopback interface of index `loopback`, and waits until it is ready for use: the
    /// kernel adds the local route of an IPv6 address after its answer to the request (Linux, net/ipv6/addrconf.c,
    /// addrconf_dad_start).
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn add_loopback_address(&self, loopback: u32, address: Private) -> Result<(), Error> {
        let (ip, length) = (address.0.address(), address.0.length());
        let mut request = self.handle.address().add(loopback, ip, length);
        if let IpAddr::V6(ip) = ip {
            *request.message_mut() = without_detection(loopback, ip, length);
        }
        let mark = AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL));
        request.message_mut().attributes.push(mark);
        request.execute().await.context(|| format!("adding {ip}/{length} to {LOOPBACK}"))?;
        // Ignore a timeout: routing rules may skip the table of local routes.
        timeout(LOCAL_ROUTE_PATIENCE, self.until_local(ip)).await.unwrap_or(Ok(()))
    }

    /// Waits until packets to `address` stay on this host.
    async fn until_local(&self, address: IpAddr) -> Result<(), Error> {
        if self.is_local(address).await? {
            return Ok(());
        }
        let mut changes = NetworkChanges::listen()?;
        while !self.is_local(address).await? {
            changes.changed().await?;
        }
        Ok(())
    }

    /// Removes a private address from the loopback interface. A missing address is not an error.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_loopback_address(
        &self,
        loopback: u32,
        address: Private,
    ) -> Result<(), Error> {
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
            .context(what)?;
        for message in messages {
            self.handle.address().del(message).execute().await.context(what)?;
        }
        Ok(())
    }
}

fn link_address(message: &AddressMessage) -> Option<LinkAddress> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| {
        message.attributes.iter().find_map(wanted)
    };
    // IFA_LOCAL is the interface's own address. A different IFA_ADDRESS is the other end's address. Without another
    // end, an IPv6 message has only IFA_ADDRESS, which is the interface's own address.
    let local = find(|a| if let AddressAttribute::Local(ip) = a { Some(*ip) } else { None });
    let address = find(|a| if let AddressAttribute::Address(ip) = a { Some(*ip) } else { None });
    let mark = AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL));
    Some(LinkAddress {
        link: message.header.index,
        address: local.or(address)?,
        length: message.header.prefix_len,
        is_ours: message.attributes.contains(&mark),
    })
}

/// A request to add an address without duplicate address detection. During detection, no route can name the address as
/// its source, and the loopback interface has no neighbors to ask.
fn without_detection(loopback: u32, address: Ipv6Addr, length: u8) -> AddressMessage {
    let mut message =
        AddressMessageBuilder::<Ipv6Addr>::new().index(loopback).address(address, length).build();
    message.header.flags |= AddressHeaderFlags::Nodad;
    message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    message
}
