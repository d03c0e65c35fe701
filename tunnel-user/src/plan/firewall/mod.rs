//! Finds the rules of the host's firewall that harm the cluster's traffic. The firewall sees private addresses in both
//! directions (docs/firewalls.md).
//!
//! The model ignores ports and protocols, so a reported rule may match only packets of other traffic.

pub mod iptables;
pub mod nft;

mod reach;

use std::net::IpAddr;

use self::reach::{End, Reached, reachable};
use super::fault::Fault;
use crate::model::Prefix;
use crate::model::text::list;

/// A chain of a firewall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The firewall that has the chain.
    pub tool: Tool,
    /// The table's name, with its family for nft: `inet filter`.
    pub table: String,
    /// The chain's name.
    pub name: String,
    /// The place where the kernel runs the chain; `None` for a chain that only other chains jump to, and for the places
    /// that do not matter here.
    pub hook: Option<Hook>,
    /// True if the chain drops the packets that no rule accepts.
    pub drops: bool,
    /// The rules, in their order.
    pub rules: Vec<Rule>,
}

impl Chain {
    /// True if packets with `address` pass the chain. A table of one family sees only packets of that family. Tables of
    /// bridges and devices run at other places.
    fn sees(&self, address: IpAddr) -> bool {
        let family = match self.tool {
            Tool::Nft => self.table.split(' ').next().unwrap_or_default(),
            Tool::Iptables(program) if program.starts_with("ip6") => "ip6",
            Tool::Iptables(_) => "ip",
        };
        match family {
            "inet" => true,
            "ip" => address.is_ipv4(),
            "ip6" => address.is_ipv6(),
            _ => false,
        }
    }

    fn seen<'a>(&self, members: &'a [MemberAddresses]) -> Vec<&'a MemberAddresses> {
        members.iter().filter(|member| self.sees(member.private.address())).collect()
    }
}

/// A firewall's tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// nft(8).
    Nft,
    /// The program of iptables(8) with this name.
    Iptables(&'static str),
}

/// A place where the kernel runs a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before the routing decision for a packet that arrives.
    Prerouting,
    /// Before a packet reaches a socket of this host.
    Input,
    /// Between two interfaces.
    Forward,
    /// After a socket of this host has sent a packet.
    Output,
    /// Before a packet leaves.
    Postrouting,
}

impl Hook {
    /// The hook with this name, in lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "prerouting" => Self::Prerouting,
            "input" => Self::Input,
            "forward" => Self::Forward,
            "output" => Self::Output,
            "postrouting" => Self::Postrouting,
            _ => return None,
        })
    }

    /// True if the hook handles packets that this host sends; false if it handles other packets.
    const fn is_outward(self) -> bool {
        matches!(self, Self::Output | Self::Postrouting)
    }
}

/// A rule of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The addresses that the rule matches.
    pub addresses: Vec<AddressRange>,
    /// The interfaces that the rule matches.
    pub interfaces: Vec<InterfaceMatch>,
    /// True if the rule has further conditions, such as ports.
    pub is_narrow: bool,
    /// The rule's action on a packet.
    pub action: Action,
    /// The command that removes the rule.
    pub removal: String,
}

impl Rule {
    /// True if the rule can match packets on `interface`.
    fn applies_on(&self, interface: &str) -> bool {
        self.interfaces.iter().all(|condition| {
            condition.names.iter().any(|name| fits(name, interface)) != condition.is_negated
        })
    }

    /// True if the rule matches every packet on `interface`.
    fn matches_all_on(&self, interface: &str) -> bool {
        self.addresses.is_empty() && !self.is_narrow && self.applies_on(interface)
    }
}

/// True if an interface has this name; a pattern ends with `*` (nft) or `+` (iptables).
fn fits(pattern: &str, interface: &str) -> bool {
    match pattern.strip_suffix(['*', '+']) {
        Some(start) => interface.starts_with(start),
        None => pattern == interface,
    }
}

/// A condition on the packet's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceMatch {
    /// The interfaces' names, or patterns.
    pub names: Vec<String>,
    /// True if the rule matches all other interfaces.
    pub is_negated: bool,
}

/// The first and the last address of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The first address.
    pub first: IpAddr,
    /// The last address, of the same family.
    pub last: IpAddr,
}

impl AddressRange {
    /// The range with one address.
    #[must_use]
    pub const fn single(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// The addresses of a prefix: the host part of `address` is ignored. `None` if `length` is too long.
    #[must_use]
    pub fn of_prefix(address: IpAddr, length: u8) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
                let first = v4.to_bits() & !host;
                let last = (first | host).into();
                (length <= 32)
                    .then(|| Self { first: IpAddr::V4(first.into()), last: IpAddr::V4(last) })
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                let first = v6.to_bits() & !host;
                let last = (first | host).into();
                (length <= 128)
                    .then(|| Self { first: IpAddr::V6(first.into()), last: IpAddr::V6(last) })
            }
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }
}

/// The action of a rule on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The rule lets the packet pass the chain.
    Accept,
    /// The rule drops or rejects the packet.
    Drop,
    /// The rule changes the packet's addresses. The list holds the new addresses that the rule names.
    Translate(Vec<AddressRange>),
    /// The rule sends the packet through the chain with this name.
    Jump(String),
    /// Anything else, such as a counter.
    Other,
}

/// A member's addresses, as the firewall may name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAddresses {
    /// The member's name.
    pub name: String,
    /// A private address or prefix.
    pub private: Prefix,
    /// The public address or prefix.
    pub public: Prefix,
}

/// A problem that the firewall's rules cause, or may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The fault.
    pub fault: Fault,
    /// The description of the rule or the chain.
    pub what: String,
    /// The command that fixes the problem.
    pub remedy: String,
}

/// Finds the problems for the traffic on `interface` between `own`, the addresses of this host, and `peers`.
#[must_use]
pub fn problems(
    chains: &[Chain],
    interface: &str,
    own: &[MemberAddresses],
    peers: &[MemberAddresses],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for chain in chains {
        let Some(hook) = chain.hook.filter(|hook| *hook != Hook::Forward) else { continue };
        let (own, peers) = (&chain.seen(own)[..], &chain.seen(peers)[..]);
        let Reached { rules, end } = reachable(chain, chains, interface);
        problems.extend(rules.iter().filter_map(|rule| of_rule(chain, hook, rule, own, peers)));
        if end.unwrap_or(if chain.drops { End::Drops } else { End::Accepts }) == End::Drops {
            problems.extend(of_policy(chain, hook, &rules, peers));
        }
    }
    problems.dedup();
    problems
}

/// The problem of a rule that drops packets with a member's address, or translates addresses of the cluster.
fn of_rule(
    chain: &Chain,
    hook: Hook,
    rule: &Rule,
    own: &[&MemberAddresses],
    peers: &[&MemberAddresses],
) -> Option<Problem> {
    let has = |ranges: &[AddressRange], prefix: &Prefix| {
        ranges.iter().any(|range| range.contains(prefix.address()))
    };
    let members = || peers.iter().chain(own);
    let place = place(chain);
    let (fault, what) = match &rule.action {
        Action::Drop => {
            let member = members().find(|member| has(&rule.addresses, &member.private))?;
            let MemberAddresses { name, private, .. } = member;
            (Fault::FirewallRule, format!("{place} drops packets of {private} ({name})"))
        }
        Action::Translate(targets) => {
            // Rewritten packets have no public address here. A rule for a peer's public address belongs to the iptables
            // trick. A rule for this host's public address may belong to another service.
            let is_named = |member: &&&MemberAddresses| has(&rule.addresses, &member.private);
            let is_peer = |peer: &&&MemberAddresses| has(&rule.addresses, &peer.public);
            let member = members().find(is_named).or_else(|| peers.iter().find(is_peer))?;
            // A container's packets take this host's private address: docs/firewalls.md.
            let is_right = own.iter().any(|own| has(targets, &own.private));
            if hook == Hook::Postrouting && is_right {
                return None;
            }
            let what = format!("{place} translates the addresses of {}", member.name);
            (Fault::AddressTranslation, what)
        }
        Action::Accept | Action::Jump(_) | Action::Other => return None,
    };
    Some(Problem { fault, what, remedy: rule.removal.clone() })
}

/// The problem of a chain that drops packets that no rule accepts: no rule accepts the private addresses of some peers.
/// A rule may accept the public address of such a peer instead.
fn of_policy(
    chain: &Chain,
    hook: Hook,
    rules: &[&Rule],
    peers: &[&MemberAddresses],
) -> Option<Problem> {
    let accepts = |prefix: &Prefix| {
        let accepting = rules.iter().filter(|rule| rule.action == Action::Accept);
        let mut named = accepting.flat_map(|rule| &rule.addresses);
        named.any(|range| range.contains(prefix.address()))
    };
    let missing: Vec<_> = peers.iter().filter(|peer| !accepts(&peer.private)).collect();
    let first = missing.first()?;
    let private = missing.iter().map(|peer| peer.private);
    let place = place(chain);
    let (fault, what) = match missing.iter().find(|peer| accepts(&peer.public)) {
        None => (
            Fault::FirewallPolicy,
            format!(
                "{place} drops packets that no rule accepts, and no rule accepts {}",
                list(private)
            ),
        ),
        Some(MemberAddresses { name, private, public }) => (
            Fault::FirewallPublic,
            format!(
                "{place} accepts {public} ({name}), and drops {private}, which its packets have"
            ),
        ),
    };
    let (field, option) = if hook.is_outward() { ("daddr", "-d") } else { ("saddr", "-s") };
    let (table, name) = (&chain.table, &chain.name);
    let first = first.private;
    let remedy = match chain.tool {
        Tool::Nft => {
            let ip = if first.address().is_ipv4() { "ip" } else { "ip6" };
            format!(
                "nft insert rule {table} {name} {ip} {field} {first} accept, and so on for each peer"
            )
        }
        Tool::Iptables(program) => {
            format!(
                "{program} -t {table} -I {name} {option} {first} -j ACCEPT, and so on for each peer"
            )
        }
    };
    Some(Problem { fault, what, remedy })
}

fn place(chain: &Chain) -> String {
    let Chain { table, name, .. } = chain;
    match chain.tool {
        Tool::Nft => format!("the chain {name} of nft's table {table}"),
        Tool::Iptables(program) => format!("the chain {name} of the table {table} ({program})"),
    }
}

#[cfg(test)]
mod tests;
