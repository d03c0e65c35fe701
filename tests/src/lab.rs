//! The lab: two hosts of a cluster, a router between them, and a cable that can be cut.
//!
//! ```text
//!            198.51.100.0/24                203.0.113.0/24
//!   A eth0 .2 ------------- .1 eth-a router eth-b .1 ------------- .2 eth0 B
//!   A cable 10.0.0.1 ------------------ bridge ----------------- 10.0.0.2 cable B
//! ```
//!
//! The router forwards no packet to or from a private address.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::netns::{NAMED, Namespace};

/// The interface of a host that leads to the router, and that `rewrite` is attached to.
pub const PUBLIC_INTERFACE: &str = "eth0";
/// The interface of a host that the cable is plugged into.
pub const CABLE_INTERFACE: &str = "cable";
/// The router's interface on A's side.
pub const ROUTER_A: &str = "eth-a";
/// The router's interface on B's side.
pub const ROUTER_B: &str = "eth-b";

/// A's private address.
pub const A_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// B's private address.
pub const B_PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// A's public address.
pub const A_PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// B's public address.
pub const B_PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The address of the router on A's side.
pub const ROUTER_A_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The address of the router on B's side.
pub const ROUTER_B_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The roles of the namespaces of a lab, which are the last part of their names. C is a third host
/// that some tests add.
const ROLES: [&str; 5] = ["a", "b", "c", "router", "cable"];
/// The ends of the cable that are plugged into the bridge.
const BRIDGE_PORTS: [&str; 2] = ["port-a", "port-b"];

/// Tells the labs of one process apart.
static LABS: AtomicU32 = AtomicU32::new(0);

/// What a lab is to be like.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The first part of the names of the namespaces.
    pub prefix: String,
    /// Whether the hosts are also joined by a cable, on which they have their private addresses.
    pub cable: bool,
    /// Whether checksums are left to the interfaces (`ethtool -K tx on`); veth never fills them in.
    pub checksum_offload: bool,
    /// Whether the interfaces take packets larger than their MTU (GSO, TSO) and merge them (GRO).
    pub segmentation_offload: bool,
    /// The largest packet that the router forwards, where that is less than the hosts' MTU.
    pub path_mtu: Option<u32>,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            prefix: "rw".to_owned(),
            cable: false,
            checksum_offload: true,
            segmentation_offload: true,
            path_mtu: None,
        }
    }
}

/// Two hosts and a router, each a network namespace. Dropping it deletes them.
#[derive(Debug)]
pub struct Lab {
    /// The host srva.
    pub a: Namespace,
    /// The host srvb.
    pub b: Namespace,
    /// The router between them.
    pub router: Namespace,
    cable: Option<Namespace>,
}

impl Lab {
    /// Builds a lab, after deleting what killed runs left behind.
    ///
    /// # Errors
    /// When a command to build it fails; nothing is left behind then.
    pub fn new(options: &LabOptions) -> Result<Self> {
        Self::sweep(&options.prefix)?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let create = |role: &str| {
            Namespace::create(&format!("{}{}-{number}-{role}", options.prefix, process::id()))
        };
        let lab = Self {
            a: create("a")?,
            b: create("b")?,
            router: create("router")?,
            cable: if options.cable { Some(create("cable")?) } else { None },
        };
        lab.build(options).context("build the lab")?;
        Ok(lab)
    }

    fn build(&self, options: &LabOptions) -> Result<()> {
        for (host, address, port, gateway) in [
            (&self.a, A_PUBLIC, ROUTER_A, ROUTER_A_ADDRESS),
            (&self.b, B_PUBLIC, ROUTER_B, ROUTER_B_ADDRESS),
        ] {
            join(host, PUBLIC_INTERFACE, &self.router, port)?;
            for (namespace, interface, own) in
                [(host, PUBLIC_INTERFACE, address), (&self.router, port, gateway)]
            {
                set_offloads(namespace, interface, options)?;
                add_address(namespace, interface, own)?;
            }
            host.run(&["ip", "route", "add", "default", "via", &gateway.to_string()])?;
            for scope in ["all", PUBLIC_INTERFACE] {
                host.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
            }
            if let Some(mtu) = options.path_mtu {
                limit_route(&self.router, port, gateway, mtu)?;
            }
        }
        self.router.sysctl("net.ipv4.ip_forward", "1")?;
        // The route stops packets to private addresses, the reverse path filter those from them.
        self.router.run(&["ip", "route", "add", "blackhole", "10.0.0.0/8"])?;
        for port in [ROUTER_A, ROUTER_B] {
            self.router.sysctl(&format!("net.ipv4.conf.{port}.rp_filter"), "1")?;
        }
        self.cable.as_ref().map_or(Ok(()), |cable| self.lay_cable(cable))
    }

    fn lay_cable(&self, cable: &Namespace) -> Result<()> {
        cable.run(&["ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0"])?;
        cable.run(&["ip", "link", "set", "bridge", "addrgenmode", "none", "up"])?;
        let filter = "net.bridge.bridge-nf-call-iptables";
        if cable.has_sysctl(filter)? {
            cable.sysctl(filter, "0")?;
        }
        for (host, address, port) in
            [(&self.a, A_PRIVATE, BRIDGE_PORTS[0]), (&self.b, B_PRIVATE, BRIDGE_PORTS[1])]
        {
            join(host, CABLE_INTERFACE, cable, port)?;
            cable.run(&["ip", "link", "set", port, "master", "bridge"])?;
            add_address(host, CABLE_INTERFACE, address)?;
            host.sysctl(&format!("net.ipv4.conf.{CABLE_INTERFACE}.rp_filter"), "0")?;
        }
        Ok(())
    }

    /// Cuts the cable: both hosts lose the carrier on it, and keep their addresses.
    ///
    /// # Errors
    /// When the lab has no cable.
    pub fn cut_cable(&self) -> Result<()> {
        self.set_cable("down").context("cut the cable")
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// When the lab has no cable.
    pub fn plug_cable(&self) -> Result<()> {
        self.set_cable("up").context("plug the cable in")
    }

    fn set_cable(&self, state: &str) -> Result<()> {
        let cable = self.cable.as_ref().context("this lab has no cable")?;
        for port in BRIDGE_PORTS {
            cable.run(&["ip", "link", "set", port, state])?;
        }
        Ok(())
    }

    /// The file that `rewrite` wants, for the members srva and srvb.
    #[must_use]
    pub fn cluster_toml(&self) -> String {
        [
            ("srva", A_PRIVATE, A_PUBLIC),
            ("srvb", B_PRIVATE, B_PUBLIC),
        ]
        .map(|(name, private, public)| {
            format!(
                "[[member]]\nname    = \"{name}\"\nprivate = \"{private}\"\npublic  = \"{public}\"\n"
            )
        })
        .join("\n")
    }

    fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        [&self.a, &self.b, &self.router].into_iter().chain(&self.cable)
    }

    /// Deletes the lab with all that runs in it, for a caller that is interrupted.
    ///
    /// # Errors
    /// When something can't be deleted; the rest is deleted all the same.
    pub fn cleanup(&self) -> Result<()> {
        let mut result = Ok(());
        for namespace in self.namespaces() {
            result = result.and(clear(namespace));
        }
        result
    }

    /// Deletes the namespaces, and kills what runs in them, of labs with this prefix whose process
    /// has died.
    ///
    /// # Errors
    /// When something can't be deleted.
    pub fn sweep(prefix: &str) -> Result<()> {
        let Ok(names) = fs::read_dir(NAMED) else {
            // There never was a named namespace on this host.
            return Ok(());
        };
        for entry in names {
            let name = entry.with_context(|| format!("list {NAMED}"))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(owner) = owner(prefix, name) else {
                continue;
            };
            if !Path::new(&format!("/proc/{owner}")).exists() {
                // Two processes may sweep at once: what the other one deleted is no fault.
                let namespace = Namespace::existing(name);
                if let Err(error) = clear(&namespace)
                    && namespace.path().exists()
                {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

fn clear(namespace: &Namespace) -> Result<()> {
    if !namespace.path().exists() {
        return Ok(());
    }
    namespace.kill_processes()?;
    namespace.delete()
}

/// The process that made a namespace, if its name is that of a lab with this prefix.
fn owner(prefix: &str, name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(prefix)?.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let _number: u32 = parts.next()?.parse().ok()?;
    ROLES.contains(&parts.next()?).then_some(pid)
}

/// Joins two namespaces by a pair of interfaces, both up, and quiet about IPv6.
fn join(near: &Namespace, interface: &str, far: &Namespace, far_interface: &str) -> Result<()> {
    near.run(&[
        "ip",
        "link",
        "add",
        interface,
        "type",
        "veth",
        "peer",
        "name",
        far_interface,
        "netns",
        far.name(),
    ])?;
    for (namespace, interface) in [(near, interface), (far, far_interface)] {
        namespace.run(&["ip", "link", "set", interface, "addrgenmode", "none", "up"])?;
    }
    Ok(())
}

fn add_address(namespace: &Namespace, interface: &str, address: Ipv4Addr) -> Result<()> {
    let address = format!("{address}/24");
    namespace.run(&["ip", "address", "add", &address, "dev", interface])?;
    Ok(())
}

fn set_offloads(namespace: &Namespace, interface: &str, options: &LabOptions) -> Result<()> {
    let state = |on: bool| if on { "on" } else { "off" };
    let checksum = state(options.checksum_offload);
    let segmentation = state(options.segmentation_offload);
    // TSO can't be without checksum offload, and would be refused.
    let tso = state(options.checksum_offload && options.segmentation_offload);
    namespace.run(&[
        "ethtool",
        "-K",
        interface,
        "tx",
        checksum,
        "tso",
        tso,
        "gso",
        segmentation,
        "gro",
        segmentation,
    ])?;
    Ok(())
}

/// Makes the route of an interface's own network narrower than the interface: unlike a smaller MTU
/// of the interface, that still lets it receive full packets, and report them to their senders.
fn limit_route(router: &Namespace, port: &str, address: Ipv4Addr, mtu: u32) -> Result<()> {
    let [a, b, c, _] = address.octets();
    router.run(&[
        "ip",
        "route",
        "replace",
        &format!("{a}.{b}.{c}.0/24"),
        "dev",
        port,
        "proto",
        "kernel",
        "scope",
        "link",
        "src",
        &address.to_string(),
        "mtu",
        &mtu.to_string(),
    ])?;
    Ok(())
}
