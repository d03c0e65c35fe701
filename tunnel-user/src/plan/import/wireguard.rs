//! Reads the output of `wg show all dump` (wg(8)). The endpoints are public addresses; the allowed addresses are
//! private. No finding repeats a key other than a public key.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::{Finding, Found, FoundHost, HostFacts, Tunnel};

/// The peers of all WireGuard interfaces, and this host with its addresses on those interfaces.
#[must_use]
pub fn found(dump: &str, facts: &HostFacts) -> Found {
    let mut found = Found::default();
    // The interfaces with a peer in the file, and the interfaces that a finding is about.
    let (mut with_peer, mut with_finding) = (BTreeSet::new(), BTreeSet::new());
    for (number, line) in (1..).zip(dump.lines()) {
        let place = format!("wg dump line {number}");
        let fields: Vec<_> = line.split('\t').collect();
        let findings_before = found.findings.len();
        match fields[..] {
            // The private and the public key, the port, the mark.
            [interface, _, _, port, _] => {
                let ports = port.parse().ok().filter(|port| *port != 0).into_iter().collect();
                let held = facts.addresses.iter().filter(|held| held.interface == interface);
                found.hosts.extend(held.map(|held| FoundHost {
                    name: None,
                    is_self: true,
                    private: held.address,
                    public: None,
                }));
                let interface = interface.to_owned();
                found.tunnels.push(Tunnel { interface, ports, is_whole: false });
            }
            // The public key, the preshared key, the endpoint, the allowed addresses, the last handshake, the bytes in
            // both directions, the keepalive.
            [interface, key, _, endpoint, allowed, _, _, _, _] => {
                let peer = format!("peer {key}");
                match endpoint.parse::<SocketAddr>() {
                    Ok(endpoint) => add(&mut found, interface, &place, &peer, endpoint, allowed),
                    Err(_) => found.findings.push(Finding::not_understood(
                        place,
                        peer,
                        "the peer has no endpoint: import again once it has been heard",
                    )),
                }
            }
            _ => found.findings.push(Finding::not_understood(
                place,
                "",
                format!("the line has {} fields, and not 5 or 9", fields.len()),
            )),
        }
        if found.findings.len() > findings_before {
            with_finding.insert(fields[0]);
        } else if fields.len() == 9 {
            with_peer.insert(fields[0]);
        }
    }
    for tunnel in &mut found.tunnels {
        let interface = tunnel.interface.as_str();
        tunnel.is_whole = with_peer.contains(interface) && !with_finding.contains(interface);
    }
    found
}

fn add(
    found: &mut Found,
    interface: &str,
    place: &str,
    peer: &str,
    endpoint: SocketAddr,
    allowed: &str,
) {
    let tunnel = found.tunnels.iter_mut().find(|tunnel| tunnel.interface == interface);
    if let Some(tunnel) = tunnel.filter(|tunnel| !tunnel.ports.contains(&endpoint.port())) {
        tunnel.ports.push(endpoint.port());
    }
    for range in allowed.split(',') {
        match single(range) {
            Some(private) => {
                // A private address goes with a public address of its family.
                let public = Some(endpoint.ip()).filter(|ip| ip.is_ipv4() == private.is_ipv4());
                found.hosts.push(FoundHost { name: None, is_self: false, private, public });
            }
            None => found.findings.push(Finding::not_understood(
                place,
                format!("{peer}: {range}"),
                "it is not the address of one host: write the hosts behind it into the file, or leave it to the tunnel",
            )),
        }
    }
}

/// The address of a range of one host, such as `10.0.0.2/32`.
fn single(range: &str) -> Option<IpAddr> {
    let (address, length) = range.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    (length == if address.is_ipv4() { "32" } else { "128" }).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::super::HeldAddress;
    use super::*;

    const DUMP: &str = "\
wg0\tPRIVATE\tPUBLIC\t51820\toff
wg0\tKEYB\tSECRET\t203.0.113.2:51820\t10.0.0.2/32,fd00::2/128\t1700000000\t92\t180\toff
wg0\tKEYC\t(none)\t192.0.2.3:51999\t10.0.0.3/32,10.3.0.0/24\t0\t0\t0\t25
wg0\tKEYD\t(none)\t(none)\t10.0.0.4/32\t0\t0\t0\toff
wg0\tPRIVATE
";

    #[test]
    fn endpoints_are_public_and_allowed_addresses_are_private() {
        let held = |interface: &str, address: &str| HeldAddress {
            interface: interface.into(),
            address: address.parse().unwrap(),
            length: 24,
        };
        let addresses = vec![held("wg0", "10.0.0.1"), held("eth0", "198.51.100.2")];
        let found = found(DUMP, &HostFacts { addresses, ..HostFacts::default() });
        let public = |public: Option<IpAddr>| public.map(|a| a.to_string()).unwrap_or_default();
        let hosts = found.hosts.iter();
        let hosts: Vec<_> = hosts
            .map(|host| format!("{} {} {}", host.is_self, host.private, public(host.public)))
            .collect();
        assert_eq!(
            hosts,
            [
                "true 10.0.0.1 ",
                "false 10.0.0.2 203.0.113.2",
                "false fd00::2 ",
                "false 10.0.0.3 192.0.2.3",
            ]
        );
        let (ports, is_whole) = (vec![51820, 51999], false);
        assert_eq!(found.tunnels, [Tunnel { interface: "wg0".into(), ports, is_whole }]);
        let texts: Vec<_> =
            found.findings.iter().map(|f| format!("{}: {}", f.place, f.text)).collect();
        assert_eq!(
            texts,
            [
                "wg dump line 3: peer KEYC: 10.3.0.0/24",
                "wg dump line 4: peer KEYD",
                "wg dump line 5: ",
            ]
        );
    }

    #[test]
    fn a_tunnel_is_whole_with_a_peer_and_without_a_finding() {
        let peers = "\
wg0\tPRIVATE\tPUBLIC\t51820\toff
wg0\tKEYB\t(none)\t203.0.113.2:51820\t10.0.0.2/32\t0\t0\t0\toff
wg1\tPRIVATE\tPUBLIC\t51821\toff
wg2\tPRIVATE\tPUBLIC\t51822\toff
wg2\tKEYC\t(none)\t203.0.113.3:51822\t10.0.0.3/32\t0\t0\t0\toff
wg2\tKEYD\t(none)\t(none)\t10.0.0.4/32\t0\t0\t0\toff
";
        let found = found(peers, &HostFacts::default());
        let tunnels = found.tunnels.iter().map(|tunnel| (&tunnel.interface[..], tunnel.is_whole));
        assert_eq!(tunnels.collect::<Vec<_>>(), [("wg0", true), ("wg1", false), ("wg2", false)]);
    }

    #[test]
    fn no_finding_has_a_secret() {
        let said = format!("{:?}", found(DUMP, &HostFacts::default()));
        assert!(!said.contains("PRIVATE") && !said.contains("SECRET"), "{said}");
    }
}
