//! The commands that exempt rewritten packets from the rules of the trick, remove the rules, and add them again. Each
//! command is one transaction of iptables or nft.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::trick::{Addresses, Location, TrickRule};
use crate::model::text::list;

/// The table of nft for the exemptions.
const TABLE: &str = "inet rewrite_import";

/// The packets of an exemption, which have a peer's private address in the chains of netfilter: rewrite replaces the
/// addresses of arriving packets before these chains, and the addresses of leaving packets behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exempted {
    Arriving,
    Leaving,
}

/// The rules by the tool that they belong to: a program of iptables, or `None` for nft.
fn by_tool<'a>(rules: &[&'a TrickRule]) -> BTreeMap<Option<&'a str>, Vec<&'a TrickRule>> {
    let mut tools: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for rule in rules {
        let tool = match &rule.location {
            Location::Iptables { program, .. } => Some(&program[..]),
            Location::Nft { .. } => None,
        };
        tools.entry(tool).or_default().push(*rule);
    }
    tools
}

/// Exempts packets of the peers from connection tracking, and so from its translations. Rules without connection
/// tracking need no exemption.
pub(super) fn exempt(rules: &[&TrickRule], exempted: Exempted) -> Vec<String> {
    let tracked: Vec<_> = rules.iter().filter(|r| !r.addresses.is_stateless()).copied().collect();
    let tools = by_tool(&tracked).into_iter();
    let command = |(tool, rules): (Option<&str>, Vec<&TrickRule>)| match tool {
        Some(program) => restore(program, "raw", &raw_rules(&rules, exempted, "-I")),
        None => nft(&nft_chain(&rules, exempted)),
    };
    tools.map(command).collect()
}

/// Ends the exemption of packets. The exemption of arriving packets is the last one to end.
pub(super) fn end_exemption(rules: &[&TrickRule], exempted: Exempted) -> Vec<String> {
    let tracked: Vec<_> = rules.iter().filter(|r| !r.addresses.is_stateless()).copied().collect();
    let tools = by_tool(&tracked).into_iter();
    let (chain, ..) = chain(exempted);
    let ended = match exempted {
        Exempted::Arriving => vec![format!("delete table {TABLE}")],
        Exempted::Leaving => {
            vec![format!("flush chain {TABLE} {chain}"), format!("delete chain {TABLE} {chain}")]
        }
    };
    let command = |(tool, rules): (Option<&str>, Vec<&TrickRule>)| match tool {
        Some(program) => restore(program, "raw", &raw_rules(&rules, exempted, "-D")),
        None => nft(&ended),
    };
    tools.map(command).collect()
}

/// Removes the rules that `chosen` selects.
pub(super) fn remove(rules: &[&TrickRule], chosen: fn(&Addresses) -> bool) -> Vec<String> {
    change(rules, chosen, "-D", |table, chain, handle, _| {
        format!("delete rule {table} {chain} handle {handle}")
    })
}

/// Adds the rules that `chosen` selects.
pub(super) fn add(rules: &[&TrickRule], chosen: fn(&Addresses) -> bool) -> Vec<String> {
    change(rules, chosen, "-A", |table, chain, _, statements| {
        format!("add rule {table} {chain} {statements}")
    })
}

fn change(
    rules: &[&TrickRule],
    chosen: fn(&Addresses) -> bool,
    sign: &str,
    of_nft: fn(&str, &str, u64, &str) -> String,
) -> Vec<String> {
    let rules: Vec<_> = rules.iter().filter(|rule| chosen(&rule.addresses)).copied().collect();
    let line = |rule: &TrickRule| match &rule.location {
        Location::Iptables { specification, .. } => format!("{sign} {specification}"),
        Location::Nft { table, chain, handle, statements } => {
            of_nft(table, chain, *handle, statements)
        }
    };
    let tools = by_tool(&rules).into_iter();
    let command = |(tool, rules): (Option<&str>, Vec<&TrickRule>)| {
        let lines: Vec<_> = rules.into_iter().map(line).collect();
        tool.map_or_else(|| nft(&lines), |program| restore(program, "nat", &lines))
    };
    tools.map(command).collect()
}

fn peers(rules: &[&TrickRule]) -> BTreeSet<IpAddr> {
    rules.iter().filter_map(|rule| rule.addresses.peer_private()).collect()
}

fn raw_rules(rules: &[&TrickRule], exempted: Exempted, sign: &str) -> Vec<String> {
    let (chain, option) = match exempted {
        Exempted::Arriving => ("PREROUTING", "-s"),
        Exempted::Leaving => ("OUTPUT", "-d"),
    };
    let rule = |peer| format!("{sign} {chain} {option} {peer} -j NOTRACK");
    peers(rules).into_iter().map(rule).collect()
}

/// The names of the chain, of its hook, and of the address field.
const fn chain(exempted: Exempted) -> (&'static str, &'static str, &'static str) {
    match exempted {
        Exempted::Arriving => ("arriving", "prerouting", "saddr"),
        Exempted::Leaving => ("leaving", "output", "daddr"),
    }
}

fn nft_chain(rules: &[&TrickRule], exempted: Exempted) -> Vec<String> {
    let (chain, hook, field) = chain(exempted);
    let hook = format!("{{ type filter hook {hook} priority raw; policy accept; }}");
    let mut lines = vec![format!("add table {TABLE}"), format!("add chain {TABLE} {chain} {hook}")];
    let (v4, v6): (Vec<_>, Vec<_>) = peers(rules).into_iter().partition(IpAddr::is_ipv4);
    for (family, peers) in [("ip", v4), ("ip6", v6)] {
        if !peers.is_empty() {
            let peers = list(peers);
            lines.push(format!("add rule {TABLE} {chain} {family} {field} {{ {peers} }} notrack"));
        }
    }
    lines
}

fn restore(program: &str, table: &str, lines: &[String]) -> String {
    let lines = lines.join("\n");
    format!("{program}-restore -w --noflush <<'END'\n*{table}\n{lines}\nCOMMIT\nEND")
}

fn nft(lines: &[String]) -> String {
    format!("nft -f - <<'END'\n{}\nEND", lines.join("\n"))
}
