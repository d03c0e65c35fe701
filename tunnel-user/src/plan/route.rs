//! Defines routes as the kernel has them, to a peer or to any address, and the changes between two states.

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
    /// The gateway to the peer's public address. On the interface's own network, the public address itself is the
    /// gateway, so that the kernel resolves this address to the peer's hardware address. `None` on an interface without
    /// hardware addresses, if the route to the public address has no gateway.
    pub gateway: Option<IpAddr>,
    /// This host's private address, the source of unbound sockets. `None` on a gateway.
    pub source: Option<IpAddr>,
    /// True if the kernel must treat the gateway as on-link although no route shows this.
    pub onlink: bool,
    /// The MTU and TCP's initial parameters.
    pub metrics: Metrics,
}

impl PeerRoute {
    /// True if both routes treat packets alike. The comparison ignores `onlink`, which the kernel checks only when a
    /// route is added.
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
    /// The gateway. `None` for an address on the interface's own network.
    pub gateway: Option<IpAddr>,
    /// True if the route has the `onlink` flag, or is in a table other than the main table. In the second case, the
    /// main table may lack a route that shows that the gateway is on-link.
    pub onlink: bool,
    /// The MTU and TCP's initial parameters.
    pub metrics: Metrics,
}

/// A route in the main table, other than the default route, whose metric is at most the metric of rewrite's routes: a
/// route of rewrite to the same destination would not take precedence over this route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoute {
    /// The route.
    pub route: PeerRoute,
    /// The route's maker.
    pub owner: Owner,
}

impl HostRoute {
    /// True if rewrite made the route.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Rewrite)
    }
}

/// The maker of a route, by its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// rewrite: the route carries [`crate::host::netlink_routes::ROUTE_PROTOCOL`].
    Rewrite,
    /// The kernel, for an address of an interface (RTPROT_KERNEL).
    Kernel,
    /// The operator, or any other program.
    Other,
}

/// The changes of the routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteChanges {
    /// The routes to add. Each route replaces our own route to the same destination, if any.
    pub set: Vec<PeerRoute>,
    /// Our own routes that are no longer wanted.
    pub remove: Vec<PeerRoute>,
}
