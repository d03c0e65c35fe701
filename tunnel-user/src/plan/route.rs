//! Routes as the kernel has them: to a peer, to anybody, and the changes between two states.

use std::fmt;
use std::net::IpAddr;

use crate::model::Private;
use crate::plan::route_metrics::Metrics;

/// A route to one peer's private address or prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRoute {
    /// The peer's private address or prefix.
    pub destination: Private,
    /// The interface's index.
    pub link: u32,
    /// The gateway to the peer's public address; that address itself if it is on the interface's
    /// own network, so that its hardware address is the one that is asked for. None on interfaces
    /// without hardware addresses.
    pub gateway: Option<IpAddr>,
    /// This host's private address, which a socket that is not bound gets. None on a gateway.
    pub source: Option<IpAddr>,
    /// The kernel takes the gateway for one on the link without a route that says so.
    pub onlink: bool,
    /// The MTU, and what TCP begins with.
    pub metrics: Metrics,
}

impl PeerRoute {
    /// Packets that take it fare as with the other one. `onlink` counts only while a route is added.
    #[must_use]
    pub fn leads_as(&self, other: &Self) -> bool {
        *self == Self { onlink: self.onlink, ..*other }
    }
}

impl fmt::Display for PeerRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        self.metrics.fmt(f)
    }
}

/// The next hop of packets to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The interface's index.
    pub link: u32,
    /// The gateway; none for an address on the interface's own network.
    pub gateway: Option<IpAddr>,
    /// Only this route, or another table than the main one, tells that the gateway is on the link.
    pub onlink: bool,
    /// The MTU, and what TCP begins with.
    pub metrics: Metrics,
}

/// A route in the main table that no other to the same addresses goes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// Where to, and how.
    pub route: PeerRoute,
    /// Its maker.
    pub owner: Owner,
}

impl HostRoute {
    /// True if it is one of rewrite.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Rewrite)
    }
}

/// The maker of a route, by its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It carries [`crate::host::netlink_routes::ROUTE_PROTOCOL`].
    Rewrite,
    /// The kernel, for an address of an interface (RTPROT_KERNEL).
    Kernel,
    /// The operator, or a program.
    Other,
}

/// The changes of routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteChanges {
    /// To add, or to put in place of one of ours with the same destination.
    pub set: Vec<PeerRoute>,
    /// Ours that are no longer wanted.
    pub remove: Vec<PeerRoute>,
}
