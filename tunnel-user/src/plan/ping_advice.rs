//! Says the state of the path to a peer in words, and names the remedy.

use crate::model::Prefix;
use crate::plan::ping::{Observed, State};

/// The names and addresses in the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The peer's name.
    pub peer: String,
    /// The peer's public address or prefix, by this host's entries.
    pub public: Prefix,
    /// The names of this host's own members.
    pub own: String,
    /// The interface whose entries have the peer.
    pub interface: String,
    /// The revision of this host's file, if the file has one.
    pub revision: Option<u32>,
    /// The network whose path was probed; `None` after a ping between private addresses.
    pub network: Option<String>,
}

/// The state in words, and the remedy.
#[must_use]
pub fn advice(state: State, facts: &Facts, observed: &Observed) -> (String, Option<String>) {
    let Facts { peer, public, own, interface, .. } = facts;
    let (what, remedy) = match state {
        State::Ok => return (same_members(peer, observed), None),
        State::Direct => {
            return ("answers from its private address, as a direct peer may".into(), None);
        }
        State::Native => {
            let way = observed.other_way.as_deref().unwrap_or("another interface");
            return (
                format!("answers by {way}, not rewritten: its route leaves {interface} out"),
                None,
            );
        }
        State::MtuHole => {
            let out = observed.sizes.map_or(0, |sizes| sizes.out);
            (
                // A router reports a program's answer that is too large to the peer, and not to this host.
                match observed.stamp.as_ref().is_some_and(|stamp| stamp.by_program) {
                    true => {
                        format!("packets above {out} bytes, or their answers, do not come back")
                    }
                    false => format!(
                        "packets above {out} bytes, or their answers, vanish without an ICMP error"
                    ),
                },
                format!(
                    "let ICMP \"fragmentation needed\" and \"packet too big\" through on the way, \
                     or on both hosts: ip link set {interface} mtu {out}"
                ),
            )
        }
        State::FileDiffers => {
            let here = revision(facts.revision);
            let stamp = observed.stamp.as_ref();
            let there = revision(stamp.and_then(|stamp| stamp.revision));
            (
                format!("the members there differ: {there} there, {here} here"),
                format!("give both hosts the same file, and on each: rewrite attach {interface}"),
            )
        }
        State::UnknownThere => {
            let source = observed.stamp.as_ref().map(|stamp| stamp.source.to_string());
            let source = source.unwrap_or_default();
            (
                format!("attached without an entry for {source}"),
                format!(
                    "packets of {own} arrive there from {source}: give both hosts a file with this \
                     public address for {own}, and rewrite attach; behind a 1:1 NAT: with the underlay \
                     that it translates; or {public} is another host"
                ),
            )
        }
        State::NotAttached => (
            format!("answers from {public} without the stamp of rewrite"),
            format!(
                "on {peer}: rewrite attach; if it is attached: with a wrong underlay (rewrite doctor \
                 there), or by an older version, or {public} is another host"
            ),
        ),
        State::Lossy => (
            "packets, or their answers, get lost".into(),
            format!(
                "look for errors on the links of the path: ip -s link show {interface}, there too"
            ),
        ),
        State::Filtered => filtered(facts, observed),
        State::NoAnswer => no_answer(facts, observed),
        State::NotSent => (
            format!("this host did not send: {}", failure(observed)),
            "a firewall or a policy rule of this host: nft list ruleset, iptables -S, ip rule, \
             ip route get"
                .into(),
        ),
    };
    (what, Some(remedy))
}

fn no_answer(facts: &Facts, observed: &Observed) -> (String, String) {
    let Facts { peer, public, interface, network, .. } = facts;
    if let Some(network) = network {
        let what = match observed.error {
            Some(_) => failure(observed),
            None => "nothing comes back".into(),
        };
        return (
            what,
            format!(
                "check that {peer} is up, and that {public} is its address on {network}: ip route \
                 get {public} oif {interface}; on {peer}: rewrite ping --network {network}"
            ),
        );
    }
    if let Some(way) = &observed.other_way {
        return (
            format!("packets to it go by {way}, and none comes back"),
            format!("to send by {interface}: rewrite attach {interface}, without --no-routes"),
        );
    }
    if observed.error.is_some() {
        return (
            failure(observed),
            format!("check the way to {public}, and that {peer} is up: ip route get {public}"),
        );
    }
    match observed.arrived {
        0 => (
            "nothing comes back".into(),
            format!(
                "check that {peer} is up, that {public} is its public address, and that firewalls \
                 pass ICMP echo both ways; on {peer}: rewrite ping"
            ),
        ),
        arrived => (
            format!(
                "no answer, while {arrived} packets from it arrived: it drops echo requests, or \
                 this host drops the answers"
            ),
            format!("on this host and on {peer}: nft list ruleset, iptables -S, ip rule"),
        ),
    }
}

fn filtered(facts: &Facts, observed: &Observed) -> (String, String) {
    let Facts { peer, .. } = facts;
    let reported = match &observed.error {
        Some(_) => format!(" ({})", failure(observed)),
        None => String::new(),
    };
    let cause = match observed.arrived {
        0 => format!(
            "{peer} ignores pings, sends its answers another way, or lacks its private address; or \
             a firewall or reverse path filter there or here drops packets between private \
             addresses"
        ),
        arrived => format!(
            "{arrived} packets from it arrived, so a firewall or reverse path filter here may drop \
             the answers"
        ),
    };
    (
        format!(
            "the path works and the program there stamps path probes, but no ping comes \
             back{reported}: {cause}"
        ),
        format!(
            "on this host and on {peer}: rewrite doctor; on {peer}: rewrite ping; sysctl \
             net.ipv4.icmp_echo_ignore_all net.ipv6.icmp.echo_ignore_all"
        ),
    )
}

/// The last error about a request, with its reporter.
fn failure(observed: &Observed) -> String {
    match &observed.error {
        Some(error) => match error.reporter {
            Some(reporter) => format!("{} from {reporter}", error.what),
            None => error.what.clone(),
        },
        None => "no reason is known".into(),
    }
}

fn same_members(peer: &str, observed: &Observed) -> String {
    let stamp = observed.stamp.as_ref();
    let same = match stamp.and_then(|stamp| stamp.revision) {
        Some(revision) => format!("same members, revision {revision}"),
        None => "same members".into(),
    };
    match stamp.is_some_and(|stamp| stamp.by_program) {
        true => format!("{same}; the routes and firewalls of {peer} were not tried"),
        false => same,
    }
}

fn revision(revision: Option<u32>) -> String {
    revision.map_or_else(|| "no revision".into(), |revision| format!("revision {revision}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::path_mtu::Found;
    use crate::plan::ping::Failure;
    use crate::plan::ping_message::ReadStamp;

    fn facts(revision: Option<u32>) -> Facts {
        Facts {
            peer: "srvb".into(),
            public: "203.0.113.2".parse().expect("an address"),
            own: "srva".into(),
            interface: "eth0".into(),
            revision,
            network: None,
        }
    }

    fn stamped(revision: Option<u32>) -> Observed {
        let stamp = ReadStamp {
            from_peer: true,
            by_program: false,
            hop_limit: 63,
            abi_version: 3,
            version: "0.1.0".into(),
            revision,
            digest: [1; 8],
            source: [198, 51, 100, 2].into(),
            destination: [203, 0, 113, 2].into(),
        };
        Observed { stamp: Some(stamp), ..Observed::default() }
    }

    fn by_program(observed: Observed) -> Observed {
        let stamp = observed.stamp.map(|stamp| ReadStamp { by_program: true, ..stamp });
        Observed { stamp, ..observed }
    }

    fn failed(reporter: Option<[u8; 4]>) -> Observed {
        let reporter = reporter.map(Into::into);
        let error = Failure { reporter, what: "no route".into(), is_local: reporter.is_none() };
        Observed { error: Some(error), ..Observed::default() }
    }

    #[test]
    fn what_is_said_of_a_path_names_what_was_observed() {
        let sizes = Some(Found { out: 1396, back: 1396, is_hole: true });
        let hole = Observed { sizes, ..Observed::default() };
        let by_cable = Observed { other_way: Some("cable".into()), ..Observed::default() };
        let heard = Observed { arrived: 3, ..Observed::default() };
        for (state, observed, said) in [
            (State::Ok, stamped(Some(7)), "same members, revision 7"),
            (State::Ok, stamped(None), "same members"),
            (
                State::Ok,
                by_program(stamped(Some(7))),
                "same members, revision 7; the routes and firewalls of srvb were not tried",
            ),
            (
                State::MtuHole,
                by_program(Observed { sizes, ..stamped(None) }),
                "packets above 1396 bytes, or their answers, do not come back",
            ),
            (
                State::MtuHole,
                hole,
                "packets above 1396 bytes, or their answers, vanish without an ICMP error",
            ),
            (
                State::FileDiffers,
                stamped(None),
                "the members there differ: no revision there, revision 8 here",
            ),
            (State::UnknownThere, stamped(None), "attached without an entry for 198.51.100.2"),
            (
                State::Native,
                by_cable.clone(),
                "answers by cable, not rewritten: its route leaves eth0 out",
            ),
            (State::NoAnswer, by_cable, "packets to it go by cable, and none comes back"),
            (State::NoAnswer, Observed::default(), "nothing comes back"),
            (
                State::NoAnswer,
                heard,
                "no answer, while 3 packets from it arrived: it drops echo requests, or this host \
                 drops the answers",
            ),
            (State::NoAnswer, failed(Some([192, 0, 2, 1])), "no route from 192.0.2.1"),
            (State::NotSent, failed(None), "this host did not send: no route"),
            (State::NotSent, Observed::default(), "this host did not send: no reason is known"),
        ] {
            assert_eq!(advice(state, &facts(Some(8)), &observed).0, said);
        }
    }

    #[test]
    fn a_remedy_names_where_to_look() {
        let remedy =
            |state, observed: &Observed| advice(state, &facts(None), observed).1.expect("a remedy");
        let filtered = remedy(State::Filtered, &Observed::default());
        assert!(filtered.contains("sysctl net.ipv4.icmp_echo_ignore_all"), "{filtered}");
        let probed = Facts { network: Some("ib".into()), ..facts(None) };
        let (what, of_probe) = advice(State::NoAnswer, &probed, &Observed::default());
        assert_eq!(what, "nothing comes back");
        let of_probe = of_probe.expect("a remedy");
        assert!(
            of_probe
                .contains("ip route get 203.0.113.2 oif eth0; on srvb: rewrite ping --network ib"),
            "{of_probe}"
        );
        for (observed, place) in [
            (Observed::default(), "on srvb: rewrite ping"),
            (Observed { arrived: 3, ..Observed::default() }, "on srvb: nft list ruleset"),
            (failed(Some([192, 0, 2, 1])), "ip route get 203.0.113.2"),
        ] {
            let remedy = remedy(State::NoAnswer, &observed);
            assert!(remedy.contains(place), "{remedy}");
        }
    }

    #[test]
    fn each_fault_has_a_remedy_and_a_good_path_has_none() {
        let facts = facts(None);
        for state in State::ALL {
            let (what, remedy) = advice(state, &facts, &Observed::default());
            assert!(!what.is_empty(), "{state}");
            assert_eq!(remedy.is_none(), state.is_ok(), "{state}: {remedy:?}");
            assert!(remedy.is_none_or(|remedy| !remedy.is_empty()), "{state}");
        }
    }
}
