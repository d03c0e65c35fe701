//! Routes of both families, through rtnetlink.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType, RouteVia,
};

use super::netlink::Netlink;
use crate::address::Private;
use crate::config::{Family, Prefix};
use crate::failure::{Context as _, Failure};
use crate::plan::routes::{HostRoute, PeerRoute, Way};

/// The protocol number that marks our routes, so that `ip route show proto 114` lists them and
/// detach takes no other's. Numbers from 0 to 4 are the kernel's; 114 is in no rt_protos file.
pub const ROUTE_PROTOCOL: u8 = 114;

const MAIN_TABLE: u32 = 254;

/// The metric of a route that is added without one (Linux, include/uapi/linux/ipv6_route.h,
/// IP6_RT_PRIO_USER); IPv4 has 0 for it.
const fn default_metric(family: Family) -> u32 {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1024,
    }
}

impl Netlink {
    /// How packets to `address` leave.
    ///
    /// # Errors
    /// [`Failure::Refused`] if they would not.
    pub async fn way_to(&self, address: IpAddr) -> Result<Way, Failure> {
        let no_route = |reason: &str| {
            Failure::refused(
                format!("there is no way to {address}: {reason}"),
                "add a route to it (ip route add …), or attach with --no-routes and set the routes \
                 to the private addresses yourself",
            )
        };
        let message = match self.route_to(address).await? {
            Ok(Some(message)) => message,
            Ok(None) => return Err(no_route("the kernel knows no route")),
            Err(error) => return Err(no_route(&error.to_string())),
        };
        if message.header.kind != RouteType::Unicast {
            return Err(no_route(&format!("the route is of type {:?}", message.header.kind)));
        }
        way(&message).ok_or_else(|| no_route("it has no interface"))
    }

    /// Packets to `address` stay on this host.
    ///
    /// # Errors
    /// If the kernel can't be asked.
    pub async fn is_local(&self, address: IpAddr) -> Result<bool, Failure> {
        let found = self.route_to(address).await?.ok().flatten();
        Ok(found.is_some_and(|message| message.header.kind == RouteType::Local))
    }

    /// The kernel's answer to the question for a route: one, none, or why there is none.
    async fn route_to(
        &self,
        address: IpAddr,
    ) -> Result<Result<Option<RouteMessage>, io::Error>, Failure> {
        let query = empty(Family::of(address), |query| {
            query.header.destination_prefix_length = Family::of(address).bits();
            query.attributes.push(RouteAttribute::Destination(route_address(address)));
        });
        match self.handle().route().get(query).execute().try_next().await {
            Ok(found) => Ok(Ok(found)),
            Err(rtnetlink::Error::NetlinkError(error)) => Ok(Err(error.to_io())),
            Err(error) => {
                Err(Failure::kernel(format!("looking for the route to {address}"), error))
            }
        }
    }

    /// The routes in the main table that no other to the same addresses goes before: those with the
    /// metric that ours have, or a lower one.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn host_routes(&self) -> Result<Vec<HostRoute>, Failure> {
        let mut routes = Vec::new();
        for family in Family::ALL {
            let messages: Vec<_> = self
                .handle()
                .route()
                .get(empty(family, |_| {}))
                .execute()
                .try_collect()
                .await
                .doing(|| format!("listing the {family} routes"))?;
            routes.extend(messages.iter().filter_map(|message| host_route(family, message)));
        }
        Ok(routes)
    }

    /// Adds a route to a peer's private address, or replaces one of ours.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn set_route(&self, route: &PeerRoute) -> Result<(), Failure> {
        self.handle()
            .route()
            .add(message(route))
            .replace()
            .execute()
            .await
            .doing(|| format!("setting the route {route}"))
    }

    /// Removes one of our routes. Not there is as good as removed: it goes with its interface.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_route(&self, route: &PeerRoute) -> Result<(), Failure> {
        match self.handle().route().del(message(route)).execute().await {
            Err(rtnetlink::Error::NetlinkError(error))
                if error.to_io().raw_os_error() == Some(nix::libc::ESRCH) =>
            {
                Ok(())
            }
            result => result.doing(|| format!("removing the route {route}")),
        }
    }
}

/// A request that `fill` makes more precise.
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
            // Linux 5.2, commit d15662682db2.
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
    let table = attributes
        .iter()
        .find_map(|a| if let RouteAttribute::Table(table) = a { Some(*table) } else { None })
        .unwrap_or(u32::from(header.table));
    let metric = attributes
        .iter()
        .find_map(|a| if let RouteAttribute::Priority(metric) = a { Some(*metric) } else { None })
        .unwrap_or(0);
    if !of_family || table != MAIN_TABLE || metric > default_metric(family) {
        return None;
    }
    let destination = attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(destination) => ip(destination),
        _ => None,
    })?;
    let destination = Prefix::new(destination, header.destination_prefix_length).ok()?;
    // One that drops, or has several ways, names no interface; no interface has the index 0.
    let way = way(message).unwrap_or(Way { link: 0, gateway: None });
    let source = attributes.iter().find_map(|a| match a {
        RouteAttribute::PrefSource(source) => ip(source),
        _ => None,
    });
    Some(HostRoute {
        route: PeerRoute {
            destination: Private(destination),
            link: way.link,
            gateway: way.gateway,
            source,
        },
        ours: header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL),
    })
}

fn way(message: &RouteMessage) -> Option<Way> {
    let (mut gateway, mut link) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            RouteAttribute::Oif(index) => link = Some(*index),
            _ => {}
        }
    }
    Some(Way { link: link?, gateway })
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
