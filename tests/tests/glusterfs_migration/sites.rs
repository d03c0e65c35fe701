//! Moves the servers between sites without `rewrite`, as people with cables and consoles do. A site is the network at
//! the end of an uplink.

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::lab::{
    A_PUBLIC, B_PUBLIC, Lab, PUBLIC_INTERFACE, ROUTER_A, ROUTER_A_ADDRESS, ROUTER_B_ADDRESS,
};
use testkit::netns::Namespace;

/// A site: the network at the end of an uplink.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The server's public address at this site.
    pub public: Ipv4Addr,
    gateway: Ipv4Addr,
}

/// A's first site.
pub const A_FIRST: Site = Site { public: A_PUBLIC, gateway: ROUTER_A_ADDRESS };
/// A's second site.
pub const A_SECOND: Site =
    Site { public: Ipv4Addr::new(192, 0, 2, 2), gateway: Ipv4Addr::new(192, 0, 2, 1) };
/// B's new site. Before the move, B has no uplink.
pub const B_SECOND: Site = Site { public: B_PUBLIC, gateway: ROUTER_B_ADDRESS };

/// Gives a server its address and its default route at a site.
pub fn arrive(host: &Namespace, site: &Site) -> Result<()> {
    add_address(host, PUBLIC_INTERFACE, site.public)?;
    go_by(host, site)
}

/// Removes a server's address and default route at a site.
pub fn leave(host: &Namespace, site: &Site) -> Result<()> {
    host.run(&["ip", "route", "del", "default", "via", &site.gateway.to_string()])?;
    remove_address(host, PUBLIC_INTERFACE, site.public)
}

/// Makes a server that is on two sites send through this site.
pub fn go_by(host: &Namespace, site: &Site) -> Result<()> {
    host.run(&["ip", "route", "replace", "default", "via", &site.gateway.to_string()])?;
    Ok(())
}

/// Removes the address of a site that a server no longer sends through.
pub fn give_up(host: &Namespace, site: &Site) -> Result<()> {
    remove_address(host, PUBLIC_INTERFACE, site.public)
}

/// Unplugs A's uplink: A loses the carrier.
pub fn unplug_a(lab: &Lab) -> Result<()> {
    lab.router.run(&["ip", "link", "set", ROUTER_A, "down"])?;
    Ok(())
}

/// Moves A's unplugged uplink from one site to another, and plugs it in.
pub fn plug_a_in(lab: &Lab, from: &Site, to: &Site) -> Result<()> {
    close(lab, from)?;
    open(lab, to)?;
    lab.router.run(&["ip", "link", "set", ROUTER_A, "up"])?;
    Ok(())
}

/// Connects A's uplink to one more site.
pub fn open(lab: &Lab, site: &Site) -> Result<()> {
    add_address(&lab.router, ROUTER_A, site.gateway)
}

/// Disconnects A's uplink from a site.
pub fn close(lab: &Lab, site: &Site) -> Result<()> {
    remove_address(&lab.router, ROUTER_A, site.gateway)
}

fn add_address(host: &Namespace, interface: &str, address: Ipv4Addr) -> Result<()> {
    host.run(&["ip", "address", "add", &format!("{address}/24"), "dev", interface])?;
    Ok(())
}

fn remove_address(host: &Namespace, interface: &str, address: Ipv4Addr) -> Result<()> {
    host.run(&["ip", "address", "del", &format!("{address}/24"), "dev", interface])?;
    Ok(())
}
