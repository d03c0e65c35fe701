//! Reads the output of `nft --json list ruleset` (libnftables-json(5)). Skips everything that it does not know.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Action, AddressRange, Chain, Hook, InterfaceMatch, Rule, Tool, iptables};

/// The elements of the named sets, by table and name.
type Sets<'a> = BTreeMap<(String, &'a str), &'a Value>;

/// The chains of the ruleset. Empty for a value that is not the output of nft.
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
            let parts = parts(rule, &chain.table, &sets);
            chain
                .rules
                .extend(parts.into_iter().map(|part| Rule { removal: removal.clone(), ..part }));
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

/// The conditions and the action of a rule. A verdict map makes one rule for each of its elements.
fn parts(rule: &Value, table: &str, sets: &Sets<'_>) -> Vec<Rule> {
    let expressions = || rule["expr"].as_array().into_iter().flatten();
    let mut own = Rule {
        addresses: Vec::new(),
        interfaces: Vec::new(),
        is_narrow: false,
        action: Action::Other,
        removal: String::new(),
    };
    for expression in expressions() {
        match expression.get("match") {
            Some(matching) => condition(matching, table, sets, &mut own),
            None => {
                own.is_narrow |= is_condition(expression);
                own.action = verdict(expression, table, sets).unwrap_or(own.action);
            }
        }
    }
    let maps = expressions().filter_map(|expression| expression["vmap"]["data"]["set"].as_array());
    let mapped = maps.flatten().filter_map(|element| {
        let mut key = Vec::new();
        addresses(&element[0], table, sets, &mut key);
        let action = verdict(&element[1], table, sets)?;
        Some(Rule { addresses: key, is_narrow: true, action, ..own.clone() })
    });
    let mapped: Vec<_> = mapped.collect();
    std::iter::once(own).chain(mapped).collect()
}

/// True for a statement that not every packet passes: a limit, and a match of iptables-nft.
fn is_condition(statement: &Value) -> bool {
    let kinds = ["limit", "quota", "ct count", "meter", "set", "vmap"];
    let xt = &statement["xt"];
    let is_match = xt["type"] == "match" && xt["name"] != "comment";
    is_match || kinds.iter().any(|kind| statement.get(kind).is_some())
}

/// Adds a comparison to the conditions of `rule`.
fn condition(matching: &Value, table: &str, sets: &Sets<'_>, rule: &mut Rule) {
    let (left, right) = (&matching["left"], &matching["right"]);
    let is_negated = matching["op"] == "!=";
    let is_address = matches!(left["payload"]["field"].as_str(), Some("saddr" | "daddr"));
    let key = left["meta"]["key"].as_str();
    match key {
        Some("iif" | "iifname" | "oif" | "oifname") => {
            rule.interfaces.push(InterfaceMatch { names: names(right), is_negated });
        }
        _ if is_address && !is_negated => addresses(right, table, sets, &mut rule.addresses),
        _ => rule.is_narrow = true,
    }
}

/// The names in the right side of a comparison with interfaces.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::String(name) => vec![name.clone()],
        Value::Object(object) => object.get("set").map(names).unwrap_or_default(),
        Value::Array(items) => items.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

/// The action of a statement; `None` for a statement that does not end the rule.
fn verdict(statement: &Value, table: &str, sets: &Sets<'_>) -> Option<Action> {
    let object = statement.as_object()?;
    let target = |name: &str| object.get(name)?["target"].as_str().map(str::to_owned);
    if let Some(target) = target("jump").or_else(|| target("goto")) {
        return Some(Action::Jump(target));
    }
    // iptables-nft writes the targets of iptables.
    if let Some(name) = object.get("xt").and_then(|xt| xt["name"].as_str()) {
        let decides = |action: &Action| matches!(action, Action::Translate(_) | Action::Drop);
        return iptables::target(name).filter(decides);
    }
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    match object {
        _ if has(&["accept"]) => Some(Action::Accept),
        _ if has(&["drop", "reject"]) => Some(Action::Drop),
        _ if has(&["dnat", "snat", "masquerade", "redirect"]) => {
            let mut targets = Vec::new();
            for translation in ["dnat", "snat"] {
                addresses(&statement[translation]["addr"], table, sets, &mut targets);
            }
            Some(Action::Translate(targets))
        }
        _ => None,
    }
}

/// Adds the addresses in the right side of a comparison.
fn addresses(value: &Value, table: &str, sets: &Sets<'_>, found: &mut Vec<AddressRange>) {
    match value {
        Value::String(text) => match text.strip_prefix('@') {
            // The elements of a set name no other sets, so the recursion ends.
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
