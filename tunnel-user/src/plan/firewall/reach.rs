//! Follows a packet through the chains of a firewall.

use std::collections::BTreeSet;

use super::{Action, Chain, Rule};

/// The fate of a packet that no narrower rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Accepts,
    Drops,
}

/// The rules that a packet on the interface can reach, in their order.
pub(super) struct Reached<'a> {
    pub rules: Vec<&'a Rule>,
    /// The fate of every packet that no narrower rule matches; `None` if the chain's policy decides.
    pub end: Option<End>,
}

/// The rules that packets on `interface` can reach, in `chain` and in the chains of the same table that it jumps to.
pub(super) fn reachable<'a>(chain: &'a Chain, chains: &'a [Chain], interface: &str) -> Reached<'a> {
    let mut reached = Reached { rules: Vec::new(), end: None };
    follow(chain, chains, interface, &mut BTreeSet::new(), &mut reached.rules, &mut reached.end);
    reached
}

/// Adds the rules of one chain. A rule that matches every packet on the interface decides `end`, and so does a chain
/// that every packet jumps to.
fn follow<'a>(
    chain: &'a Chain,
    chains: &'a [Chain],
    interface: &str,
    seen: &mut BTreeSet<&'a str>,
    rules: &mut Vec<&'a Rule>,
    end: &mut Option<End>,
) {
    if !seen.insert(&chain.name) {
        return;
    }
    for rule in chain.rules.iter().filter(|rule| rule.applies_on(interface)) {
        rules.push(rule);
        let decides = rule.matches_all_on(interface);
        match &rule.action {
            Action::Jump(target) => {
                let is_target = |other: &&Chain| {
                    (other.tool, &other.table, &other.name) == (chain.tool, &chain.table, target)
                };
                let Some(target) = chains.iter().find(is_target) else { continue };
                let mut inner = None;
                follow(target, chains, interface, seen, rules, &mut inner);
                if decides && inner.is_some() {
                    *end = inner;
                    return;
                }
            }
            Action::Accept if decides => {
                *end = Some(End::Accepts);
                return;
            }
            Action::Drop if decides => {
                *end = Some(End::Drops);
                return;
            }
            _ => {}
        }
    }
}
