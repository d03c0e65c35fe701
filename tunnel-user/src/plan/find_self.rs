//! Finds the member that this host is, by its addresses or by name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tunnel_common::maps::LOCAL_MEMBERS_CAPACITY;

use crate::config::{Cluster, Member};
use crate::error::Error;
use crate::model::text::list;
use crate::model::{MemberName, Prefix};
use crate::plan::identity::{Identity, OwnMember};

/// The addresses of this host's interfaces.
#[derive(Clone, Copy, Debug)]
pub struct HostAddresses<'a> {
    /// The name of the attached interface.
    pub interface: &'a str,
    /// The attached interface's addresses.
    pub on_interface: &'a [IpAddr],
    /// The addresses of all interfaces.
    pub on_host: &'a [IpAddr],
}

impl HostAddresses<'_> {
    fn has(&self, range: Prefix) -> bool {
        self.on_host.iter().any(|address| range.contains(*address))
    }
}

/// Finds this host among the members by `names` or, without names, by the addresses of the interface.
///
/// # Errors
/// [`Error::Refused`] if no member fits, if several members fit and `names` is empty, if `names` leaves no peer or names
/// more than [`LOCAL_MEMBERS_CAPACITY`] members, if two of the found members have the same underlay address, or if this
/// host lacks an underlay address of a found member.
pub fn find(
    cluster: &Cluster,
    names: &[String],
    held: &HostAddresses<'_>,
) -> Result<Identity, Error> {
    let members =
        if names.is_empty() { vec![by_address(cluster, held)?] } else { by_names(cluster, names)? };
    for member in &members {
        require_addresses(member, held)?;
    }
    require_distinct_underlays(&members)?;
    Ok(Identity::new(members.into_iter().map(OwnMember::from).collect()))
}

fn by_names<'a>(cluster: &'a Cluster, names: &[String]) -> Result<Vec<&'a Member>, Error> {
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let known = |name: &str| cluster.members().iter().any(|m| m.name.as_str() == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        return Err(Error::refused(
            format!("no member of the file is named {unknown:?}"),
            format!("--self takes one of: {}", list(cluster.members().iter().map(|m| &m.name))),
        ));
    }
    let members: Vec<_> =
        cluster.members().iter().filter(|m| wanted.contains(m.name.as_str())).collect();
    if members.len() == cluster.members().len() {
        return Err(Error::refused(
            "--self names every member of the file, and no peer is left",
            "name this host alone, or the hosts behind it, with --self NAME",
        ));
    }
    if members.len() > LOCAL_MEMBERS_CAPACITY {
        return Err(Error::refused(
            format!(
                "--self names {} members; a gateway stands for at most {LOCAL_MEMBERS_CAPACITY}",
                members.len()
            ),
            "combine them in the file into members that are prefixes, or share them among several \
             gateways",
        ));
    }
    Ok(members)
}

/// Requires that this host has each of the member's underlay addresses that is not a prefix, because no other host
/// answers for this address. A prefix may be routed to this host although no interface has an address of the prefix.
fn require_addresses(member: &Member, held: &HostAddresses<'_>) -> Result<(), Error> {
    let missing = member
        .mappings()
        .map(|mapping| mapping.underlay())
        .find(|underlay| underlay.0.is_single() && !held.has(underlay.0));
    let Some(underlay) = missing else { return Ok(()) };
    Err(Error::refused(
        format!("this host does not have {underlay}, the underlay address of {}", member.name),
        format!(
            "this host has {}; correct the file (underlay = \"…\" behind a 1:1 NAT), or add the \
             address to {}",
            list(held.on_host),
            held.interface
        ),
    ))
}

fn require_distinct_underlays(members: &[&Member]) -> Result<(), Error> {
    let mut seen: Vec<(Prefix, &MemberName)> = Vec::new();
    for member in members {
        for mapping in member.mappings() {
            let underlay = mapping.underlay().0;
            if let Some((_, other)) = seen.iter().find(|(range, _)| *range == underlay) {
                return Err(Error::refused(
                    format!(
                        "{other} and {} have the same underlay address, {underlay}",
                        member.name
                    ),
                    "a gateway distinguishes its members by their underlay addresses: give each \
                     member its own, or attach as one of them",
                ));
            }
            seen.push((underlay, &member.name));
        }
    }
    Ok(())
}

fn by_address<'a>(cluster: &'a Cluster, held: &HostAddresses<'_>) -> Result<&'a Member, Error> {
    let fitting = fitting(cluster, held.on_interface);
    let interface = held.interface;
    match fitting[..] {
        [member] => Ok(member),
        [] => Err(Error::refused(
            format!("this host is not a member: {interface} has no member's underlay address"),
            format!(
                "{interface} has {}; the members have {}; correct the file (behind a 1:1 NAT, give \
                 this host's member its own address: underlay = \"{}\"), name another interface, \
                 or name the member with --self NAME",
                list(held.on_interface),
                list(cluster.members().iter().flat_map(Member::mappings).map(|m| m.underlay())),
                held.on_interface.first().map_or_else(|| "…".into(), ToString::to_string),
            ),
        )),
        _ => Err(Error::refused(
            format!(
                "{interface} has the underlay addresses of several members: {}",
                list(fitting.iter().map(|m| &m.name))
            ),
            format!(
                "name the member that this host is with --self NAME; on a gateway, name all \
                 members behind it: {}",
                fitting.iter().map(|m| format!("--self {}", m.name)).collect::<Vec<_>>().join(" ")
            ),
        )),
    }
}

/// The members whose underlay ranges hold an address of the interface. If several ranges hold an address, the
/// longest prefix wins.
fn fitting<'a>(cluster: &'a Cluster, on_interface: &[IpAddr]) -> Vec<&'a Member> {
    let longest = |address: &IpAddr| {
        let lengths = cluster.members().iter().filter_map(|m| match_length(m, *address));
        lengths.max()
    };
    let matched: Vec<_> =
        on_interface.iter().filter_map(|address| Some((*address, longest(address)?))).collect();
    let fits = |member: &&Member| {
        matched.iter().any(|(address, length)| match_length(member, *address) == Some(*length))
    };
    cluster.members().iter().filter(fits).collect()
}

fn match_length(member: &Member, address: IpAddr) -> Option<u8> {
    let mut underlays = member.mappings().map(|mapping| mapping.underlay().0);
    underlays.find(|range| range.contains(address)).map(|range| range.length())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;
    use crate::model::Family;

    const CLUSTER: &str = r#"
        [[member]]
        name = "srva"
        private = "10.0.0.1"
        public = "198.51.100.2"
        [[member]]
        name = "srvb"
        private = "10.0.0.2"
        public = "203.0.113.2"
        underlay = "172.31.0.5"
        [[member]]
        name = "both"
        private = ["10.0.0.3", "fd00::3"]
        public = ["203.0.113.3", "2001:db8::3"]
        [[member]]
        name = "net"
        private = "10.9.0.0/24"
        public = "192.0.2.0/24"
        [[member]]
        name = "within"
        private = "10.9.0.7"
        public = "192.0.2.7"
    "#;

    fn find_in(text: &str, addresses: &[&str], names: &[&str]) -> Result<Identity, Error> {
        let clusters = parse(Path::new("cluster.toml"), text).unwrap();
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let held =
            HostAddresses { interface: "eth0", on_interface: &addresses, on_host: &addresses };
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        find(&clusters.all()[0], &names, &held)
    }

    fn find_on(addresses: &[&str], names: &[&str]) -> Result<Identity, Error> {
        find_in(CLUSTER, addresses, names)
    }

    fn found(addresses: &[&str], names: &[&str]) -> Vec<String> {
        find_on(addresses, names).unwrap().names().map(ToString::to_string).collect()
    }

    fn refused(addresses: &[&str], names: &[&str]) -> String {
        find_on(addresses, names).unwrap_err().to_string()
    }

    #[test]
    fn the_underlay_address_of_the_interface_tells_who_this_is() {
        assert_eq!(found(&["198.51.100.2"], &[]), ["srva"]);
        assert_eq!(found(&["fe80::1", "203.0.113.3", "2001:db8::3"], &[]), ["both"]);
    }

    #[test]
    fn behind_a_nat_the_underlay_address_counts_and_not_the_public_one() {
        assert_eq!(found(&["172.31.0.5"], &[]), ["srvb"]);
        assert!(find_on(&["203.0.113.2"], &[]).is_err());
    }

    #[test]
    fn an_interface_of_no_member_is_refused_with_what_it_has() {
        let error = refused(&["203.0.113.77"], &[]);
        assert!(error.contains("no member"), "{error}");
        assert!(error.contains("203.0.113.77") && error.contains("172.31.0.5"), "{error}");
        assert!(
            error.contains("1:1 NAT") && error.contains("underlay = \"203.0.113.77\""),
            "{error}"
        );
    }

    #[test]
    fn an_interface_of_two_members_needs_a_name_or_all_of_them() {
        let both = ["198.51.100.2", "172.31.0.5"];
        let error = refused(&both, &[]);
        assert!(error.contains("srva, srvb"), "{error}");
        assert!(error.contains("--self srva --self srvb"), "{error}");
        assert_eq!(found(&both, &["srvb"]), ["srvb"]);
        assert_eq!(found(&both, &["srvb", "srva"]), ["srva", "srvb"]);
    }

    #[test]
    fn a_name_that_is_not_in_the_file_is_refused_with_those_that_are() {
        let error = refused(&["198.51.100.2"], &["srvx"]);
        assert!(error.contains("\"srvx\"") && error.contains("srva, srvb"), "{error}");
    }

    #[test]
    fn a_gateway_for_more_members_than_the_map_holds_is_refused() {
        let numbers = 0..=LOCAL_MEMBERS_CAPACITY;
        let member = |n: usize| {
            let host = format!("{}.{}", n / 250, 1 + n % 250);
            format!(
                "[[member]]\nname = \"m{n}\"\nprivate = \"10.7.{host}\"\npublic = \"172.20.{host}\"\n"
            )
        };
        let text = CLUSTER.to_owned() + &numbers.clone().map(member).collect::<String>();
        let names: Vec<_> = numbers.map(|n| format!("m{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let error = find_in(&text, &[], &names).unwrap_err().to_string();
        assert!(error.contains("1025 members; a gateway stands for at most 1024"), "{error}");
        // One member fewer fits: the refusal is about an address then.
        let error = find_in(&text, &[], &names[1..]).unwrap_err().to_string();
        assert!(error.contains("this host does not have"), "{error}");
    }

    #[test]
    fn a_name_whose_address_this_host_does_not_have_is_refused() {
        let error = refused(&["198.51.100.2"], &["srvb"]);
        assert!(error.contains("172.31.0.5"), "{error}");
        let error = refused(&["198.51.100.2"], &["srva", "srvb"]);
        assert!(error.contains("172.31.0.5"), "{error}");
    }

    #[test]
    fn a_member_of_both_families_needs_the_addresses_of_both() {
        let error = refused(&["203.0.113.3"], &[]);
        assert!(error.contains("2001:db8::3") && error.contains("both"), "{error}");
    }

    #[test]
    fn a_prefix_needs_none_of_its_addresses_when_it_is_named() {
        assert_eq!(found(&["198.18.0.1"], &["net"]), ["net"]);
        assert_eq!(found(&["192.0.2.1"], &[]), ["net"]);
    }

    #[test]
    fn a_longer_match_goes_before_a_shorter_one() {
        assert_eq!(found(&["192.0.2.7"], &[]), ["within"]);
        let error = refused(&["192.0.2.7", "192.0.2.1"], &[]);
        assert!(error.contains("net, within"), "{error}");
    }

    #[test]
    fn one_self_with_one_address_is_no_gateway_and_others_are() {
        let one = find_on(&["198.51.100.2"], &[]).unwrap();
        assert!(!one.is_gateway());
        assert_eq!(one.on_loopback().map(|p| p.to_string()).collect::<Vec<_>>(), ["10.0.0.1"]);
        assert_eq!(
            one.single(Family::Ipv4).map(|m| m.private().to_string()),
            Some("10.0.0.1".into())
        );
        assert_eq!(one.single(Family::Ipv6), None);
        for names in [&["srva", "srvb"][..], &["net"]] {
            let gateway = find_on(&["198.51.100.2", "172.31.0.5"], names).unwrap();
            assert!(gateway.is_gateway());
            assert_eq!(gateway.on_loopback().count(), 0);
            assert_eq!(gateway.single(Family::Ipv4), None);
        }
    }

    #[test]
    fn a_gateway_can_not_tell_members_with_the_same_underlay_address_apart() {
        let text = r#"
            [[member]]
            name = "a"
            private = "10.0.0.1"
            public = "198.51.100.1"
            underlay = "172.31.0.5"
            [[member]]
            name = "b"
            private = "10.0.0.2"
            public = "198.51.100.2"
            underlay = "172.31.0.5"
            [[member]]
            name = "c"
            private = "10.0.0.3"
            public = "198.51.100.3"
        "#;
        let error = find_in(text, &["172.31.0.5"], &["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("172.31.0.5") && error.contains("a and b"), "{error}");
        assert!(find_in(text, &["172.31.0.5"], &["a"]).is_ok());
    }

    #[test]
    fn a_host_that_is_everybody_has_no_peer() {
        let text = r#"
            [[member]]
            name = "a"
            private = "10.0.0.1"
            public = "198.51.100.1"
            [[member]]
            name = "b"
            private = "10.0.0.2"
            public = "198.51.100.2"
        "#;
        let both = ["198.51.100.1", "198.51.100.2"];
        let error = find_in(text, &both, &["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("no peer is left"), "{error}");
    }
}
