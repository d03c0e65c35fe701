//! Merges the entries of a source into members with names, and fills in what this host knows about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::{Finding, FindingKind, Found, FoundHost, HostFacts, Source};
use crate::model::text::list;
use crate::model::{AddressProblem, Family, MemberName, Prefix};

/// A member's addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftAddresses {
    /// The private address; `None` leaves a blank.
    pub private: Option<IpAddr>,
    /// The public address; `None` leaves a blank.
    pub public: Option<IpAddr>,
    /// The underlay address, where it differs from the public address.
    pub underlay: Option<IpAddr>,
}

/// A member of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftMember {
    /// The name.
    pub name: MemberName,
    /// True for the importing host.
    pub is_self: bool,
    /// The addresses, IPv4 before IPv6, at most one entry for each family.
    pub addresses: Vec<DraftAddresses>,
}

/// The members of the file, sorted by their private addresses, so that the order is the same on every host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The members.
    pub members: Vec<DraftMember>,
    /// The findings of the merge.
    pub findings: Vec<Finding>,
}

impl Draft {
    /// The members as they are, with a finding for each blank.
    #[must_use]
    pub fn with_blanks(members: Vec<DraftMember>) -> Self {
        let findings = members.iter().flat_map(blanks).collect();
        Self { members, findings }
    }

    /// The importing host.
    #[must_use]
    pub fn self_member(&self) -> Option<&DraftMember> {
        self.members.iter().find(|member| member.is_self)
    }

    /// The number of peers.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.members.iter().filter(|member| !member.is_self).count()
    }
}

/// Makes the members. `self_name` is the name of the importing host; without it, the host's entry in /etc/hosts and
/// its hostname name it.
#[must_use]
pub fn draft(found: &Found, facts: &HostFacts, self_name: Option<&MemberName>) -> Draft {
    let mut findings = Vec::new();
    let hosts = merged(&found.hosts, facts, &mut findings);
    let (own, peers): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|host| host.is_self);
    let own = own_addresses(&own, &peers, facts, &mut findings);
    let mut members = Vec::new();
    let own_name = own_name(self_name, &own, facts);
    if !own.is_empty() {
        members.push(DraftMember { name: own_name, is_self: true, addresses: own });
    }
    for host in peers {
        add_peer(&mut members, &host, facts, &mut findings);
    }
    for member in &mut members {
        member.addresses.sort_by_key(|addresses| addresses.private.map(|ip| ip.is_ipv6()));
    }
    members.sort_by_key(|member| member.addresses.first().and_then(|addresses| addresses.private));
    findings.extend(members.iter().flat_map(blanks));
    Draft { members, findings }
}

/// One entry for each private address. Entries with different public addresses are a contradiction, and leave a blank.
fn merged(hosts: &[FoundHost], facts: &HostFacts, findings: &mut Vec<Finding>) -> Vec<FoundHost> {
    let mut entries: BTreeMap<IpAddr, Vec<&FoundHost>> = BTreeMap::new();
    for host in hosts {
        entries.entry(host.private).or_default().push(host);
    }
    let merge = |(private, entries): (IpAddr, Vec<&FoundHost>)| {
        let public: BTreeSet<_> = entries.iter().filter_map(|entry| entry.public).collect();
        if public.len() > 1 {
            let why = format!("it has several public addresses: {}", list(&public));
            findings.push(Finding::of(FindingKind::Contradiction, private.to_string(), why));
        }
        FoundHost {
            name: entries.iter().find_map(|entry| entry.name.clone()),
            is_self: entries.iter().any(|entry| entry.is_self) || facts.holds(private),
            private,
            public: public.first().copied().filter(|_| public.len() == 1),
        }
    };
    entries.into_iter().map(merge).collect()
}

/// This host's addresses of each family that it or a peer has.
fn own_addresses(
    own: &[FoundHost],
    peers: &[FoundHost],
    facts: &HostFacts,
    findings: &mut Vec<Finding>,
) -> Vec<DraftAddresses> {
    let of = |family: Family| move |host: &&FoundHost| Family::of(host.private) == family;
    let mut addresses = Vec::new();
    for family in Family::ALL {
        let entries: Vec<_> = own.iter().filter(of(family)).collect();
        if let [first, _, ..] = &entries[..] {
            let private = list(entries.iter().map(|host| host.private));
            let why =
                format!("this host has several private addresses; the file has {}", first.private);
            findings.push(Finding::of(FindingKind::Contradiction, private, why));
        }
        let peers: Vec<_> = peers.iter().filter(of(family)).collect();
        match entries.first() {
            Some(host) => {
                addresses.push(completed(host.private.into(), host.public, &peers, facts, family))
            }
            None if own.is_empty() && !peers.is_empty() => {
                let private = on_link_with(&peers, facts);
                addresses.push(completed(private, None, &peers, facts, family));
            }
            None => {}
        }
    }
    addresses
}

/// The address of this host on the link of a peer's private address.
fn on_link_with(peers: &[&FoundHost], facts: &HostFacts) -> Option<IpAddr> {
    let shares = |held: IpAddr, length: u8| {
        peers.iter().any(|peer| shares_prefix(held, peer.private, length))
    };
    let held = facts.addresses.iter().find(|held| shares(held.address, held.length))?;
    Some(held.address)
}

fn shares_prefix(held: IpAddr, other: IpAddr, length: u8) -> bool {
    match Prefix::new(held, length) {
        Ok(link) | Err(AddressProblem::HostBits { network: link, .. }) => link.contains(other),
        Err(_) => false,
    }
}

/// This host's addresses of a family. Where the source does not know the public address, the uplink's address is it.
/// An address of a private network is behind a NAT, and becomes the underlay address; a source's address of a private
/// network does so if a peer of the family has another kind of public address.
fn completed(
    private: Option<IpAddr>,
    public: Option<IpAddr>,
    peers: &[&FoundHost],
    facts: &HostFacts,
    family: Family,
) -> DraftAddresses {
    if let Some(own) = public {
        let mut others = peers.iter().filter_map(|peer| peer.public);
        return match is_private_use(own) && others.any(|other| !is_private_use(other)) {
            true => DraftAddresses { private, public: None, underlay: Some(own) },
            false => DraftAddresses { private, public, underlay: None },
        };
    }
    let outer = outer_address(facts, family).filter(|outer| Some(*outer) != private);
    match outer {
        Some(outer) if is_private_use(outer) => {
            DraftAddresses { private, public: None, underlay: Some(outer) }
        }
        public => DraftAddresses { private, public, underlay: None },
    }
}

/// The only address of a family on the uplink, apart from link-local addresses.
#[must_use]
pub fn outer_address(facts: &HostFacts, family: Family) -> Option<IpAddr> {
    let uplink = facts.uplink.as_deref()?;
    let on_uplink = facts.addresses.iter().filter(|held| held.interface == uplink);
    let mut outer = on_uplink.map(|held| held.address).filter(|a| Family::of(*a) == family);
    let first = outer.next()?;
    outer.next().is_none().then_some(first)
}

/// True for an address that the Internet does not route (RFC 1918, RFC 4193, RFC 6598).
#[must_use]
pub fn is_private_use(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || matches!(address.octets(), [100, 64..=127, _, _])
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

fn own_name(
    self_name: Option<&MemberName>,
    own: &[DraftAddresses],
    facts: &HostFacts,
) -> MemberName {
    let in_hosts = own.iter().filter_map(|addresses| addresses.private);
    let in_hosts = in_hosts.filter_map(|private| facts.names.get(&private)?.parse().ok());
    let hostname = || facts.hostname.as_ref().and_then(|name| name.parse().ok());
    let by_address = || own.iter().find_map(|addresses| addresses.private).map(MemberName::of_peer);
    let name = self_name.cloned().or_else(|| in_hosts.into_iter().next());
    let name = name.or_else(hostname).or_else(by_address);
    name.unwrap_or_else(|| MemberName::of_peer(Ipv4Addr::LOCALHOST.into()))
}

/// Adds a peer's entry: to the member of its name, if the member has no addresses of the family yet.
fn add_peer(
    members: &mut Vec<DraftMember>,
    host: &FoundHost,
    facts: &HostFacts,
    findings: &mut Vec<Finding>,
) {
    let FoundHost { private, public, .. } = *host;
    let in_hosts = facts.names.get(&private);
    let in_hosts = in_hosts.or_else(|| public.and_then(|public| facts.names.get(&public)));
    if let (Some(own), Some(other)) = (&host.name, in_hosts)
        && own != other
    {
        let why = format!("its name is {own} in the source, and {other} in /etc/hosts");
        findings.push(Finding::of(FindingKind::Contradiction, private.to_string(), why));
    }
    let name = host.name.as_ref().or(in_hosts).and_then(|name| name.parse().ok());
    let addresses = DraftAddresses { private: Some(private), public, underlay: None };
    let name: MemberName = name.unwrap_or_else(|| MemberName::of_peer(private));
    let is_ipv6 = |addresses: &DraftAddresses| addresses.private.is_some_and(|ip| ip.is_ipv6());
    let namesake = members.iter_mut().find(|member| member.name == name);
    let name = match namesake {
        Some(member)
            if !member.is_self
                && !member.addresses.iter().any(|a| is_ipv6(a) == private.is_ipv6()) =>
        {
            member.addresses.push(addresses);
            return;
        }
        Some(_) => {
            let other = MemberName::of_peer(private);
            let why = format!("another member is named {name}; the file calls it {other}");
            findings.push(Finding::of(FindingKind::Contradiction, private.to_string(), why));
            other
        }
        None => name,
    };
    members.push(DraftMember { name, is_self: false, addresses: vec![addresses] });
}

/// The private addresses for which two sources have different public addresses.
#[must_use]
pub fn disagreements(source: Source, best: &Draft, other: Source, draft: &Draft) -> Vec<Finding> {
    let pairs = |draft: &Draft| -> BTreeMap<IpAddr, IpAddr> {
        let addresses = draft.members.iter().flat_map(|member| &member.addresses);
        addresses.filter_map(|addresses| Some((addresses.private?, addresses.public?))).collect()
    };
    let others = pairs(draft);
    let differ = |(private, public): (IpAddr, IpAddr)| {
        let second = others.get(&private).filter(|second| **second != public)?;
        let why = format!("its public address is {public} in {source}, and {second} in {other}");
        Some(Finding::of(FindingKind::Contradiction, private.to_string(), why))
    };
    pairs(best).into_iter().filter_map(differ).collect()
}

fn blanks(member: &DraftMember) -> Vec<Finding> {
    let missing = |addresses: &DraftAddresses| {
        let private = addresses.private.is_none().then_some("private");
        private.into_iter().chain(addresses.public.is_none().then_some("public"))
    };
    let roles: BTreeSet<_> = member.addresses.iter().flat_map(missing).collect();
    let finding = |role| {
        let why = format!("the source does not know its {role} address: fill it in");
        Finding::of(FindingKind::Blank, member.name.to_string(), why)
    };
    roles.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests;
