//! Queries, lists, sets and removes routes of both families, through rtnetlink.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{DefaultNla, Nla as _};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHopFlags,
    RouteProtocol, RouteType, RouteVia,
};

use super::netlink::Netlink;
use crate::error::{Context as _, Error};
use crate::model::{Family, Prefix, Private};
use crate::plan::policy_routing::MAIN;
use crate::plan::route::{HostRoute, NextHop, Owner, PeerRoute};
use crate::plan::route_metrics::Metrics;

/// The protocol number that marks our routes, so that `ip route show proto 114` lists them, and detach leaves other
/// routes alone. The kernel uses the numbers 0 to 4; no rt_protos file contains 114.
pub const ROUTE_PROTOCOL: u8 = 114;

/// The metric of a route that is added without a metric: 0 for IPv4, and 1024 for IPv6 (Linux,
/// include/uapi/linux/ipv6_route.h, IP6_RT_PRIO_USER).
const fn default_metric(family: Family) -> u32 {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1024,
    }
}

impl Netlink {
    /// The next hops of packets to `address`, from `source` if this host has that address. A route may have several
    /// next hops. The next hops contain no learnt path MTU or redirect.
    ///
    /// # Errors
    /// [`Error::Refused`] if the packets would not leave.
    pub async fn next_hops_to(
        &self,
        address: IpAddr,
        source: Option<IpAddr>,
    ) -> Result<Vec<NextHop>, Error> {
        let no_route = |reason: &str| {
            Error::refused(
                format!("there is no route to {address}: {reason}"),
                "add a route to it (ip route add …), or attach with --no-routes and set the routes \
                 to the private addresses yourself",
            )
        };
        // Ask for the route itself, with its table (Linux 4.13).
        let flags = RouteFlags::FibMatch | RouteFlags::LookupTable;
        let mut answer = self.route_to(address, source, flags).await?;
        if source.is_some() && answer.is_err() {
            // Linux, net/ipv4/route.c, ip_route_output_key_hash_rcu: EINVAL for a source address that this host lacks.
            answer = self.route_to(address, None, flags).await?;
        }
        let message = match answer {
            Ok(Some(message)) => message,
            Ok(None) => return Err(no_route("the kernel knows no route")),
            Err(error) => return Err(no_route(&error.to_string())),
        };
        if message.header.kind != RouteType::Unicast {
            return Err(no_route(&format!("the route is of type {:?}", message.header.kind)));
        }
        let mut next_hops = next_hops(&message);
        if next_hops.is_empty() {
            // With net.ipv4.nexthop_compat_mode at 0, the route names only a next hop object. Repeat the query without
            // FibMatch: the kernel then answers with the next hop itself.
            let (metrics, found) =
                (metrics(&message), self.route_to(address, source, RouteFlags::empty()));
            next_hops = found.await?.ok().flatten().iter().flat_map(self::next_hops).collect();
            next_hops.iter_mut().for_each(|next_hop| next_hop.metrics = metrics);
        }
        if next_hops.is_empty() { Err(no_route("it has no interface")) } else { Ok(next_hops) }
    }

    /// True if packets to `address` stay on this host.
    ///
    /// # Errors
    /// If the query to the kernel fails.
    pub async fn is_local(&self, address: IpAddr) -> Result<bool, Error> {
        let found = self.route_to(address, None, RouteFlags::empty()).await?.ok().flatten();
        Ok(found.is_some_and(|message| message.header.kind == RouteType::Local))
    }

    /// The kernel's answer to a query for a route: a route, no route, or the error that explains why there is no
    /// route.
    async fn route_to(
        &self,
        address: IpAddr,
        source: Option<IpAddr>,
        flags: RouteFlags,
    ) -> Result<Result<Option<RouteMessage>, io::Error>, Error> {
        let query = empty(Family::of(address), |query| {
            query.header.destination_prefix_length = Family::of(address).bits();
            query.attributes.push(RouteAttribute::Destination(route_address(address)));
            query.header.flags = flags;
            if let Some(source) = source {
                query.header.source_prefix_length = Family::of(source).bits();
                query.attributes.push(RouteAttribute::Source(route_address(source)));
            }
        });
        match self.handle().route().get(query).execute().try_next().await {
            Ok(found) => Ok(Ok(found)),
            Err(rtnetlink::Error::NetlinkError(error)) => Ok(Err(error.to_io())),
            Err(error) => Err(Error::kernel(format!("querying the route to {address}"), error)),
        }
    }

    /// The routes in the main table that our routes to the same addresses do not override: routes whose metric is
    /// equal to our routes' metric, or lower. Leaves out the default routes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn host_routes(&self) -> Result<Vec<HostRoute>, Error> {
        let mut routes = Vec::new();
        for family in Family::ALL {
            let messages = self.routes_of(family).await?;
            routes.extend(messages.iter().filter_map(|message| host_route(family, message)));
        }
        Ok(routes)
    }

    /// The index of the interface of the default route: IPv4 before IPv6, and the lowest metric first. `None` without a
    /// default route.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn default_link(&self) -> Result<Option<u32>, Error> {
        for family in Family::ALL {
            let messages = self.routes_of(family).await?;
            let is_default = |message: &&RouteMessage| {
                message.header.destination_prefix_length == 0
                    && message.header.kind == RouteType::Unicast
                    && table(message) == MAIN
            };
            let best = messages.iter().filter(is_default).min_by_key(|message| metric(message));
            if let Some(next_hop) = best.and_then(|message| next_hops(message).first().copied()) {
                return Ok(Some(next_hop.link));
            }
        }
        Ok(None)
    }

    /// The routes of a family in all tables, without the kernel's exceptions for single destinations: a learnt path
    /// MTU or redirect. The kernel lists exceptions among the routes for as long as they last (Linux 5.3,
    /// net/ipv4/fib_trie.c, fnhe_dump_bucket; net/ipv6/route.c, rt6_nh_dump_exceptions).
    pub(super) async fn routes_of(&self, family: Family) -> Result<Vec<RouteMessage>, Error> {
        let learnt = |message: &RouteMessage| message.header.flags.contains(RouteFlags::Cloned);
        let listed = self.all_routes_of(family).await?;
        Ok(listed.into_iter().filter(|message| !learnt(message)).collect())
    }

    /// The routes of a family in all tables, and the kernel's exceptions, which have the flag `Cloned`.
    pub(super) async fn all_routes_of(&self, family: Family) -> Result<Vec<RouteMessage>, Error> {
        let listed = self.handle().route().get(empty(family, |_| {})).execute().try_collect();
        listed.await.context(|| format!("listing the {family} routes"))
    }

    /// Adds a route to a peer's private address, or replaces the existing route that has the same metric.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn set_route(&self, route: &PeerRoute) -> Result<(), Error> {
        let mut message = message(route);
        if route.onlink && route.gateway.is_some() {
            message.header.flags |= RouteFlags::Onlink;
        }
        if !route.metrics.is_empty() {
            message.attributes.push(metrics_attribute(&route.metrics));
        }
        self.handle()
            .route()
            .add(message)
            .replace()
            .execute()
            .await
            .context(|| format!("setting the route {route}"))
    }

    /// Removes one of our routes. A missing route is not an error: the kernel removes routes with their interface.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_route(&self, route: &PeerRoute) -> Result<(), Error> {
        match self.handle().route().del(message(route)).execute().await {
            Err(rtnetlink::Error::NetlinkError(error))
                if error.to_io().raw_os_error() == Some(nix::libc::ESRCH) =>
            {
                Ok(())
            }
            result => result.context(|| format!("removing the route {route}")),
        }
    }
}

/// A route message for a request; `fill` adds the details.
fn empty(family: Family, fill: impl FnOnce(&mut RouteMessage)) -> RouteMessage {
    let mut message = match family {
        Family::Ipv4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
        Family::Ipv6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
    };
    fill(&mut message);
    message
}

const fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn message(route: &PeerRoute) -> RouteMessage {
    let destination = route.destination.0;
    empty(destination.family(), |message| {
        message.header.protocol = RouteProtocol::Other(ROUTE_PROTOCOL);
        message.header.destination_prefix_length = destination.length();
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Destination(route_address(destination.address())));
        attributes.push(RouteAttribute::Oif(route.link));
        match (destination.family(), route.gateway) {
            (_, None) => {}
            // An IPv4 route can have an IPv6 gateway since Linux 5.2, commit d15662682db2.
            (Family::Ipv4, Some(IpAddr::V6(gateway))) => {
                attributes.push(RouteAttribute::Via(RouteVia::Inet6(gateway)));
            }
            (_, Some(gateway)) => attributes.push(RouteAttribute::Gateway(route_address(gateway))),
        }
        if let Some(source) = route.source {
            attributes.push(RouteAttribute::PrefSource(route_address(source)));
        }
    })
}

fn host_route(family: Family, message: &RouteMessage) -> Option<HostRoute> {
    let header = &message.header;
    let of_family = match family {
        Family::Ipv4 => header.address_family == AddressFamily::Inet,
        Family::Ipv6 => header.address_family == AddressFamily::Inet6,
    };
    let attributes = &message.attributes;
    if !of_family || table(message) != MAIN || metric(message) > default_metric(family) {
        return None;
    }
    // Skip the default route, which has no destination.
    attributes.iter().find(|a| matches!(a, RouteAttribute::Destination(_)))?;
    Some(HostRoute {
        route: route(family, message)?,
        owner: match header.protocol {
            RouteProtocol::Other(ROUTE_PROTOCOL) => Owner::Rewrite,
            RouteProtocol::Kernel => Owner::Kernel,
            _ => Owner::Other,
        },
    })
}

/// The metric of a route. The kernel leaves out a metric of 0.
fn metric(message: &RouteMessage) -> u32 {
    let mut attributes = message.attributes.iter();
    attributes
        .find_map(|a| if let RouteAttribute::Priority(metric) = a { Some(*metric) } else { None })
        .unwrap_or(0)
}

/// Reads a route of any table from a message.
pub(super) fn route(family: Family, message: &RouteMessage) -> Option<PeerRoute> {
    let attributes = &message.attributes;
    let destination = attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(destination) => ip(destination),
        _ => None,
    });
    let all = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let length = message.header.destination_prefix_length;
    let destination = Prefix::new(destination.unwrap_or(all), length).ok()?;
    let source = attributes.iter().find_map(|a| match a {
        RouteAttribute::PrefSource(source) => ip(source),
        _ => None,
    });
    // A route that drops packets, or has several next hops, names no single interface. Use the index 0, which no
    // interface has.
    let next_hop = match &next_hops(message)[..] {
        [next_hop] => *next_hop,
        _ => NextHop { link: 0, gateway: None, onlink: false, metrics: metrics(message) },
    };
    let NextHop { link, gateway, onlink, metrics } = next_hop;
    Some(PeerRoute { destination: Private(destination), link, gateway, source, onlink, metrics })
}

/// The table of a route.
pub(super) fn table(message: &RouteMessage) -> u32 {
    let mut attributes = message.attributes.iter();
    attributes
        .find_map(|a| if let RouteAttribute::Table(table) = a { Some(*table) } else { None })
        .unwrap_or_else(|| u32::from(message.header.table))
}

/// The usable next hops of a route; all its next hops if none is usable.
fn next_hops(message: &RouteMessage) -> Vec<NextHop> {
    let metrics = metrics(message);
    let found = |link, attributes: &[RouteAttribute], onlink| {
        let gateway = gateway(attributes);
        // Treat a gateway from another table as on-link: the route to the gateway may exist only in that table, and our
        // routes are in the main table.
        let onlink = onlink || table(message) != MAIN;
        NextHop { link, gateway, onlink, metrics }
    };
    let attributes = &message.attributes;
    let hops = attributes.iter().find_map(|a| match a {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    let Some(hops) = hops else {
        let link = attributes.iter().find_map(|a| match a {
            RouteAttribute::Oif(link) => Some(*link),
            _ => None,
        });
        let onlink = message.header.flags.contains(RouteFlags::Onlink);
        return link.map(|link| found(link, attributes, onlink)).into_iter().collect();
    };
    let unusable = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
    let mut usable = hops.iter().filter(|hop| !hop.flags.intersects(unusable)).peekable();
    let of = |hop: &rtnetlink::packet_route::route::RouteNextHop| {
        let onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
        found(hop.interface_index, &hop.attributes, onlink)
    };
    match usable.peek() {
        Some(_) => usable.map(of).collect(),
        None => hops.iter().map(of).collect(),
    }
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}

fn metrics(message: &RouteMessage) -> Metrics {
    let mut metrics = Metrics::default();
    let found = message.attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::Metrics(found) => Some(found),
        _ => None,
    });
    for metric in found.flatten() {
        if let RouteMetric::CcAlgo(name) = metric {
            metrics.set_congestion_control(name);
        } else if metric.value_len() == size_of::<u32>() {
            let mut value = [0; 4];
            metric.emit_value(&mut value);
            metrics.set(metric.kind(), u32::from_ne_bytes(value));
        }
    }
    metrics
}

fn metrics_attribute(metrics: &Metrics) -> RouteAttribute {
    let number = |(kind, value): (u16, u32)| {
        RouteMetric::Other(DefaultNla::new(kind, value.to_ne_bytes().to_vec()))
    };
    let mut all: Vec<RouteMetric> = metrics.numbers().map(number).collect();
    let name = metrics.congestion_control();
    all.extend(name.map(|name| RouteMetric::CcAlgo(name.to_owned())));
    RouteAttribute::Metrics(all)
}

pub(super) const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
