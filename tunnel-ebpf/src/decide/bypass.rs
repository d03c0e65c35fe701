//! Checks the bypass list. The programs leave a packet to or from a peer alone if a rule names the port at either end.

use tunnel_common::bypass::{BypassKey, CLUSTER};
use tunnel_common::peers::{BYPASS_CLUSTER, BYPASS_MEMBER};

use super::flow::datagram;
use crate::address::Address;
use crate::conditions::Conditions;
use crate::packet::Packet;
use crate::parse::ip::{Fragment, Ip};
use crate::parse::transport::ports;
use crate::peer_entry::PeerEntry;
use crate::tables::{FlowAction, Tables};

/// True if a packet to or from `peer` is on the bypass list. Later fragments, which have no ports, follow the first
/// fragment of their datagram.
#[inline(always)]
pub fn applies<A: Address, P: Packet, T: Tables<A>>(
    packet: &P,
    ip: &Ip<A>,
    peer: &PeerEntry<'_, A>,
    conditions: Conditions,
    tables: &T,
) -> bool {
    if conditions.bypass() == 0 {
        return false;
    }
    if ip.fragment == Fragment::Later {
        return tables.lookup_flow(&datagram(ip)) == Some(FlowAction::Bypassed);
    }
    let is_listed = applies_to_quoted(packet, 0, ip, peer, conditions, tables);
    if ip.fragment == Fragment::First {
        if is_listed {
            tables.insert_flow(&datagram(ip), FlowAction::Bypassed);
        } else {
            // IP IDs wrap: drop the stale entry of a reused ID.
            tables.delete_flow(&datagram(ip));
        }
    }
    is_listed
}

/// True if the packet at `offset` is on the bypass list. An ICMP error may quote the packet; a quote without the ports
/// is not on the list.
#[inline(always)]
pub fn applies_to_quoted<A: Address, P: Packet, T: Tables<A>>(
    packet: &P,
    offset: usize,
    ip: &Ip<A>,
    peer: &PeerEntry<'_, A>,
    conditions: Conditions,
    tables: &T,
) -> bool {
    if conditions.bypass() == 0 {
        return false;
    }
    let Some((source, destination)) = ports(packet, offset, ip) else { return false };
    let listed = |slot, port| {
        tables.has_bypass(&BypassKey { slot, protocol: ip.protocol, reserved: 0, port })
    };
    conditions.bypass() & BYPASS_CLUSTER != 0
        && (listed(CLUSTER, source) || listed(CLUSTER, destination))
        || conditions.bypass() & BYPASS_MEMBER != 0
            && (listed(peer.slot(), source) || listed(peer.slot(), destination))
}
