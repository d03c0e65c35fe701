//! Reads the output of `nft --json list ruleset` (libnftables-json(5)). Skips everything that it does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Action, AddressRange, Chain, Hook, Rule, Tool, iptables};

/// The elements of the named sets, by table and name.
type Sets<'a> = BTreeMap<(String, &'a str), &'a Value>;

/// The chains of the ruleset. An output that is not nft's has none.
#[must_use]
pub fn chains(ruleset: &Value) -> Vec<Chain> {
    let objects = || ruleset["nftables"].as_array().into_iter().flatten();
    let mut chains: Vec<Chain> =
        objects().filter_map(|object| chain(object.get("chain")?)).collect();
    let sets: Sets<'_> = objects().filter_map(|object| set(object.get("set")?)).collect();
    for rule in objects().filter_map(|object| object.get("rule")) {
        let (table, chain) = (table(rule), rule["chain"].as_str());
        let is_its = |other: &&mut Chain| {
            Some(&other.table) == table.as_ref() && Some(&other.name[..]) == chain
        };
        if let Some(chain) = chains.iter_mut().find(is_its) {
            let handle = &rule["handle"];
            let removal = format!("nft delete rule {} {} handle {handle}", chain.table, chain.name);
            chain.rules.extend(parts(rule, &chain.table, &sets).map(|(addresses, action)| Rule {
                addresses,
                action,
                removal: removal.clone(),
            }));
        }
    }
    chains
}

/// The table of an object, with its family.
fn table(object: &Value) -> Option<String> {
    Some(format!("{} {}", object["family"].as_str()?, object["table"].as_str()?))
}

fn chain(chain: &Value) -> Option<Chain> {
    Some(Chain {
        tool: Tool::Nft,
        table: table(chain)?,
        name: chain["name"].as_str()?.to_owned(),
        hook: chain["hook"].as_str().and_then(Hook::named),
        drops: chain["policy"] == "drop",
        rules: Vec::new(),
    })
}

fn set(set: &Value) -> Option<((String, &str), &Value)> {
    Some(((table(set)?, set["name"].as_str()?), set.get("elem")?))
}

/// The addresses and the action of a rule. A verdict map makes one part for each of its elements.
fn parts<'a>(
    rule: &'a Value,
    table: &'a str,
    sets: &'a Sets<'a>,
) -> impl Iterator<Item = (Vec<AddressRange>, Action)> + 'a {
    let expressions = || rule["expr"].as_array().into_iter().flatten();
    let mut named = Vec::new();
    for expression in expressions() {
        let matching = &expression["match"];
        if matching["op"] != "!=" {
            addresses(&matching["right"], table, sets, &mut named);
        }
        for translation in ["dnat", "snat"] {
            addresses(&expression[translation]["addr"], table, sets, &mut named);
        }
    }
    let own = expressions().filter_map(verdict).next_back().unwrap_or(Action::Other);
    let elements =
        expressions().filter_map(|expression| expression["vmap"]["data"]["set"].as_array());
    let mapped = elements.flatten().filter_map(move |element| {
        let mut key = Vec::new();
        addresses(&element[0], table, sets, &mut key);
        Some((key, verdict(&element[1])?))
    });
    std::iter::once((named, own)).chain(mapped)
}

/// The action of a statement; `None` for a statement that does not end the rule.
fn verdict(statement: &Value) -> Option<Action> {
    let object = statement.as_object()?;
    let target = |name: &str| object.get(name)?["target"].as_str().map(str::to_owned);
    if let Some(target) = target("jump").or_else(|| target("goto")) {
        return Some(Action::Jump(target));
    }
    // iptables-nft writes the targets of iptables.
    if let Some(name) = object.get("xt").and_then(|xt| xt["name"].as_str()) {
        return iptables::target(name).filter(|action| *action == Action::Translate);
    }
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    match object {
        _ if has(&["accept"]) => Some(Action::Accept),
        _ if has(&["drop", "reject"]) => Some(Action::Drop),
        _ if has(&["dnat", "snat", "masquerade", "redirect"]) => Some(Action::Translate),
        _ => None,
    }
}

/// Adds the addresses in the right side of a comparison.
fn addresses(value: &Value, table: &str, sets: &Sets<'_>, found: &mut Vec<AddressRange>) {
    match value {
        Value::String(text) => match text.strip_prefix('@') {
            // A set's elements name no sets, so that this ends.
            Some(name) => {
                if let Some(elements) = sets.get(&(table.to_owned(), name)) {
                    addresses(elements, table, &Sets::new(), found);
                }
            }
            None => found.extend(text.parse().ok().map(AddressRange::single)),
        },
        Value::Array(items) => {
            items.iter().for_each(|item| addresses(item, table, sets, found));
        }
        Value::Object(object) => {
            found.extend(object.get("prefix").and_then(prefix));
            found.extend(object.get("range").and_then(range));
            for name in ["set", "elem", "val", "concat"] {
                if let Some(inner) = object.get(name) {
                    addresses(inner, table, sets, found);
                }
            }
        }
        _ => {}
    }
}

fn prefix(prefix: &Value) -> Option<AddressRange> {
    let length = prefix["len"].as_u64()?;
    AddressRange::of_prefix(prefix["addr"].as_str()?.parse().ok()?, length.try_into().ok()?)
}

fn range(range: &Value) -> Option<AddressRange> {
    let end = |index: usize| range[index].as_str()?.parse::<IpAddr>().ok();
    Some(AddressRange { first: end(0)?, last: end(1)? })
}
