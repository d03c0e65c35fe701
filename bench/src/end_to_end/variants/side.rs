//! The two hosts as each of them sees itself, and what several variants set up on them.

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::lab::{
    A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, Lab, PUBLIC_INTERFACE, ROUTER_A_ADDRESS,
    ROUTER_B_ADDRESS,
};
use testkit::netns::Namespace;

/// One of them.
pub struct Side<'a> {
    /// Its namespace.
    pub host: &'a Namespace,
    /// Tells the two apart.
    pub name: &'static str,
    /// Its identity.
    pub private: Ipv4Addr,
    /// Where the other reaches it.
    pub public: Ipv4Addr,
    /// The router next to it.
    pub gateway: Ipv4Addr,
    /// The other's identity.
    pub peer_private: Ipv4Addr,
    /// Where it reaches the other.
    pub peer_public: Ipv4Addr,
}

impl Side<'_> {
    /// Adds the private address to `lo`, and a route to the peer's by way of the gateway.
    pub fn add_private(&self) -> Result<()> {
        let Self { host, private, gateway, peer_private, .. } = self;
        let [own, peer, via] = [private, peer_private, gateway].map(ToString::to_string);
        host.run(&["ip", "address", "add", &format!("{own}/32"), "dev", "lo"])?;
        let route = ["ip", "route", "add", &peer, "via", &via, "dev", PUBLIC_INTERFACE];
        host.run(&[&route[..], &["src", &own]].concat())?;
        Ok(())
    }

    /// Adds the private address to the interface of a tunnel that is like a cable, and brings it up.
    pub fn bring_up(&self, interface: &str) -> Result<()> {
        let address = format!("{}/24", self.private);
        self.host.run(&["ip", "address", "add", &address, "dev", interface])?;
        self.host.run(&["ip", "link", "set", interface, "addrgenmode", "none", "up"])?;
        Ok(())
    }

    /// Adds the private addresses of both ends to the interface of a tunnel from point to point, and
    /// brings it up.
    pub fn bring_up_to_peer(&self, interface: &str) -> Result<()> {
        let (own, peer) = (format!("{}/32", self.private), self.peer_private.to_string());
        self.host.run(&["ip", "address", "add", &own, "peer", &peer, "dev", interface])?;
        self.host.run(&["ip", "link", "set", interface, "up"])?;
        Ok(())
    }
}

/// Both.
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
