//! Links, addresses, routes and qdiscs, through rtnetlink.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType,
};
use rtnetlink::packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use rtnetlink::{Handle, RouteMessageBuilder};
use tunnel_common::outcome::Direction;

use crate::address::Private;
use crate::failure::{Context as _, Failure};
use crate::plan::routes::{HostRoute, PeerRoute, Way};

/// The protocol number that marks our routes, so that `ip route show proto 114` lists them and
/// detach takes no other's. Numbers from 0 to 4 are the kernel's; 114 is in no rt_protos file.
pub const ROUTE_PROTOCOL: u8 = 114;

/// The kind of qdisc that our filters need.
pub const CLSACT: &str = "clsact";

const LOOPBACK: &str = "lo";
const MAIN_TABLE: u32 = 254;

/// A connection to the kernel's rtnetlink.
pub struct Netlink {
    handle: Handle,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether its frames have an Ethernet header.
    pub ethernet: bool,
}

/// An IPv4 address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface's index.
    pub link: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its subnet's prefix.
    pub prefix_len: u8,
}

impl Netlink {
    /// Connects, in the current network namespace. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn connect() -> Result<Self, Failure> {
        let (connection, handle, _) =
            rtnetlink::new_connection().doing(|| "opening a netlink socket".into())?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All interfaces.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn links(&self) -> Result<Vec<Link>, Failure> {
        let messages: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .doing(|| "listing the interfaces".into())?;
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                let name = message.attributes.iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name.clone()),
                    _ => None,
                })?;
                Some(Link {
                    index: message.header.index,
                    name,
                    up: message.header.flags.contains(LinkFlags::Up),
                    ethernet: message.header.link_layer_type == LinkLayerType::Ether,
                })
            })
            .collect())
    }

    /// The IPv4 addresses of all interfaces.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn addresses(&self) -> Result<Vec<LinkAddress>, Failure> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .doing(|| "listing the addresses".into())?;
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                // IFA_LOCAL is the interface's own; IFA_ADDRESS may be the other end's.
                let address = message.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                    _ => None,
                })?;
                Some(LinkAddress {
                    link: message.header.index,
                    address,
                    prefix_len: message.header.prefix_len,
                })
            })
            .collect())
    }

    /// Adds a private address to the loopback interface of index `loopback`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn add_loopback_address(
        &self,
        loopback: u32,
        address: Private,
    ) -> Result<(), Failure> {
        self.handle
            .address()
            .add(loopback, address.0.into(), 32)
            .execute()
            .await
            .doing(|| format!("adding {address}/32 to {LOOPBACK}"))
    }

    /// Removes it again. Not there is as good as removed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_loopback_address(
        &self,
        loopback: u32,
        address: Private,
    ) -> Result<(), Failure> {
        let what = || format!("removing {address}/32 from {LOOPBACK}");
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .set_link_index_filter(loopback)
            .set_prefix_length_filter(32)
            .set_address_filter(address.0.into())
            .execute()
            .try_collect()
            .await
            .doing(what)?;
        for message in messages {
            self.handle.address().del(message).execute().await.doing(what)?;
        }
        Ok(())
    }

    /// How packets to `address` leave.
    ///
    /// # Errors
    /// [`Failure::Refused`] if they would not.
    pub async fn way_to(&self, address: Ipv4Addr) -> Result<Way, Failure> {
        let no_route = |reason: &str| {
            Failure::refused(
                format!("there is no way to {address}: {reason}"),
                "add a route to it (ip route add …), or attach with --no-routes and set the routes \
                 to the private addresses yourself",
            )
        };
        let query = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build();
        let answer = self.handle.route().get(query).execute().try_next().await;
        let message = match answer {
            Ok(Some(message)) => message,
            Ok(None) => return Err(no_route("the kernel knows no route")),
            Err(rtnetlink::Error::NetlinkError(error)) => {
                return Err(no_route(&error.to_io().to_string()));
            }
            Err(error) => {
                return Err(Failure::kernel(format!("looking for the route to {address}"), error));
            }
        };
        if message.header.kind != RouteType::Unicast {
            return Err(no_route(&format!("the route is of type {:?}", message.header.kind)));
        }
        if message.attributes.iter().any(|a| matches!(a, RouteAttribute::Via(_))) {
            return Err(no_route("its gateway is an IPv6 address, which this version can't copy"));
        }
        let (_, way) = parse_route(&message).ok_or_else(|| no_route("it has no interface"))?;
        Ok(way)
    }

    /// The routes to single addresses in the main table that no other of the same address goes
    /// before: those with the metric that ours have.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn host_routes(&self) -> Result<Vec<HostRoute>, Failure> {
        let messages: Vec<_> = self
            .handle
            .route()
            .get(RouteMessageBuilder::<Ipv4Addr>::new().build())
            .execute()
            .try_collect()
            .await
            .doing(|| "listing the routes".into())?;
        Ok(messages.iter().filter_map(host_route).collect())
    }

    /// Adds a route to a peer's private address, or replaces one of ours.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn set_route(&self, route: &PeerRoute) -> Result<(), Failure> {
        self.handle
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
        match self.handle.route().del(message(route)).execute().await {
            Err(rtnetlink::Error::NetlinkError(error))
                if error.to_io().raw_os_error() == Some(nix::libc::ESRCH) =>
            {
                Ok(())
            }
            result => result.doing(|| format!("removing the route {route}")),
        }
    }

    /// The kind of the qdisc where clsact's place is: `clsact`, `ingress`, or none.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn ingress_qdisc(&self, link: u32) -> Result<Option<String>, Failure> {
        let messages: Vec<_> = self
            .handle
            .qdisc()
            .get()
            .execute()
            .try_collect()
            .await
            .doing(|| "listing the qdiscs".into())?;
        Ok(messages
            .iter()
            .filter(|m| m.header.index == link as i32 && m.header.parent == TcHandle::CLSACT)
            .flat_map(|message| &message.attributes)
            .find_map(|a| if let TcAttribute::Kind(kind) = a { Some(kind.clone()) } else { None }))
    }

    /// Whether the interface has a clsact qdisc.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn has_clsact(&self, link: u32) -> Result<bool, Failure> {
        Ok(self.ingress_qdisc(link).await?.as_deref() == Some(CLSACT))
    }

    /// The ids of the programs that filters of the interface run in a direction.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn filter_programs(
        &self,
        link: u32,
        direction: Direction,
    ) -> Result<Vec<u32>, Failure> {
        let messages = self.filters(link, direction).await?;
        let options = messages.iter().flat_map(|message| &message.attributes).filter_map(|a| {
            if let TcAttribute::Options(options) = a { Some(options) } else { None }
        });
        Ok(options
            .flatten()
            .filter_map(|option| match option {
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
                _ => None,
            })
            .collect())
    }

    /// Removes the interface's clsact qdisc, if it is there and nobody has a filter in it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_unused_clsact(&self, link: u32) -> Result<(), Failure> {
        if !self.has_clsact(link).await? {
            return Ok(());
        }
        for direction in [Direction::Egress, Direction::Ingress] {
            if !self.filters(link, direction).await?.is_empty() {
                return Ok(());
            }
        }
        let mut request = self.handle.qdisc().del(link as i32);
        request.message_mut().header.parent = TcHandle::CLSACT;
        request.execute().await.doing(|| format!("removing the clsact qdisc of interface {link}"))
    }

    async fn filters(&self, link: u32, direction: Direction) -> Result<Vec<TcMessage>, Failure> {
        let mut filters = self.handle.traffic_filter(link as i32);
        let request = match direction {
            Direction::Egress => filters.get().egress(),
            Direction::Ingress => filters.get().ingress(),
        };
        request
            .execute()
            .try_collect()
            .await
            .doing(|| format!("listing the filters of interface {link}"))
    }
}

fn message(route: &PeerRoute) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(route.destination.0, 32)
        .gateway(route.gateway)
        .pref_source(route.source.0)
        .output_interface(route.link)
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
        .build()
}

fn host_route(message: &RouteMessage) -> Option<HostRoute> {
    let table = message
        .attributes
        .iter()
        .find_map(|a| if let RouteAttribute::Table(table) = a { Some(*table) } else { None })
        .unwrap_or(u32::from(message.header.table));
    let priority = message.attributes.iter().any(|a| matches!(a, RouteAttribute::Priority(1..)));
    if table != MAIN_TABLE || priority || message.header.destination_prefix_length != 32 {
        return None;
    }
    let destination = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    // One that drops, or has several ways, names no interface; no interface has the index 0.
    let way = parse_route(message).map_or(Way { link: 0, gateway: None }, |(_, way)| way);
    let source = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::PrefSource(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    });
    Some(HostRoute {
        route: PeerRoute {
            destination: Private(destination),
            link: way.link,
            gateway: way.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED),
            source: Private(source.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        },
        ours: message.header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL),
    })
}

fn parse_route(message: &RouteMessage) -> Option<(Option<Ipv4Addr>, Way)> {
    let (mut destination, mut gateway, mut link) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                destination = Some(*address)
            }
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => link = Some(*index),
            _ => {}
        }
    }
    Some((destination, Way { link: link?, gateway }))
}
