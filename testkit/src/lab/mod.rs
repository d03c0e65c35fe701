//! Builds the lab: two hosts of a cluster, a router between them, and a cable that can be cut.
//!
//! ```text
//!            198.51.100.0/24                203.0.113.0/24
//!   A eth0 .2 ------------- .1 eth-a router eth-b .1 ------------- .2 eth0 B
//!   A cable 10.0.0.1 ------------------ bridge ----------------- 10.0.0.2 cable B
//! ```
//!
//! The IPv6 networks on the sides of the router are 2001:db8:a::/64 and 2001:db8:b::/64. The private IPv6 addresses are
//! fd00::1 and fd00::2, but the cable has only IPv4 addresses. The router forwards no packet to or from a private
//! address.

mod addresses;
mod four_hosts;
mod nic;
mod one_to_one_nat;
mod vlan;
mod wiring;

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

pub use self::addresses::{
    A_PRIVATE, A_PUBLIC, Addresses, B_PRIVATE, B_PUBLIC, FAMILIES, IPV4, IPV6, ROUTER_A_ADDRESS,
    ROUTER_B_ADDRESS, network,
};
pub use self::four_hosts::{FourHosts, SECOND_INTERFACE};
pub use self::nic::{End, Nic};
pub use self::one_to_one_nat::TRANSLATED;
pub use self::vlan::{VLAN_INTERFACE, VLAN_SWITCH};
pub use self::wiring::{add_address, join, limit_route};
use self::wiring::{option, set_offloads};
use crate::netns::{NAMED, Namespace};

/// A host's interface to the router. `rewrite` attaches to it.
pub const PUBLIC_INTERFACE: &str = "eth0";
/// A host's interface to the cable.
pub const CABLE_INTERFACE: &str = "cable";
/// The router's interface on A's side.
pub const ROUTER_A: &str = "eth-a";
/// The router's interface on B's side.
pub const ROUTER_B: &str = "eth-b";

/// The last parts of the names of a lab's namespaces. Some tests add hosts to a [`Lab`]: `c` is a third host, and
/// `inside-a` and `inside-b` are hosts behind a host that acts as a gateway. Only [`FourHosts`] has `d` and the
/// switches.
const ROLES: [&str; 10] =
    ["a", "b", "c", "d", "inside-a", "inside-b", "router", "cable", "switch", "switch-ib"];
/// The ports of the bridge in the middle of the cable.
const BRIDGE_PORTS: [&str; 2] = ["port-a", "port-b"];

/// The number of the process's next lab, for unique names.
static LABS: AtomicU32 = AtomicU32::new(0);

/// The options of a lab.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The prefix of the namespaces' names.
    pub prefix: String,
    /// True if a cable also joins the hosts. Its interfaces then have the private IPv4 addresses.
    pub cable: bool,
    /// True if the interfaces offer checksum offload (`ethtool -K tx on`). veth then leaves checksums unfinished.
    pub checksum_offload: bool,
    /// True if the interfaces accept packets larger than their MTU (GSO, TSO), and merge received packets (GRO).
    pub segmentation_offload: bool,
    /// The MTU of the router's routes to the hosts, if it is smaller than the interfaces' MTU.
    pub path_mtu: Option<u32>,
    /// The kind of network interfaces to use in place of veth. The machine must have these interfaces. If both kinds of
    /// offload are on, the interfaces keep the driver's settings, except that the router's interfaces have receive
    /// checksum offload off. Otherwise all offloads are off, as far as the driver allows.
    pub nic: Option<Nic>,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            prefix: "rw".to_owned(),
            cable: false,
            checksum_offload: true,
            segmentation_offload: true,
            path_mtu: None,
            nic: None,
        }
    }
}

/// Two hosts and a router, each a network namespace. Dropping the value deletes the namespaces.
#[derive(Debug)]
pub struct Lab {
    /// The host srva.
    pub a: Namespace,
    /// The host srvb.
    pub b: Namespace,
    /// The router between the hosts.
    pub router: Namespace,
    cable: Option<Namespace>,
    /// The common beginning of the namespaces' names: the prefix, the process ID and the lab's number.
    name: String,
}

impl Lab {
    /// Builds a lab, after deleting the leftovers of killed runs.
    ///
    /// # Errors
    /// When a command fails. A failed call leaves nothing behind.
    pub fn new(options: &LabOptions) -> Result<Self> {
        Self::sweep(&options.prefix)?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{}-{number}", options.prefix, process::id());
        let create = |role: &str| Namespace::create(&format!("{name}-{role}"));
        let lab = Self {
            a: create("a")?,
            b: create("b")?,
            router: create("router")?,
            cable: if options.cable { Some(create("cable")?) } else { None },
            name: name.clone(),
        };
        lab.build(options).context("build the lab")?;
        Ok(lab)
    }

    fn build(&self, options: &LabOptions) -> Result<()> {
        match options.nic {
            Some(nic) => self.plug(nic, options)?,
            None => self.join_by_veth(options)?,
        }
        for host in [&self.a, &self.b] {
            for scope in ["all", PUBLIC_INTERFACE] {
                host.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
            }
        }
        for family in FAMILIES {
            self.give_addresses(&family, options.path_mtu)?;
        }
        for family in ["ipv4", "ipv6"] {
            self.router.sysctl(&format!("net.{family}.conf.all.forwarding"), "1")?;
        }
        // Blackhole routes stop packets to private addresses. The reverse path filter stops IPv4 packets from private
        // addresses. IPv6 has no reverse path filter, so a routing rule stops its packets from private addresses.
        for network in ["10.0.0.0/8", "fd00::/8"] {
            self.router.run(&["ip", "route", "add", "blackhole", network])?;
        }
        for port in [ROUTER_A, ROUTER_B] {
            self.router.sysctl(&format!("net.ipv4.conf.{port}.rp_filter"), "1")?;
        }
        self.router.run(&["ip", "-6", "rule", "add", "from", "fd00::/8", "blackhole"])?;
        self.cable.as_ref().map_or(Ok(()), |cable| self.lay_cable(cable))
    }

    fn join_by_veth(&self, options: &LabOptions) -> Result<()> {
        for (host, port) in [(&self.a, ROUTER_A), (&self.b, ROUTER_B)] {
            join(host, PUBLIC_INTERFACE, &self.router, port)?;
            for (namespace, interface) in [(host, PUBLIC_INTERFACE), (&self.router, port)] {
                set_offloads(namespace, interface, options)?;
            }
        }
        Ok(())
    }

    fn plug(&self, nic: Nic, options: &LabOptions) -> Result<()> {
        let ends = [
            (End::A, &self.a, PUBLIC_INTERFACE),
            (End::RouterA, &self.router, ROUTER_A),
            (End::B, &self.b, PUBLIC_INTERFACE),
            (End::RouterB, &self.router, ROUTER_B),
        ];
        for (end, namespace, interface) in ends {
            nic.plug(end, namespace, interface)?;
            if !(options.checksum_offload && options.segmentation_offload) {
                nic::turn_offloads_off(namespace, interface)?;
            }
        }
        for (_, namespace, interface) in ends {
            Nic::wait_for_carrier(namespace, interface)?;
        }
        Ok(())
    }

    /// Adds a host: `c`, `inside-a` or `inside-b`. Dropping the returned namespace deletes the host.
    ///
    /// # Errors
    /// When the host exists already, or `role` is not a known role.
    pub fn add_host(&self, role: &str) -> Result<Namespace> {
        ensure!(ROLES.contains(&role), "nothing would sweep a namespace {role} away");
        Namespace::create(&format!("{}-{role}", self.name))
    }

    /// Gives the hosts and the router their public addresses and routes of one family.
    fn give_addresses(&self, family: &Addresses, path_mtu: Option<u32>) -> Result<()> {
        for (host, address, port, gateway) in [
            (&self.a, family.a_public, ROUTER_A, family.router_a),
            (&self.b, family.b_public, ROUTER_B, family.router_b),
        ] {
            add_address(host, PUBLIC_INTERFACE, address)?;
            add_address(&self.router, port, gateway)?;
            let gateway_text = gateway.to_string();
            host.run(&["ip", option(gateway), "route", "add", "default", "via", &gateway_text])?;
            if let Some(mtu) = path_mtu {
                limit_route(&self.router, port, gateway, mtu)?;
            }
        }
        Ok(())
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
            add_address(host, CABLE_INTERFACE, address.into())?;
            host.sysctl(&format!("net.ipv4.conf.{CABLE_INTERFACE}.rp_filter"), "0")?;
        }
        Ok(())
    }

    /// Cuts the cable: both hosts lose the cable's carrier, but keep their addresses.
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

    /// The cluster file for the members srva and srvb, with their IPv4 addresses.
    #[must_use]
    pub fn cluster_toml(&self) -> String {
        self.cluster_toml_of(&[IPV4])
    }

    /// The cluster file for the members srva and srvb, with their addresses of these families.
    #[must_use]
    pub fn cluster_toml_of(&self, families: &[Addresses]) -> String {
        let list = |of: fn(&Addresses) -> IpAddr| {
            let words: Vec<_> =
                families.iter().map(|family| format!("\"{}\"", of(family))).collect();
            if words.len() == 1 { words.concat() } else { format!("[{}]", words.join(", ")) }
        };
        let member = |name, private, public| {
            format!("[[member]]\nname    = \"{name}\"\nprivate = {private}\npublic  = {public}\n")
        };
        [
            member("srva", list(|family| family.a_private), list(|family| family.a_public)),
            member("srvb", list(|family| family.b_private), list(|family| family.b_public)),
        ]
        .join("\n")
    }

    fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        [&self.a, &self.b, &self.router].into_iter().chain(&self.cable)
    }

    /// Kills the lab's processes and deletes the lab through a shared reference, for example after a signal.
    ///
    /// # Errors
    /// When a part of the lab can't be deleted. The call still deletes the rest.
    pub fn cleanup(&self) -> Result<()> {
        let mut result = Ok(());
        for namespace in self.namespaces() {
            result = result.and(clear(namespace));
        }
        result
    }

    /// Deletes this prefix's labs whose owner process has died, and kills the processes in them.
    ///
    /// # Errors
    /// When a lab can't be deleted.
    pub fn sweep(prefix: &str) -> Result<()> {
        let Ok(names) = fs::read_dir(NAMED) else {
            // Without the folder, this host has no named namespaces.
            return Ok(());
        };
        for entry in names {
            let name = entry.with_context(|| format!("list {NAMED}"))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(owner) = owner(prefix, name) else {
                continue;
            };
            if !Path::new(&format!("/proc/{owner}")).exists() {
                // Two processes may sweep at once: a namespace that the other process deleted is no
                // error.
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

/// The ID of the process that created a namespace, if the name belongs to a lab with this prefix.
fn owner(prefix: &str, name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(prefix)?.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let _number: u32 = parts.next()?.parse().ok()?;
    ROLES.contains(&parts.next()?).then_some(pid)
}
