//! Describes the lab from each host's point of view, and defines the setup steps that several variants share.

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::lab::{
    A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, Lab, PUBLIC_INTERFACE, ROUTER_A_ADDRESS,
    ROUTER_B_ADDRESS,
};
use testkit::netns::Namespace;

/// One host's point of view.
pub struct Side<'a> {
    /// The host's namespace.
    pub host: &'a Namespace,
    /// The host's short name, for file and interface names.
    pub name: &'static str,
    /// The host's private address.
    pub private: Ipv4Addr,
    /// The host's public address.
    pub public: Ipv4Addr,
    /// The host's router.
    pub gateway: Ipv4Addr,
    /// The peer's private address.
    pub peer_private: Ipv4Addr,
    /// The peer's public address.
    pub peer_public: Ipv4Addr,
}

impl Side<'_> {
    /// Adds the private address to `lo`, and a route to the peer's private address through the gateway.
    pub fn add_private(&self) -> Result<()> {
        let Self { host, private, gateway, peer_private, .. } = self;
        let [own, peer, via] = [private, peer_private, gateway].map(ToString::to_string);
        host.run(&["ip", "address", "add", &format!("{own}/32"), "dev", "lo"])?;
        let route = ["ip", "route", "add", &peer, "via", &via, "dev", PUBLIC_INTERFACE];
        host.run(&[&route[..], &["src", &own]].concat())?;
        Ok(())
    }

    /// Adds the private address to the interface of an Ethernet-like tunnel, and brings the interface up.
    pub fn bring_up(&self, interface: &str) -> Result<()> {
        let address = format!("{}/24", self.private);
        self.host.run(&["ip", "address", "add", &address, "dev", interface])?;
        self.host.run(&["ip", "link", "set", interface, "addrgenmode", "none", "up"])?;
        Ok(())
    }

    /// Adds the private addresses of both ends to the interface of a point-to-point tunnel, and brings the
    /// interface up.
    pub fn bring_up_to_peer(&self, interface: &str) -> Result<()> {
        let (own, peer) = (format!("{}/32", self.private), self.peer_private.to_string());
        self.host.run(&["ip", "address", "add", &own, "peer", &peer, "dev", interface])?;
        self.host.run(&["ip", "link", "set", interface, "up"])?;
        Ok(())
    }
}

/// The points of view of both hosts.
pub fn sides(lab: &Lab) -> [Side<'_>; 2] {
    let a = Side {
        host: &lab.a,
        name: "a",
        private: A_PRIVATE,
        public: A_PUBLIC,
        gateway: ROUTER_A_ADDRESS,
        peer_private: B_PRIVATE,
        peer_public: B_PUBLIC,
    };
    let b = Side {
        host: &lab.b,
        name: "b",
        private: B_PRIVATE,
        public: B_PUBLIC,
        gateway: ROUTER_B_ADDRESS,
        peer_private: A_PRIVATE,
        peer_public: A_PUBLIC,
    };
    [a, b]
}
