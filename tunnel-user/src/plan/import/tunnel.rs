//! Reads the tunnels that carry private addresses, VXLAN and IPIP, in the JSON output of ip(8) and bridge(8). The outer
//! addresses are public; the inner addresses are private.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

use super::{Finding, Found, FoundHost, Source, Tunnel, is_link_local};
use crate::model::text::list;

/// The outputs of the commands. An output that is no JSON array has no entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// `ip -j -d address show`
    pub links: Value,
    /// `ip -j route show`, and the same with `-6`
    pub routes: Vec<Value>,
    /// `ip -j neighbor show`
    pub neighbors: Value,
    /// `bridge -j fdb show`
    pub forwarding: Value,
}

/// The MAC address of the forwarding entries to all of a VXLAN's hosts.
const ALL_HOSTS: &str = "00:00:00:00:00:00";

/// The kinds of links of a source, as ip(8) names them (IFLA_INFO_KIND).
#[must_use]
pub const fn kinds(source: Source) -> &'static [&'static str] {
    match source {
        Source::Vxlan => &["vxlan"],
        Source::Ipip => &["ipip", "ip6tnl"],
        _ => &[],
    }
}

/// The hosts at the ends of the tunnels of `source`. Names each tunnel, remote end and route that is left out.
#[must_use]
pub fn found(source: Source, outputs: &Outputs) -> Found {
    let mut found = Found::default();
    for link in items(&outputs.links) {
        let kind = link["linkinfo"]["info_kind"].as_str().unwrap_or_default();
        if let Some(name) = link["ifname"].as_str()
            && kinds(source).contains(&kind)
        {
            let tunnel = Ends { name, kind, link, outputs };
            tunnel.add_to(&mut found);
        }
    }
    found
}

fn items(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().into_iter().flatten()
}

fn address(value: &Value) -> Option<IpAddr> {
    let address: IpAddr = value.as_str()?.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(address)
}

/// One tunnel's interface, with the outputs that are about it.
struct Ends<'a> {
    name: &'a str,
    kind: &'a str,
    link: &'a Value,
    outputs: &'a Outputs,
}

impl Ends<'_> {
    fn add_to(&self, found: &mut Found) {
        let data = &self.link["linkinfo"]["info_data"];
        let local = address(&data["local"]).or_else(|| address(&data["local6"]));
        let inner = self.inner();
        let remotes = self.remotes(data);
        let place = format!("{} {}", self.kind, self.name);
        if inner.is_empty() || remotes.is_empty() {
            let what = if inner.is_empty() { "address of its own" } else { "remote address" };
            let why = format!("the tunnel has no {what}");
            found.findings.push(Finding::not_understood(place, self.name, why));
            return;
        }
        found.hosts.extend(inner.iter().map(|(private, _)| FoundHost {
            name: None,
            is_self: true,
            private: *private,
            public: local.filter(|local| local.is_ipv4() == private.is_ipv4()),
        }));
        let peers = self.peers(&inner, &remotes);
        let (has_peer, findings_before) = (!peers.is_empty(), found.findings.len());
        for remote in &remotes {
            if !peers.iter().any(|(_, public)| public == remote) {
                found.findings.push(Finding::not_understood(
                    place.as_str(),
                    remote.to_string(),
                    "no neighbor and no route shows the private address behind this remote address: send a packet \
                     through the tunnel, and import again",
                ));
            }
        }
        found.hosts.extend(peers.into_iter().map(|(private, public)| FoundHost {
            name: None,
            is_self: false,
            private,
            // A private address goes with a public address of its family.
            public: Some(public).filter(|public| public.is_ipv4() == private.is_ipv4()),
        }));
        found.findings.extend(self.wide_routes(&place));
        let ports = data["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let ports = ports.filter(|_| self.kind == "vxlan").into_iter().collect();
        let is_whole = has_peer && found.findings.len() == findings_before;
        found.tunnels.push(Tunnel { interface: self.name.to_owned(), ports, is_whole });
    }

    /// The tunnel's own inner addresses, with the lengths of their prefixes in bits.
    fn inner(&self) -> Vec<(IpAddr, u8)> {
        let global = items(&self.link["addr_info"]).filter(|held| held["scope"] == "global");
        let pair = |held: &Value| {
            let length = held["prefixlen"].as_u64().and_then(|length| u8::try_from(length).ok());
            Some((address(&held["local"])?, length?))
        };
        global.filter_map(pair).collect()
    }

    /// The public addresses of the other ends.
    fn remotes(&self, data: &Value) -> BTreeSet<IpAddr> {
        let own = [&data["remote"], &data["remote6"]].into_iter().filter_map(address);
        own.chain(self.forwarding().filter_map(|entry| address(&entry["dst"]))).collect()
    }

    fn forwarding(&self) -> impl Iterator<Item = &Value> {
        items(&self.outputs.forwarding).filter(|entry| entry["ifname"] == self.name)
    }

    fn routes(&self) -> impl Iterator<Item = &Value> {
        self.outputs.routes.iter().flat_map(items).filter(|route| route["dev"] == self.name)
    }

    /// The peers, each with its private and its public address.
    fn peers(
        &self,
        inner: &[(IpAddr, u8)],
        remotes: &BTreeSet<IpAddr>,
    ) -> BTreeSet<(IpAddr, IpAddr)> {
        let mut peers = BTreeSet::new();
        let by_mac: BTreeMap<_, _> = self
            .forwarding()
            .filter_map(|entry| Some((entry["mac"].as_str()?, address(&entry["dst"])?)))
            .filter(|(mac, _)| *mac != ALL_HOSTS)
            .collect();
        let neighbors = items(&self.outputs.neighbors).filter(|entry| entry["dev"] == self.name);
        for neighbor in neighbors {
            let public = neighbor["lladdr"].as_str().and_then(|mac| by_mac.get(mac));
            if let Some(private) =
                address(&neighbor["dst"]).filter(|private| !is_link_local(*private))
                && let Some(public) = public
            {
                peers.insert((private, *public));
            }
        }
        // With one remote end, everything that the tunnel carries goes there.
        let [only] = remotes.iter().copied().collect::<Vec<_>>()[..] else { return peers };
        let routed = self.routes().filter_map(|route| address(&route["dst"]));
        let other_ends =
            items(&self.link["addr_info"]).filter_map(|held| address(&held["address"]));
        let neighbors = inner.iter().filter_map(|(own, length)| only_neighbor(*own, *length));
        let private = routed.chain(other_ends).chain(neighbors);
        let own = |private: &IpAddr| inner.iter().any(|(own, _)| own == private);
        peers.extend(private.filter(|private| !own(private)).map(|private| (private, only)));
        peers
    }

    /// The routes of whole networks through the tunnel, other than the network of its own address.
    fn wide_routes(&self, place: &str) -> Vec<Finding> {
        let is_wide =
            |route: &&Value| route["protocol"] != "kernel" && address(&route["dst"]).is_none();
        let wide: Vec<_> =
            self.routes().filter(is_wide).filter_map(|r| r["dst"].as_str()).collect();
        if wide.is_empty() {
            return Vec::new();
        }
        let why = "a route of a whole network names no member: write its hosts into the file";
        vec![Finding::not_understood(place, list(wide), why)]
    }
}

/// The other address of a network of two hosts: a /31 or /30, or a /127.
fn only_neighbor(own: IpAddr, length: u8) -> Option<IpAddr> {
    match own {
        IpAddr::V4(own) => {
            let number = u32::from(own);
            let other = match (length, number % 4) {
                (31, _) => number ^ 1,
                (30, 1 | 2) => number ^ 3,
                _ => return None,
            };
            Some(IpAddr::V4(other.into()))
        }
        IpAddr::V6(own) => (length == 127).then(|| IpAddr::V6((u128::from(own) ^ 1).into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vxlan() -> Outputs {
        let data =
            json!({"id": 42, "remote": "203.0.113.2", "local": "198.51.100.2", "port": 4789});
        Outputs {
            links: json!([
                {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
                {"ifname": "vx0", "linkinfo": {"info_kind": "vxlan", "info_data": data}, "addr_info": [
                    {"local": "10.0.0.1", "prefixlen": 24, "scope": "global"},
                    {"local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]),
            routes: vec![json!([
                {"dst": "default", "gateway": "198.51.100.1", "dev": "eth0"},
                {"dst": "10.0.0.0/24", "dev": "vx0", "protocol": "kernel"},
                {"dst": "10.9.0.0/24", "gateway": "10.0.0.2", "dev": "vx0"}])],
            neighbors: json!([
                {"dst": "10.0.0.2", "dev": "vx0", "lladdr": "02:00:00:00:00:02", "state": ["STALE"]},
                {"dst": "fe80::2", "dev": "vx0", "lladdr": "02:00:00:00:00:02", "state": ["STALE"]},
                {"dst": "10.0.0.7", "dev": "vx0", "state": ["FAILED"]}]),
            forwarding: json!([
                {"mac": ALL_HOSTS, "ifname": "vx0", "dst": "203.0.113.2"},
                {"mac": ALL_HOSTS, "ifname": "vx0", "dst": "203.0.113.3"},
                {"mac": "02:00:00:00:00:02", "ifname": "vx0", "dst": "203.0.113.2"}]),
        }
    }

    fn hosts(found: &Found) -> Vec<String> {
        let public = |public: Option<IpAddr>| public.map(|a| a.to_string()).unwrap_or_default();
        let hosts = found.hosts.iter();
        hosts
            .map(|host| format!("{} {} {}", host.is_self, host.private, public(host.public)))
            .collect()
    }

    #[test]
    fn a_vxlan_has_its_neighbors_behind_its_remote_addresses() {
        let found = found(Source::Vxlan, &vxlan());
        assert_eq!(hosts(&found), ["true 10.0.0.1 198.51.100.2", "false 10.0.0.2 203.0.113.2"]);
        let texts: Vec<_> = found.findings.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(texts, ["203.0.113.3", "10.9.0.0/24"]);
        let (ports, is_whole) = (vec![4789], false);
        assert_eq!(found.tunnels, [Tunnel { interface: "vx0".into(), ports, is_whole }]);
    }

    #[test]
    fn a_tunnel_without_a_finding_is_whole() {
        let mut outputs = vxlan();
        outputs.routes.clear();
        outputs.forwarding = json!([
            {"mac": "02:00:00:00:00:02", "ifname": "vx0", "dst": "203.0.113.2"}]);
        let all = found(Source::Vxlan, &outputs);
        assert_eq!((all.findings, all.tunnels[0].is_whole), (vec![], true));
    }

    #[test]
    fn a_peer_has_no_public_address_of_another_family() {
        let data = json!({"remote": "2001:db8:b::2", "local": "2001:db8:a::2"});
        let own = json!([{"local": "10.0.0.1", "prefixlen": 30, "scope": "global"}]);
        let links = json!([{"ifname": "tun6", "linkinfo": {"info_kind": "ip6tnl", "info_data": data},
            "addr_info": own}]);
        let found = found(Source::Ipip, &Outputs { links, ..Outputs::default() });
        assert_eq!(hosts(&found), ["true 10.0.0.1 ", "false 10.0.0.2 "]);
    }

    #[test]
    fn an_ipip_tunnel_has_one_host_behind_its_remote_address() {
        // `ip -j -d address show` of iproute2 with `ip tunnel add tun0 mode ipip`, and a route of one host.
        let data =
            json!({"proto": "ipip", "remote": "203.0.113.2", "local": "198.51.100.2", "ttl": 64});
        let link = |addresses: Value| {
            json!([{"ifname": "tun0", "linkinfo": {"info_kind": "ipip", "info_data": data.clone()},
                "addr_info": addresses}])
        };
        let own =
            |length: u8| json!([{"local": "10.0.0.1", "prefixlen": length, "scope": "global"}]);
        let other = json!([{"local": "10.0.0.1", "address": "10.0.0.2", "prefixlen": 32, "scope": "global"}]);
        let route = json!([{"dst": "10.0.0.2", "dev": "tun0", "scope": "link"}]);
        for (addresses, routes) in
            [(own(24), vec![route]), (other, vec![]), (own(30), vec![]), (own(24), vec![])]
        {
            let is_known = !routes.is_empty() || addresses != own(24);
            let outputs = Outputs { links: link(addresses), routes, ..Outputs::default() };
            let found = found(Source::Ipip, &outputs);
            let wanted = ["true 10.0.0.1 198.51.100.2", "false 10.0.0.2 203.0.113.2"];
            assert_eq!(hosts(&found), wanted[..if is_known { 2 } else { 1 }]);
            assert_eq!(found.findings.is_empty(), is_known, "{:?}", found.findings);
            assert_eq!(found.tunnels[0].is_whole, is_known);
        }
    }

    #[test]
    fn the_other_end_of_a_network_of_two() {
        for (own, length, other) in [
            ("10.0.0.1", 30, Some("10.0.0.2")),
            ("10.0.0.2", 30, Some("10.0.0.1")),
            ("10.0.0.0", 30, None),
            ("10.0.0.4", 31, Some("10.0.0.5")),
            ("10.0.0.1", 24, None),
            ("fd00::2", 127, Some("fd00::3")),
            ("fd00::2", 64, None),
        ] {
            let other = other.map(|other| other.parse().unwrap());
            assert_eq!(only_neighbor(own.parse().unwrap(), length), other, "{own}/{length}");
        }
    }
}
