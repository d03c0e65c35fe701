//! Which member this host is.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::address::{Private, Public, Underlay};
use crate::config::{Cluster, Member, MemberName};
use crate::failure::Failure;

/// This host, as a member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: MemberName,
    /// Its private address.
    pub private: Private,
    /// Its public address.
    pub public: Public,
    /// What its interface has.
    pub underlay: Underlay,
}

impl From<&Member> for Identity {
    fn from(member: &Member) -> Self {
        Self {
            name: member.name.clone(),
            private: member.private,
            public: member.public,
            underlay: member.underlay,
        }
    }
}

/// Finds this host among the members: by `name` if it is given, else by the addresses of the
/// interface.
///
/// # Errors
/// [`Failure::Refused`] if no member fits, or more than one.
pub fn find(
    cluster: &Cluster,
    name: Option<&str>,
    interface: &str,
    on_interface: &[Ipv4Addr],
    on_host: &[Ipv4Addr],
) -> Result<Identity, Failure> {
    match name {
        Some(name) => by_name(cluster, name, interface, on_host),
        None => by_address(cluster, interface, on_interface),
    }
}

fn by_name(
    cluster: &Cluster,
    name: &str,
    interface: &str,
    on_host: &[Ipv4Addr],
) -> Result<Identity, Failure> {
    let Some(member) = cluster.members().iter().find(|m| m.name.as_str() == name) else {
        return Err(Failure::refused(
            format!("no member of the file is named {name:?}"),
            format!("--self takes one of: {}", list(cluster.members().iter().map(|m| &m.name))),
        ));
    };
    if !on_host.contains(&member.underlay.0) {
        return Err(Failure::refused(
            format!("this host does not have {}, the underlay address of {name}", member.underlay),
            format!(
                "this host has {}; correct the file (underlay = \"…\" behind a 1:1 NAT), or add \
                 the address to {interface}",
                list(on_host)
            ),
        ));
    }
    Ok(member.into())
}

fn by_address(
    cluster: &Cluster,
    interface: &str,
    on_interface: &[Ipv4Addr],
) -> Result<Identity, Failure> {
    let fitting: Vec<&Member> =
        cluster.members().iter().filter(|m| on_interface.contains(&m.underlay.0)).collect();
    match fitting[..] {
        [member] => Ok(member.into()),
        [] => Err(Failure::refused(
            format!("this host is no member: {interface} has the underlay address of none"),
            format!(
                "{interface} has {}; the members have {}; correct the file, name another \
                 interface, or say which member this is with --self NAME",
                list(on_interface),
                list(cluster.members().iter().map(|m| m.underlay)),
            ),
        )),
        _ => Err(Failure::refused(
            format!(
                "{interface} has the underlay addresses of several members: {}",
                list(fitting.iter().map(|m| &m.name))
            ),
            "say which of them this host is with --self NAME",
        )),
    }
}

/// `a, b, c`, or `none`.
fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{item}");
    }
    if text.is_empty() { "none".into() } else { text }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    fn cluster() -> Cluster {
        let text = r#"
            [[member]]
            name = "srva"
            private = "10.0.0.1"
            public = "198.51.100.2"
            [[member]]
            name = "srvb"
            private = "10.0.0.2"
            public = "203.0.113.2"
            underlay = "172.31.0.5"
        "#;
        parse(Path::new("cluster.toml"), text).unwrap()
    }

    fn addresses(text: &[&str]) -> Vec<Ipv4Addr> {
        text.iter().map(|a| a.parse().unwrap()).collect()
    }

    fn find_on(addresses_of_eth0: &[&str], name: Option<&str>) -> Result<Identity, Failure> {
        let on_interface = addresses(addresses_of_eth0);
        find(&cluster(), name, "eth0", &on_interface, &on_interface)
    }

    #[test]
    fn the_underlay_address_of_the_interface_tells_who_this_is() {
        assert_eq!(find_on(&["198.51.100.2"], None).unwrap().name.as_str(), "srva");
    }

    #[test]
    fn behind_a_nat_the_underlay_address_counts_and_not_the_public_one() {
        assert_eq!(find_on(&["172.31.0.5"], None).unwrap().name.as_str(), "srvb");
        assert!(find_on(&["203.0.113.2"], None).is_err());
    }

    #[test]
    fn an_interface_of_no_member_is_refused_with_what_it_has() {
        let error = find_on(&["192.0.2.7"], None).unwrap_err().to_string();
        assert!(error.contains("no member"), "{error}");
        assert!(error.contains("192.0.2.7") && error.contains("172.31.0.5"), "{error}");
    }

    #[test]
    fn an_interface_of_two_members_needs_a_name() {
        let both = ["198.51.100.2", "172.31.0.5"];
        let error = find_on(&both, None).unwrap_err().to_string();
        assert!(error.contains("srva, srvb") && error.contains("--self"), "{error}");
        assert_eq!(find_on(&both, Some("srvb")).unwrap().name.as_str(), "srvb");
    }

    #[test]
    fn a_name_that_is_not_in_the_file_is_refused_with_those_that_are() {
        let error = find_on(&["198.51.100.2"], Some("srvx")).unwrap_err().to_string();
        assert!(error.contains("srva, srvb"), "{error}");
    }

    #[test]
    fn a_name_whose_address_this_host_does_not_have_is_refused() {
        let error = find_on(&["198.51.100.2"], Some("srvb")).unwrap_err().to_string();
        assert!(error.contains("172.31.0.5"), "{error}");
    }
}
