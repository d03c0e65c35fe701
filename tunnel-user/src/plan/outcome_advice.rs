//! Explains the outcome of a packet, and names the remedy.

use std::net::IpAddr;

use tunnel_common::outcome::{Direction, Outcome, Reason};
use tunnel_common::peers::{ROLE_FORMER, ROLE_PRIVATE};

/// The name of a packet that the programs leave alone without a count.
pub const LEFT_ALONE: &str = "left-alone";
/// The name of a rewritten packet.
pub const REWRITTEN: &str = "rewritten";

/// The facts about a packet that its explanation names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The packet's direction.
    pub direction: Direction,
    /// The attached interface.
    pub interface: String,
    /// The packet's source address, before the program.
    pub source: IpAddr,
    /// The packet's destination address, before the program.
    pub destination: IpAddr,
    /// The entry that the program finds: the peer's name, and the key's role.
    pub entry: Option<(String, u8)>,
    /// The name of the peer that the program counted the packet for.
    pub counted: Option<String>,
    /// True if the program changed the packet.
    pub is_changed: bool,
    /// The private addresses of this host, as text.
    pub private: String,
    /// The underlay addresses of this host, as text.
    pub underlay: String,
}

/// The printed name of an outcome.
#[must_use]
pub const fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotOurs => LEFT_ALONE,
        Outcome::Rewritten { .. } => REWRITTEN,
        Outcome::NotRewritten(reason) => reason.name(),
    }
}

/// The outcome in words, and the remedy if the packet should have been rewritten.
#[must_use]
pub fn advice(outcome: Outcome, facts: &Facts) -> (String, Option<String>) {
    match outcome {
        Outcome::Rewritten { .. } => (rewritten(facts), None),
        Outcome::NotOurs => left_alone(facts),
        Outcome::NotRewritten(reason) => (reason.description().into(), remedy(reason, facts)),
    }
}

fn rewritten(facts: &Facts) -> String {
    let peer = facts.counted.as_deref().unwrap_or("a peer");
    match facts.direction {
        Direction::Egress => format!("the packet goes to {peer}"),
        Direction::Ingress => {
            format!("the packet comes from {peer}, or is an error about one to it")
        }
    }
}

fn left_alone(facts: &Facts) -> (String, Option<String>) {
    let Facts { direction, source, destination, .. } = facts;
    let list = || Some("rewrite peer list shows the addresses of the peers".to_owned());
    match (direction, &facts.entry) {
        (Direction::Egress, Some((name, role))) if *role != ROLE_PRIVATE => (
            format!(
                "{destination} is the public address of {name}: packets to it stay as they are"
            ),
            Some(format!("for the private connection, send to the private address of {name}")),
        ),
        (Direction::Egress, _) => {
            (format!("no peer has {destination}: the packet stays as it is"), list())
        }
        (Direction::Ingress, Some((name, _))) if facts.is_changed => (
            format!(
                "a move notice or path probe of {name}, which the program marks for the kernel's echo"
            ),
            None,
        ),
        (Direction::Ingress, Some((name, ROLE_FORMER))) => (
            format!("{source} is a former address of {name}, and the drain is over"),
            Some(format!(
                "rewrite attach on {name} with the present file, or rewrite peer list here"
            )),
        ),
        (Direction::Ingress, Some((name, _))) => {
            (format!("the packet of {name} stays as it is"), None)
        }
        (Direction::Ingress, None) => {
            (format!("no peer has {source}: the packet stays as it is"), list())
        }
    }
}

fn remedy(reason: Reason, facts: &Facts) -> Option<String> {
    let Facts { interface, source, destination, private, underlay, .. } = facts;
    let peer = facts.entry.as_ref().map_or("the peer", |(name, _)| name);
    Some(match reason {
        Reason::ForeignSource => format!(
            "send from {private}: bind the program to it; ip route get {destination} shows the source \
             of an unbound socket"
        ),
        Reason::ForeignDestination => format!(
            "{peer} has another public address for this host, whose underlay address is {underlay}: \
             compare the files (rewrite ping)"
        ),
        Reason::PublicFlow => format!("dial the private address of {peer}"),
        Reason::Direct => format!("rewrite peer set {peer} --direct false"),
        Reason::Bypass => {
            "rewrite status shows the bypass rules; rewrite peer set NAME --no-bypass \
                           removes those of a peer"
                .into()
        }
        Reason::Shadowed => {
            "give the host an address that no other member has (rewrite explain --all \
                             names the members)"
                .into()
        }
        Reason::Spoofed => format!(
            "only a forged packet has {source} here; a peer on the same network as {interface} may \
             send it if it is direct: rewrite peer set NAME --direct true"
        ),
        Reason::PrivateDestination => {
            format!("from outside, this host is reached at its public address; here: {underlay}")
        }
        Reason::StrayReset => format!("on {peer}: rewrite attach"),
        Reason::PortConflict => format!("dial {destination} from {private}, or from another port"),
        Reason::NeighborDiscovery
        | Reason::SourceRouted
        | Reason::TooManyHeaders
        | Reason::Contended
        | Reason::ProbeAnswered
        | Reason::Truncated
        | Reason::Malformed
        | Reason::MalformedQuote
        | Reason::WriteFailed => return reason.remedy().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use tunnel_common::peers::ROLE_PUBLIC;

    use super::*;

    fn facts(direction: Direction, entry: Option<(&str, u8)>) -> Facts {
        Facts {
            direction,
            interface: "eth0".into(),
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            entry: entry.map(|(name, role)| (name.to_owned(), role)),
            counted: Some("srvb".into()),
            is_changed: false,
            private: "10.0.0.1".into(),
            underlay: "198.51.100.2".into(),
        }
    }

    #[test]
    fn every_reason_is_explained_by_its_description() {
        let facts = facts(Direction::Egress, Some(("srvb", ROLE_PRIVATE)));
        for reason in Reason::ALL {
            let outcome = Outcome::NotRewritten(*reason);
            let (what, remedy) = advice(outcome, &facts);
            assert_eq!((what.as_str(), name(outcome)), (reason.description(), reason.name()));
            let is_harmless = matches!(reason, Reason::NeighborDiscovery | Reason::ProbeAnswered);
            assert_eq!(remedy.is_none(), is_harmless, "{reason:?}");
        }
    }

    #[test]
    fn a_packet_that_is_left_alone_is_explained_by_the_entry_of_its_address() {
        let said = |direction, entry| advice(Outcome::NotOurs, &facts(direction, entry)).0;
        assert!(said(Direction::Egress, None).contains("no peer has 10.0.0.2"));
        assert!(said(Direction::Ingress, None).contains("no peer has 10.0.0.1"));
        let public = said(Direction::Egress, Some(("srvb", ROLE_PUBLIC)));
        assert!(public.contains("the public address of srvb"), "{public}");
        let former = said(Direction::Ingress, Some(("srvb", ROLE_FORMER)));
        assert!(former.contains("the drain is over"), "{former}");
    }

    #[test]
    fn a_rewritten_packet_names_its_peer() {
        let (what, remedy) =
            advice(Outcome::Rewritten { slot: 0 }, &facts(Direction::Egress, None));
        assert_eq!((what.as_str(), remedy), ("the packet goes to srvb", None));
        assert_eq!(name(Outcome::Rewritten { slot: 0 }), "rewritten");
    }
}
