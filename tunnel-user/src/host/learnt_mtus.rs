//! Lists the path MTUs that the kernel has learnt from ICMP errors, through rtnetlink.

use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteMetric};

use super::netlink::Netlink;
use super::netlink_routes::ip;
use crate::error::Error;
use crate::model::Family;
use crate::plan::learnt_mtu::LearntMtu;

impl Netlink {
    /// The path MTUs that the kernel remembers for single destinations. The kernel forgets each of them after
    /// `net.ipv4.route.mtu_expires` or `net.ipv6.route.mtu_expires` seconds.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn learnt_mtus(&self) -> Result<Vec<LearntMtu>, Error> {
        let mut learnt = Vec::new();
        for family in Family::ALL {
            let messages = self.all_routes_of(family).await?;
            let exceptions =
                messages.iter().filter(|message| message.header.flags.contains(RouteFlags::Cloned));
            learnt.extend(exceptions.filter_map(|message| of_attributes(&message.attributes)));
        }
        learnt.sort_unstable();
        learnt.dedup();
        Ok(learnt)
    }
}

/// The path MTU of an exception; `None` for a redirect, which has no MTU.
fn of_attributes(attributes: &[RouteAttribute]) -> Option<LearntMtu> {
    let destination: IpAddr = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(destination) => ip(destination),
        _ => None,
    })?;
    let link = attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(link) => Some(*link),
        _ => None,
    })?;
    let metrics = attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    let mtu = metrics.flatten().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })?;
    Some(LearntMtu { destination, mtu, link })
}
