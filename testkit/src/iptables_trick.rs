//! Sets up the usual alternative to `rewrite`: the private address on `lo`, a route to the peer's private address
//! through the gateway, and four NAT rules that use conntrack.

use std::net::IpAddr;

use anyhow::{Context, Result};

use crate::lab::PUBLIC_INTERFACE;
use crate::netns::Namespace;

/// A host's addresses of one family.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The private address.
    pub private: IpAddr,
    /// The public address.
    pub public: IpAddr,
    /// The address of the router that leads to the peer.
    pub gateway: IpAddr,
}

impl Host {
    const fn iptables(&self) -> &'static str {
        if self.private.is_ipv4() { "iptables-legacy" } else { "ip6tables-legacy" }
    }
}

/// Sets up the address, the route and the rules on `host`, whose addresses are `own`, for its traffic with `peer`.
///
/// # Errors
/// When the kernel refuses an address, the route or a rule.
pub fn set_up(host: &Namespace, own: &Host, peer: &Host) -> Result<()> {
    let (family, length) = if own.private.is_ipv4() { ("-4", 32) } else { ("-6", 128) };
    let [private, peer_private, gateway] =
        [own.private, peer.private, own.gateway].map(|address| address.to_string());
    host.run(&["ip", "address", "add", &format!("{private}/{length}"), "dev", "lo", "nodad"])?;
    let mut route = vec!["ip", family, "route", "add", &peer_private, "via", &gateway];
    route.extend(["dev", PUBLIC_INTERFACE, "src", &private]);
    host.run(&route)?;
    change_rules(host, own, peer, "-A")
}

/// Removes the four NAT [`rules`]. conntrack keeps its entries for open flows.
///
/// # Errors
/// When a rule is missing.
pub fn remove_rules(host: &Namespace, own: &Host, peer: &Host) -> Result<()> {
    change_rules(host, own, peer, "-D")
}

/// The four rules of the table `nat` for the traffic between `own` and `peer`, each a chain and a rule
/// specification.
#[must_use]
pub fn rules(own: &Host, peer: &Host) -> [String; 4] {
    let Host { private, public, .. } = own;
    let (peer_private, peer_public) = (peer.private, peer.public);
    [
        format!("OUTPUT -d {peer_private} -j DNAT --to-destination {peer_public}"),
        format!("PREROUTING -s {peer_public} -j DNAT --to-destination {private}"),
        format!("INPUT -s {peer_public} -j SNAT --to-source {peer_private}"),
        format!("POSTROUTING -s {private} -d {peer_public} -j SNAT --to-source {public}"),
    ]
}

fn change_rules(host: &Namespace, own: &Host, peer: &Host, change: &str) -> Result<()> {
    for rule in &rules(own, peer) {
        rule_of(host, own, "nat", change, rule).context("a rule of the trick")?;
    }
    Ok(())
}

/// Exempts arriving or leaving packets from conntrack if `rewrite` translates them, so that the NAT rules do not apply.
/// These packets have the peer's private address in both chains: `rewrite` translates arriving packets before the
/// chain, and leaving packets after it.
///
/// # Errors
/// When the kernel refuses the rule.
pub fn untrack(host: &Namespace, own: &Host, peer: &Host, chain: Untracked) -> Result<()> {
    let peer = peer.private;
    let rule = match chain {
        Untracked::Arriving => format!("PREROUTING -s {peer} -j NOTRACK"),
        Untracked::Leaving => format!("OUTPUT -d {peer} -j NOTRACK"),
    };
    rule_of(host, own, "raw", "-I", &rule)
}

/// The packets that conntrack ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untracked {
    /// The packets that arrive from the peer.
    Arriving,
    /// The packets that leave for the peer.
    Leaving,
}

fn rule_of(host: &Namespace, own: &Host, table: &str, change: &str, rule: &str) -> Result<()> {
    let mut words = vec![own.iptables(), "-w", "10", "-t", table, change];
    words.extend(rule.split(' '));
    host.run(&words).map(|_| ())
}
