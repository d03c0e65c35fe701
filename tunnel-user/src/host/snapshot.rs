//! Takes a snapshot of this host's interfaces and addresses, and answers questions about them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::link::Link;
use super::link_fitness;
use super::netlink::{LinkAddress, Netlink};
use crate::error::Error;
use crate::model::{Prefix, Private};

/// The name of the loopback interface in every network namespace.
pub const LOOPBACK: &str = "lo";

/// The kernel's interfaces and addresses at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    links: Vec<Link>,
    addresses: Vec<LinkAddress>,
}

impl Snapshot {
    /// Takes a snapshot of the current interfaces and addresses.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn take(netlink: &Netlink) -> Result<Self, Error> {
        Ok(Self { links: netlink.links().await?, addresses: netlink.addresses().await? })
    }

    /// All interfaces.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The interface called `name`, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The interface called `name`, after a check that it can be attached, and the number of bytes before the network
    /// header of its packets.
    ///
    /// # Errors
    /// [`Error::Refused`] if the interface does not exist, or its packets do not have the form that the programs
    /// expect, or belong to another interface.
    pub fn attachable(&self, name: &str) -> Result<(&Link, u8), Error> {
        let names = || {
            let others: Vec<_> = self.links.iter().map(|link| link.name.as_str()).collect();
            others.join(", ")
        };
        let link = self.find(name).ok_or_else(|| {
            Error::refused(
                format!("there is no interface {name} in this network namespace"),
                format!(
                    "the interfaces are: {}; --netns NAME selects another network namespace",
                    names()
                ),
            )
        })?;
        if name == LOOPBACK {
            return Err(Error::refused(
                format!("{name} is the loopback interface, which carries no packets between hosts"),
                "name the interface that carries the packets between the public addresses",
            ));
        }
        link_fitness::require(link, &self.links)?;
        link.header_len.map(|header_len| (link, header_len)).ok_or_else(|| {
            let number = u16::from(link.link_type);
            Error::refused(
                format!(
                    "{name} has the link type {} ({number}), which this version does not support",
                    link.link_type
                ),
                "name an interface with Ethernet, InfiniBand or no link header (tun, WireGuard, \
                 PPP, IP tunnels) that carries the packets between the public addresses",
            )
        })
    }

    /// The loopback interface, which has to be up.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is missing or down.
    pub fn loopback(&self) -> Result<&Link, Error> {
        self.find(LOOPBACK).filter(|link| link.up).ok_or_else(|| {
            Error::refused(
                format!(
                    "the loopback interface {LOOPBACK} is down, and the private address needs it"
                ),
                format!("bring it up: ip link set {LOOPBACK} up"),
            )
        })
    }

    /// The interface of this index, if there is one.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The addresses of one interface.
    #[must_use]
    pub fn addresses_of(&self, link: u32) -> Vec<IpAddr> {
        self.addresses.iter().filter(|a| a.link == link).map(|a| a.address).collect()
    }

    /// The addresses of all interfaces.
    #[must_use]
    pub fn all_addresses(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(|a| a.address).collect()
    }

    /// The private addresses on the loopback interface with the mark that attach sets.
    #[must_use]
    pub fn marked_addresses(&self) -> BTreeSet<Private> {
        let loopback = self.find(LOOPBACK).map(|link| link.index);
        let marked = self.addresses.iter().filter(|a| a.is_ours && Some(a.link) == loopback);
        marked.filter_map(|a| Prefix::new(a.address, a.length).ok()).map(Private).collect()
    }

    /// The interfaces' names by index.
    #[must_use]
    pub fn names(&self) -> BTreeMap<u32, String> {
        self.links.iter().map(|link| (link.index, link.name.clone())).collect()
    }
}
