//! Reads the members of a cluster from what a host already has: NAT rules, tunnels, and the files of cluster software.
//! Writes the cluster file, and lists the commands that switch the traffic over to rewrite. Everything here is pure.

pub mod cluster_text;
pub mod corosync;
pub mod draft;
pub mod gluster;
pub mod hosts_file;
pub mod iptables_save;
pub mod nft_ruleset;
pub mod switch_over;
mod trick;
mod trick_commands;
pub mod tunnel;
pub mod wireguard;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use trick::TrickRule;

/// A source of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The NAT rules of iptables.
    Iptables,
    /// The rules of nft, with connection tracking or without.
    Nft,
    /// VXLAN tunnels.
    Vxlan,
    /// IPIP tunnels.
    Ipip,
    /// WireGuard tunnels.
    Wireguard,
    /// The node list of corosync.conf.
    Corosync,
    /// The peers of a GlusterFS cluster.
    Gluster,
    /// The hosts with a name in /etc/hosts.
    Hosts,
}

impl Source {
    /// All sources, the one that knows most first: the first ones know public addresses, and show that packets arrive
    /// at them.
    pub const ALL: [Self; 8] = [
        Self::Iptables,
        Self::Nft,
        Self::Vxlan,
        Self::Ipip,
        Self::Wireguard,
        Self::Corosync,
        Self::Gluster,
        Self::Hosts,
    ];

    /// The source's name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nft => "nft",
            Self::Vxlan => "vxlan",
            Self::Ipip => "ipip",
            Self::Wireguard => "wireguard",
            Self::Corosync => "corosync",
            Self::Gluster => "gluster",
            Self::Hosts => "hosts",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A host's addresses of one family, as a source knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundHost {
    /// The host's name, if the source has one.
    pub name: Option<String>,
    /// True if the source says that this is the importing host.
    pub is_self: bool,
    /// The private address.
    pub private: IpAddr,
    /// The public address, if the source knows it.
    pub public: Option<IpAddr>,
}

/// Everything that a source says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The hosts, with an entry for each family of a host.
    pub hosts: Vec<FoundHost>,
    /// The understood rules of the trick.
    pub(crate) rules: Vec<TrickRule>,
    /// The tunnels' interfaces.
    pub tunnels: Vec<Tunnel>,
    /// The parts of the source that are not in the cluster file as they stand.
    pub findings: Vec<Finding>,
}

impl Found {
    /// Adds the contents of `other`.
    pub fn extend(&mut self, other: Self) {
        self.hosts.extend(other.hosts);
        self.rules.extend(other.rules);
        self.tunnels.extend(other.tunnels);
        self.findings.extend(other.findings);
    }
}

/// A tunnel's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The interface's name.
    pub interface: String,
    /// The UDP ports of the tunnel's own packets; none for IPIP.
    pub ports: Vec<u16>,
    /// True if a peer comes from this tunnel, and no finding is about the tunnel.
    pub is_whole: bool,
}

/// The kind of a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Two statements disagree.
    Contradiction,
    /// A set of rules lacks some of its rules.
    Incomplete,
    /// The file has a blank, since the source does not know a value.
    Blank,
    /// A line or a rule that the import does not understand, and leaves out.
    NotUnderstood,
}

impl FindingKind {
    /// The kind's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contradiction => "contradiction",
            Self::Incomplete => "incomplete",
            Self::Blank => "blank",
            Self::NotUnderstood => "not-understood",
        }
    }

    /// True if the operator has to act before an attach with the file.
    #[must_use]
    pub const fn needs_work(self) -> bool {
        !matches!(self, Self::NotUnderstood)
    }
}

/// A part of a source that is not in the cluster file as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// The place in the source: its name and line. Empty for a finding about several places.
    pub place: String,
    /// The text at that place, or the affected object.
    pub text: String,
    /// The reason.
    pub why: String,
}

impl Finding {
    /// A line or rule that is left out.
    pub fn not_understood(
        place: impl Into<String>,
        text: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let kind = FindingKind::NotUnderstood;
        Self { kind, place: place.into(), text: text.into(), why: why.into() }
    }

    /// A finding about an object instead of a place.
    pub fn of(kind: FindingKind, text: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, place: String::new(), text: text.into(), why: why.into() }
    }
}

/// This host's own view: it completes what a source does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The host's name.
    pub hostname: Option<String>,
    /// The names of addresses, as /etc/hosts has them.
    pub names: BTreeMap<IpAddr, String>,
    /// The addresses of the interfaces, without the loopback addresses.
    pub addresses: Vec<HeldAddress>,
    /// The interface with the default route.
    pub uplink: Option<String>,
}

/// An address of one of this host's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldAddress {
    /// The interface's name.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// The length of the prefix on the interface's link, in bits.
    pub length: u8,
}

/// True for an address of one link: an import takes none.
pub(crate) const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl HostFacts {
    /// True if an interface of this host has the address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|held| held.address == address)
    }

    /// The name of the interface that has the address.
    #[must_use]
    pub fn interface_of(&self, address: IpAddr) -> Option<&str> {
        let held = self.addresses.iter().find(|held| held.address == address)?;
        Some(&held.interface)
    }

    /// The facts that go with a text from a file. The text of another host gets no address and no name of this host.
    #[must_use]
    pub fn for_text(self, found: &Found) -> Self {
        let has_self = found.hosts.iter().any(|host| host.is_self);
        let mut own = found.hosts.iter().filter(|host| host.is_self || !has_self);
        match own.any(|host| self.holds(host.private)) {
            true => self,
            false => Self { names: self.names, ..Self::default() },
        }
    }
}
