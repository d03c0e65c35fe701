//! Detects a bridge that passes its packets to netfilter. Netfilter then sees public addresses in both directions: a
//! port's packets reach netfilter before the program of the bridge's own interface, and this host's packets reach
//! netfilter after the program. To netfilter, a connection that began with private addresses on this host looks like a
//! different connection, and a stateful firewall drops its packets (Linux, net/bridge/br_netfilter_hooks.c,
//! br_nf_pre_routing).

use std::fs;

use super::link::Link;
use crate::error::Error;
use crate::model::Family;

/// The error for a bridge `link` that passes packets to netfilter; the error names the families and the remedy. `None`
/// if `link` is not a bridge, or passes no packets to netfilter.
#[must_use]
pub fn in_the_way(link: &Link) -> Option<Error> {
    if link.kind.as_deref() != Some("bridge") {
        return None;
    }
    let is_on_for_all = |family| {
        fs::read_to_string(format!("/proc/sys/net/bridge/{}", of_all(family)))
            .is_ok_and(|text| text.trim() == "1")
    };
    refusal(link, &Family::ALL.map(|family| (family, is_on_for_all(family))))
}

fn refusal(link: &Link, on_for_all: &[(Family, bool)]) -> Option<Error> {
    let name = &link.name;
    let mut families = Vec::new();
    let mut remedies = Vec::new();
    for (family, is_on_for_all) in on_for_all {
        let is_on_here = link.bridge_netfilter.contains(family);
        if *is_on_for_all {
            remedies.push(format!("sysctl -w net.bridge.{}=0", of_all(*family)));
        }
        if is_on_here {
            let option = of_one(*family);
            remedies.push(format!("ip link set dev {name} type bridge {option} 0"));
        }
        if *is_on_for_all || is_on_here {
            families.push(family.to_string());
        }
    }
    (!families.is_empty()).then(|| {
        Error::refused(
            format!(
                "the bridge {name} passes {} packets to netfilter before the programs rewrite \
                 them: a firewall that tracks connections drops them",
                families.join(" and ")
            ),
            remedies.join("; "),
        )
    })
}

const fn of_all(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "bridge-nf-call-iptables",
        Family::Ipv6 => "bridge-nf-call-ip6tables",
    }
}

const fn of_one(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "nf_call_iptables",
        Family::Ipv6 => "nf_call_ip6tables",
    }
}

/// True if netfilter currently tracks at least one connection in this network namespace.
#[must_use]
pub fn tracks_connections() -> bool {
    fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count")
        .is_ok_and(|text| text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::super::link::ethernet;
    use super::*;

    const OFF: [(Family, bool); 2] = [(Family::Ipv4, false), (Family::Ipv6, false)];

    #[test]
    fn each_switch_that_is_on_is_named() {
        let bridge = Link { kind: Some("bridge".into()), ..ethernet(5, "br0") };
        assert!(refusal(&bridge, &OFF).is_none());
        let all = [(Family::Ipv4, true), (Family::Ipv6, true)];
        let said = refusal(&bridge, &all).unwrap().to_string();
        assert!(said.contains("IPv4 and IPv6 packets"), "{said}");
        assert!(said.contains("sysctl -w net.bridge.bridge-nf-call-ip6tables=0"), "{said}");
        let own = Link { bridge_netfilter: vec![Family::Ipv4], ..bridge };
        let said = refusal(&own, &OFF).unwrap().to_string();
        assert!(said.contains("ip link set dev br0 type bridge nf_call_iptables 0"), "{said}");
        assert!(!said.contains("IPv6"), "{said}");
    }
}
