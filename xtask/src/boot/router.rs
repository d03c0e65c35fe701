//! The router between the guests: a network namespace with a tap device for each guest, and with their qemu processes.

use std::net::Ipv4Addr;
use std::process;

use anyhow::Result;
use testkit::lab::{
    A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, Lab, ROUTER_A, ROUTER_A_ADDRESS, ROUTER_B,
    ROUTER_B_ADDRESS,
};
use testkit::netns::Namespace;

/// The prefix of the namespace's name.
const PREFIX: &str = "rwbt";

/// A guest's place in the network. The addresses are the lab's, which the README also has.
pub struct Port {
    /// The guest's host name.
    pub host: &'static str,
    /// The guest's private address.
    pub private: Ipv4Addr,
    /// The address of the guest's interface.
    pub public: Ipv4Addr,
    /// The router's address on this side.
    pub router: Ipv4Addr,
    /// The tap device in the router's namespace.
    pub tap: &'static str,
    /// The hardware address of the guest's interface.
    pub hardware_address: &'static str,
}

/// The places of both guests.
pub const PORTS: [Port; 2] = [
    Port {
        host: "srva",
        private: A_PRIVATE,
        public: A_PUBLIC,
        router: ROUTER_A_ADDRESS,
        tap: ROUTER_A,
        hardware_address: "52:54:00:00:00:0a",
    },
    Port {
        host: "srvb",
        private: B_PRIVATE,
        public: B_PUBLIC,
        router: ROUTER_B_ADDRESS,
        tap: ROUTER_B,
        hardware_address: "52:54:00:00:00:0b",
    },
];

/// Makes the router, after deleting the routers of killed runs. Deleting the namespace deletes its devices as well.
pub fn make() -> Result<Namespace> {
    Lab::sweep(PREFIX)?;
    // The name of a lab's router, so that a sweep finds it.
    let router = Namespace::create(&format!("{PREFIX}{}-0-router", process::id()))?;
    for Port { tap, router: address, .. } in &PORTS {
        router.run(&["ip", "tuntap", "add", "dev", tap, "mode", "tap"])?;
        router.run(&["ip", "address", "add", &format!("{address}/24"), "dev", tap])?;
        router.run(&["ip", "link", "set", tap, "up"])?;
    }
    router.sysctl("net.ipv4.ip_forward", "1")?;
    // Packets between private addresses must not pass: the guests reach each other by public addresses alone.
    router.run(&["ip", "route", "add", "blackhole", "10.0.0.0/8"])?;
    Ok(router)
}
