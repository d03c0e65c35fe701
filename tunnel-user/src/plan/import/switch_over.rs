//! Lists the commands that switch the traffic over to rewrite, in the order that loses no packet, and the way back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::draft::Draft;
use super::trick::{Addresses, TrickRule};
use super::trick_commands::{Exempted, add, end_exemption, exempt, remove};
use super::{Found, Source, Tunnel};

/// A step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The step's purpose, and the hosts or the time that it waits for.
    pub what: String,
    /// The commands, for a shell. A step without a command is the operator's own.
    pub commands: Vec<String>,
}

/// The way to rewrite, and the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchOver {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The steps of the way back, in their order.
    pub back: Vec<Step>,
}

fn step(what: impl Into<String>, commands: impl Into<Vec<String>>) -> Step {
    Step { what: what.into(), commands: commands.into() }
}

fn rewrite(words: impl AsRef<str>) -> Vec<String> {
    vec![format!("rewrite {}", words.as_ref())]
}

/// The way from `source` to rewrite on `interface`. `file` is the path of the cluster file.
#[must_use]
pub fn plan(
    source: Option<Source>,
    found: &Found,
    draft: &Draft,
    interface: &str,
    file: &str,
) -> SwitchOver {
    let blanks = draft.members.iter().flat_map(|member| &member.addresses);
    let has_blanks = blanks.clone().any(|a| a.private.is_none() || a.public.is_none());
    let copy = match has_blanks {
        true => format!("fill in the blanks of the file, and copy it to every host, as {file}"),
        false => format!("copy the file to every host, as {file}"),
    };
    let mut way = match source {
        Some(Source::Iptables | Source::Nft) => {
            of_trick(&rules_of_file(&found.rules, draft), interface)
        }
        _ => of_other_path(source, found, draft, interface),
    };
    way.steps.insert(0, step(copy, []));
    way
}

/// The rules about peers that the file has. Rules about other peers stay.
fn rules_of_file<'a>(rules: &'a [TrickRule], draft: &Draft) -> Vec<&'a TrickRule> {
    let peers = draft.members.iter().filter(|member| !member.is_self);
    let public: BTreeSet<IpAddr> =
        peers.flat_map(|peer| &peer.addresses).filter_map(|addresses| addresses.public).collect();
    rules.iter().filter(|rule| public.contains(&rule.addresses.peer_public())).collect()
}

/// A host with the trick and a host with rewrite understand each other, so the hosts go one by one. Connection tracking
/// goes on to translate the connections that it knows; it ignores packets that are exempted.
fn of_trick(rules: &[&TrickRule], interface: &str) -> SwitchOver {
    let gone: fn(&Addresses) -> bool = |addresses| !matches!(addresses, Addresses::Arriving { .. });
    let tracked: fn(&Addresses) -> bool = |addresses| !addresses.is_stateless();
    let leaving: fn(&Addresses) -> bool =
        |addresses| matches!(addresses, Addresses::Leaving { .. });
    let arriving: fn(&Addresses) -> bool =
        |addresses| matches!(addresses, Addresses::Arriving { .. });
    let away = [exempt(rules, Exempted::Leaving), remove(rules, leaving), remove(rules, tracked)];
    let last = [
        remove(rules, arriving),
        end_exemption(rules, Exempted::Leaving),
        end_exemption(rules, Exempted::Arriving),
    ];
    let mut steps = vec![
        step("on one host after the other: check the file and the host", rewrite("check")),
        step(
            "exempt the packets that rewrite delivers from the rules; a firewall must accept UNTRACKED packets of the \
             peers",
            exempt(rules, Exempted::Arriving),
        ),
        step(
            "attach; the rules still translate the packets that leave",
            rewrite(format!("attach {interface}")),
        ),
        step("let rewrite translate the packets that leave, and remove the rules", away.concat()),
        step("once every host is attached: ping the peers", rewrite("ping")),
        step(
            "later, once the connections from before the switch-over have ended: remove what is left",
            last.concat(),
        ),
    ];
    steps.retain(|step| !step.commands.is_empty());
    let mut back = vec![
        step("before the last step: add the removed rules again", add(rules, gone)),
        step(
            "let the rules translate the packets that leave",
            end_exemption(rules, Exempted::Leaving),
        ),
        step("detach", rewrite(format!("detach {interface}"))),
        step(
            "let the rules translate the packets that arrive",
            end_exemption(rules, Exempted::Arriving),
        ),
    ];
    back.retain(|step| !step.commands.is_empty());
    SwitchOver { steps, back }
}

/// Where another path still carries the private addresses, all hosts first accept rewritten packets, and then all send
/// them. A tunnel goes if the file has everything that it carries.
fn of_other_path(
    source: Option<Source>,
    found: &Found,
    draft: &Draft,
    interface: &str,
) -> SwitchOver {
    let path = if found.tunnels.is_empty() { "the present path" } else { "the tunnel" };
    let lost = match source {
        Some(Source::Ipip) => {
            "; packets of a peer's tunnel are lost until this host has sent one itself"
        }
        _ => "",
    };
    let clear_text = match source {
        Some(Source::Wireguard) => {
            "; rewrite does not encrypt, so from here on the packets travel in clear text"
        }
        _ => "",
    };
    let mut steps = vec![
        step("on every host: check the file and the host", rewrite("check")),
        step(
            format!(
                "on every host, before the next step: accept rewritten packets, and send by {path}{lost}"
            ),
            rewrite(format!("attach {interface} --no-routes")),
        ),
        step(
            format!("on every host: send rewritten packets{clear_text}"),
            rewrite(format!("attach {interface}")),
        ),
        step("on every host: ping the peers", rewrite("ping")),
    ];
    let has_own = has_own_addresses(found, draft);
    let (replaced, kept): (Vec<&Tunnel>, Vec<&Tunnel>) =
        found.tunnels.iter().partition(|tunnel| tunnel.is_whole && has_own);
    if !replaced.is_empty() {
        // Attach has added the private address to lo, so it stays without the tunnel.
        let what = "once every host answers: remove the tunnel";
        let delete = |tunnel: &&Tunnel| format!("ip link delete dev {}", tunnel.interface);
        steps.push(step(what, replaced.iter().map(delete).collect::<Vec<_>>()));
    }
    for Tunnel { interface, .. } in kept {
        let what = format!(
            "{interface} carries more than the file has: leave it, or add what the findings name"
        );
        steps.push(step(what, []));
    }
    let back = vec![
        step(
            format!("while {path} stands, on every host, before the next step: send by {path}"),
            rewrite(format!("attach {interface} --no-routes")),
        ),
        step("on every host: detach", rewrite(format!("detach {interface}"))),
    ];
    SwitchOver { steps, back }
}

/// True if the file has all of this host's private addresses. An attach adds no others to lo.
fn has_own_addresses(found: &Found, draft: &Draft) -> bool {
    let in_file: Vec<IpAddr> = draft
        .self_member()
        .into_iter()
        .flat_map(|member| &member.addresses)
        .filter_map(|addresses| addresses.private)
        .collect();
    let mut own = found.hosts.iter().filter(|host| host.is_self);
    own.all(|host| in_file.contains(&host.private))
}

#[cfg(test)]
mod tests {
    use super::super::trick::Location;
    use super::super::{FoundHost, HostFacts, draft};
    use super::*;

    fn nft_rule(addresses: Addresses, chain: &str, handle: u64) -> TrickRule {
        let (table, chain) = ("ip t".to_owned(), chain.to_owned());
        let location = Location::Nft { table, chain, handle, statements: format!("s{handle}") };
        TrickRule { addresses, place: String::new(), location }
    }

    fn way(source: Source, rules: Vec<TrickRule>, tunnels: Vec<Tunnel>) -> SwitchOver {
        let host = |is_self, private: [u8; 4], public: [u8; 4]| FoundHost {
            name: None,
            is_self,
            private: private.into(),
            public: Some(public.into()),
        };
        let hosts =
            vec![host(true, [10, 0, 0, 1], [1, 0, 0, 1]), host(false, [10, 0, 0, 2], [1, 0, 0, 2])];
        let found = Found { hosts, rules, tunnels, findings: Vec::new() };
        let draft = draft::draft(&found, &HostFacts::default(), None);
        plan(Some(source), &found, &draft, "eth0", "/f")
    }

    fn commands(steps: &[Step]) -> Vec<String> {
        let line = |command: &String| command.lines().nth(1).unwrap_or(command).to_owned();
        steps.iter().flat_map(|step| &step.commands).map(line).collect()
    }

    fn pair(peer: [u8; 4]) -> [IpAddr; 2] {
        [[10, 0, 0, peer[3]].into(), peer.into()]
    }

    #[test]
    fn the_stateless_rule_for_arriving_packets_goes_last() {
        let [own_private, own_public] = pair([1, 0, 0, 1]);
        let [peer_private, peer_public] = pair([1, 0, 0, 2]);
        let leaving = Addresses::Leaving { own_private, own_public, peer_private, peer_public };
        let arriving = Addresses::Arriving { own_private, own_public, peer_private, peer_public };
        let rules = vec![nft_rule(leaving, "o", 1), nft_rule(arriving, "p", 2)];
        let way = way(Source::Nft, rules, Vec::new());
        assert_eq!(
            commands(&way.steps),
            [
                "rewrite check",
                "rewrite attach eth0",
                "delete rule ip t o handle 1",
                "rewrite ping",
                "delete rule ip t p handle 2",
            ]
        );
        assert_eq!(commands(&way.back), ["add rule ip t o s1", "rewrite detach eth0"]);
    }

    #[test]
    fn rules_about_a_peer_that_the_file_lacks_stay() {
        let [peer_private, peer_public] = pair([1, 0, 0, 9]);
        let rule = nft_rule(Addresses::Output { peer_private, peer_public }, "o", 1);
        let way = way(Source::Nft, vec![rule], Vec::new());
        assert_eq!(commands(&way.steps), ["rewrite check", "rewrite attach eth0", "rewrite ping"]);
    }

    fn tunnel(interface: &str, is_whole: bool) -> Tunnel {
        Tunnel { interface: interface.into(), ports: vec![4789], is_whole }
    }

    #[test]
    fn a_tunnel_with_more_than_the_file_has_stays() {
        let way = way(Source::Vxlan, Vec::new(), vec![tunnel("vx0", true), tunnel("vx1", false)]);
        let [.., replaced, kept] = &way.steps[..] else { panic!("{way:?}") };
        assert_eq!(replaced.commands, ["ip link delete dev vx0"]);
        let what = "vx1 carries more than the file has: leave it, or add what the findings name";
        assert_eq!((kept.what.as_str(), kept.commands.len()), (what, 0));
    }

    #[test]
    fn a_tunnel_with_an_address_of_this_host_that_the_file_lacks_stays() {
        let host = |is_self, private: [u8; 4]| FoundHost {
            name: None,
            is_self,
            private: private.into(),
            public: None,
        };
        let hosts =
            vec![host(true, [10, 0, 0, 1]), host(true, [10, 5, 0, 1]), host(false, [10, 0, 0, 2])];
        let found = Found { hosts, tunnels: vec![tunnel("wg1", true)], ..Found::default() };
        let draft = draft::draft(&found, &HostFacts::default(), None);
        let way = plan(Some(Source::Wireguard), &found, &draft, "eth0", "/f");
        assert!(!commands(&way.steps).iter().any(|command| command.contains("delete")), "{way:?}");
    }

    #[test]
    fn the_steps_name_what_a_source_loses() {
        for (source, wanted) in [
            (Source::Ipip, "are lost until this host has sent one itself"),
            (Source::Wireguard, "the packets travel in clear text"),
        ] {
            let way = way(source, Vec::new(), vec![tunnel("t0", true)]);
            let named = way.steps.iter().filter(|step| step.what.contains(wanted));
            assert_eq!(named.count(), 1, "{source}");
        }
    }

    #[test]
    fn a_tunnel_goes_after_both_rounds_of_attach() {
        let way = way(Source::Vxlan, Vec::new(), vec![tunnel("vx0", true)]);
        assert_eq!(
            commands(&way.steps),
            [
                "rewrite check",
                "rewrite attach eth0 --no-routes",
                "rewrite attach eth0",
                "rewrite ping",
                "ip link delete dev vx0",
            ]
        );
    }
}
