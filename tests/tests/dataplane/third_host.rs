//! Adds C, a third host on its own side of the router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use testkit::lab::{Lab, PUBLIC_INTERFACE, add_address, join};
use testkit::netns::Namespace;

/// The router's interface on C's side.
const PORT: &str = "eth-c";

/// C's addresses of one family.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub private: IpAddr,
    pub public: IpAddr,
    router: IpAddr,
}

/// The IPv4 addresses of C.
pub const IPV4: Addresses = Addresses {
    private: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)),
    public: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    router: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
};

/// The IPv6 addresses of C.
pub const IPV6: Addresses = Addresses {
    private: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3)),
    public: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 2)),
    router: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1)),
};

/// Adds C to a lab, with its public addresses.
pub fn hang_on_the_router(lab: &Lab) -> Result<Namespace> {
    let c = lab.add_host("c")?;
    join(&c, PUBLIC_INTERFACE, &lab.router, PORT)?;
    for scope in ["all", PUBLIC_INTERFACE] {
        c.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
    }
    for Addresses { public, router, .. } in [IPV4, IPV6] {
        add_address(&c, PUBLIC_INTERFACE, public)?;
        add_address(&lab.router, PORT, router)?;
        let family = if router.is_ipv4() { "-4" } else { "-6" };
        c.run(&["ip", family, "route", "add", "default", "via", &router.to_string()])?;
    }
    Ok(c)
}
