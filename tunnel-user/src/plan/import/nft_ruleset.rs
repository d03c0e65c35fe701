//! Reads the rules of the trick in the output of `nft --json list ruleset` (libnftables-json(5)).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::trick::{Addresses, Location, TrickRule, read};
use super::{Finding, Found};

/// The statements that change nothing about a packet's addresses.
const NEUTRAL: [&str; 3] = ["counter", "notrack", "accept"];

/// The members that the ruleset is about. Names each rule with a translation that is no rule of the trick. Empty for a
/// value that is not the output of nft.
#[must_use]
pub fn found(ruleset: &Value) -> Found {
    let objects = || ruleset["nftables"].as_array().into_iter().flatten();
    let hooks: BTreeMap<_, _> = objects()
        .filter_map(|object| {
            let chain = object.get("chain")?;
            Some((chain_of(chain, "name")?, chain["hook"].as_str()?))
        })
        .collect();
    let (mut rules, mut findings) = (Vec::new(), Vec::new());
    for rule in objects().filter_map(|object| object.get("rule")) {
        let Some((table, chain)) = chain_of(rule, "chain") else { continue };
        let expressions = rule["expr"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !expressions.iter().any(translates) {
            continue;
        }
        let handle = rule["handle"].as_u64().unwrap_or_default();
        let place = format!("nft {table} {chain} handle {handle}");
        let hook = hooks.get(&(table.clone(), chain.clone())).copied().unwrap_or_default();
        match parts(expressions).and_then(|parts| Ok((parts.addresses(hook)?, parts.statements))) {
            Ok((addresses, statements)) => {
                let statements = statements.join(" ");
                let location = Location::Nft { table, chain, handle, statements };
                rules.push(TrickRule { addresses, place, location });
            }
            Err(why) => {
                let text = Value::from(expressions.to_vec()).to_string();
                findings.push(Finding::not_understood(place, text, why));
            }
        }
    }
    let mut found = read(rules);
    found.findings.extend(findings);
    found
}

/// The table, with its family, and the chain of an object.
fn chain_of(object: &Value, key: &str) -> Option<(String, String)> {
    let (family, table) = (object["family"].as_str()?, object["table"].as_str()?);
    Some((format!("{family} {table}"), object[key].as_str()?.to_owned()))
}

/// True for a statement that changes an address.
fn translates(statement: &Value) -> bool {
    let kinds = ["dnat", "snat", "masquerade", "redirect"];
    let is_address =
        |key: &Value| matches!(key["payload"]["field"].as_str(), Some("saddr" | "daddr"));
    kinds.iter().any(|kind| statement.get(kind).is_some())
        || statement.get("mangle").is_some_and(|mangle| is_address(&mangle["key"]))
}

/// The conditions and the translations of a rule.
#[derive(Default)]
struct Parts {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    snat: Option<IpAddr>,
    dnat: Option<IpAddr>,
    new_source: Option<IpAddr>,
    new_destination: Option<IpAddr>,
    statements: Vec<String>,
}

impl Parts {
    /// The addresses of a rule of the trick in a chain of this hook, or the reason why the rule is none.
    fn addresses(&self, hook: &str) -> Result<Addresses, String> {
        let Self { source, destination, snat, dnat, new_source, new_destination, .. } = *self;
        let stateful = (hook, source, destination, snat, dnat);
        let stateless = (hook, source, destination, new_source, new_destination);
        match (stateful, stateless) {
            (("output", None, Some(peer_private), None, Some(peer_public)), (.., None, None)) => {
                Ok(Addresses::Output { peer_private, peer_public })
            }
            (
                ("prerouting", Some(peer_public), None, None, Some(own_private)),
                (.., None, None),
            ) => Ok(Addresses::Prerouting { peer_public, own_private }),
            (("input", Some(peer_public), None, Some(peer_private), None), (.., None, None)) => {
                Ok(Addresses::Input { peer_public, peer_private })
            }
            (
                ("postrouting", Some(own_private), Some(peer_public), Some(own_public), None),
                (.., None, None),
            ) => Ok(Addresses::Postrouting { own_private, peer_public, own_public }),
            (
                (.., None, None),
                (
                    "output" | "postrouting",
                    Some(own_private),
                    Some(peer_private),
                    Some(own_public),
                    Some(peer_public),
                ),
            ) => Ok(Addresses::Leaving { own_private, own_public, peer_private, peer_public }),
            (
                (.., None, None),
                (
                    "prerouting",
                    Some(peer_public),
                    Some(own_public),
                    Some(peer_private),
                    Some(own_private),
                ),
            ) => Ok(Addresses::Arriving { own_private, own_public, peer_private, peer_public }),
            _ => {
                Err(format!("a translation with these addresses at {hook} is no rule of the trick"))
            }
        }
    }
}

fn parts(expressions: &[Value]) -> Result<Parts, String> {
    let mut parts = Parts::default();
    for expression in expressions {
        let Some((name, value)) = expression.as_object().and_then(|object| object.iter().next())
        else {
            continue;
        };
        let statement = match &name[..] {
            "match" => {
                let (family, field) = header_field(&value["left"])?;
                if value["op"] != "==" {
                    return Err(format!("it matches all but some packets: {}", value["op"]));
                }
                let address = address(&value["right"])?;
                *if field == "saddr" { &mut parts.source } else { &mut parts.destination } =
                    Some(address);
                format!("{family} {field} {address}")
            }
            "mangle" => {
                let (family, field) = header_field(&value["key"])?;
                let address = address(&value["value"])?;
                let is_source = field == "saddr";
                *if is_source { &mut parts.new_source } else { &mut parts.new_destination } =
                    Some(address);
                format!("{family} {field} set {address}")
            }
            "dnat" | "snat" => {
                if value.get("port").is_some() || value.get("flags").is_some() {
                    return Err(format!("{name} with a port or flags is no part of the trick"));
                }
                let address = address(&value["addr"])?;
                *if name == "snat" { &mut parts.snat } else { &mut parts.dnat } = Some(address);
                let family = value["family"].as_str().map_or(String::new(), |f| format!(" {f}"));
                format!("{name}{family} to {address}")
            }
            name if NEUTRAL.contains(&name) => name.to_owned(),
            name => return Err(format!("the statement {name} is no part of the trick")),
        };
        parts.statements.push(statement);
    }
    Ok(parts)
}

/// The family and the name of an address field.
fn header_field(value: &Value) -> Result<(&str, &str), String> {
    let payload = &value["payload"];
    match (payload["protocol"].as_str(), payload["field"].as_str()) {
        (Some(family @ ("ip" | "ip6")), Some(field @ ("saddr" | "daddr"))) => Ok((family, field)),
        _ => Err(format!("it matches only a part of the packets: {value}")),
    }
}

fn address(value: &Value) -> Result<IpAddr, String> {
    let address = value.as_str().and_then(|text| text.parse().ok());
    address.ok_or_else(|| format!("{value} is not the address of one host"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::FindingKind;
    use super::*;

    fn chain(table: &str, name: &str, hook: &str) -> Value {
        json!({"chain": {"family": "ip", "table": table, "name": name, "hook": hook}})
    }

    fn rule(table: &str, chain: &str, handle: u64, expr: Value) -> Value {
        json!({"rule": {"family": "ip", "table": table, "chain": chain, "handle": handle, "expr": expr}})
    }

    fn is(field: &str, address: &str) -> Value {
        let left = json!({"payload": {"protocol": "ip", "field": field}});
        json!({"match": {"op": "==", "left": left, "right": address}})
    }

    fn set(field: &str, address: &str) -> Value {
        json!({"mangle": {"key": {"payload": {"protocol": "ip", "field": field}}, "value": address}})
    }

    fn stateful() -> Vec<Value> {
        let [mine, peers] = ["198.51.100.2", "203.0.113.2"];
        vec![
            chain("nat", "o", "output"),
            chain("nat", "p", "prerouting"),
            chain("nat", "i", "input"),
            chain("nat", "q", "postrouting"),
            rule("nat", "o", 1, json!([is("daddr", "10.0.0.2"), {"dnat": {"addr": peers}}])),
            rule("nat", "p", 2, json!([is("saddr", peers), {"dnat": {"addr": "10.0.0.1"}}])),
            rule("nat", "i", 3, json!([is("saddr", peers), {"snat": {"addr": "10.0.0.2"}}])),
            rule(
                "nat",
                "q",
                4,
                json!([is("saddr", "10.0.0.1"), is("daddr", peers),
                {"counter": {"packets": 3, "bytes": 180}}, {"snat": {"addr": mine}}]),
            ),
        ]
    }

    fn of(objects: Vec<Value>) -> Found {
        found(&json!({"nftables": objects}))
    }

    fn hosts(found: &Found) -> Vec<String> {
        let public = |public: Option<IpAddr>| public.map(|a| a.to_string()).unwrap_or_default();
        let hosts = found.hosts.iter();
        hosts
            .map(|host| format!("{} {} {}", host.is_self, host.private, public(host.public)))
            .collect()
    }

    #[test]
    fn four_stateful_rules_are_a_peer_and_this_host() {
        let found = of(stateful());
        assert_eq!(found.findings, []);
        let hosts = hosts(&found);
        assert!(hosts.contains(&"false 10.0.0.2 203.0.113.2".into()), "{hosts:?}");
        assert!(hosts.contains(&"true 10.0.0.1 198.51.100.2".into()), "{hosts:?}");
        let Location::Nft { statements, .. } = &found.rules[3].location else { panic!() };
        assert_eq!(
            statements,
            "ip saddr 10.0.0.1 ip daddr 203.0.113.2 counter snat to 198.51.100.2"
        );
    }

    #[test]
    fn two_stateless_rules_are_a_peer_and_this_host() {
        let leaving = json!([is("saddr", "10.0.0.1"), is("daddr", "10.0.0.2"), {"notrack": null},
            set("saddr", "198.51.100.2"), set("daddr", "203.0.113.2")]);
        let arriving = json!([is("saddr", "203.0.113.2"), is("daddr", "198.51.100.2"),
            {"notrack": null}, set("saddr", "10.0.0.2"), set("daddr", "10.0.0.1")]);
        let chains = [chain("s", "o", "output"), chain("s", "p", "prerouting")];
        let rules = [rule("s", "o", 3, leaving), rule("s", "p", 4, arriving)];
        let whole = of([&chains[..], &rules].concat());
        assert_eq!(whole.findings, []);
        let read = hosts(&whole);
        assert_eq!(read, ["false 10.0.0.2 203.0.113.2", "true 10.0.0.1 198.51.100.2"]);
        let half = of([&chains[..], &rules[..1]].concat());
        assert_eq!(half.findings[0].kind, FindingKind::Incomplete);
        assert_eq!(
            half.findings[0].why,
            "1 of 2 rules are there, and the rule arriving is missing"
        );
    }

    #[test]
    fn another_translation_is_named_with_its_handle() {
        let set = json!({"set": ["10.0.0.7", "10.0.0.8"]});
        let mut to_set = is("daddr", "");
        to_set["match"]["right"] = set;
        for (expression, why) in [
            (json!([{"masquerade": null}]), "the statement masquerade"),
            (json!([to_set, {"dnat": {"addr": "1.2.3.4"}}]), "not the address of one host"),
            (json!([is("daddr", "10.0.0.7"), {"dnat": {"addr": "1.2.3.4", "port": 8}}]), "port"),
            (
                json!([is("saddr", "10.0.0.7"), {"dnat": {"addr": "1.2.3.4"}}]),
                "at output is no rule",
            ),
            (
                json!([{"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "eth0"}},
                {"snat": {"addr": "1.2.3.4"}}]),
                "only a part",
            ),
        ] {
            let mut objects = stateful();
            objects.push(rule("nat", "o", 9, expression));
            let found = of(objects);
            let [finding] = &found.findings[..] else { panic!("{why}: {:?}", found.findings) };
            assert_eq!(finding.kind, FindingKind::NotUnderstood);
            assert_eq!(finding.place, "nft ip nat o handle 9");
            assert!(finding.why.contains(why), "{}", finding.why);
        }
    }

    #[test]
    fn a_filter_rule_is_no_translation() {
        let mut objects = stateful();
        objects.push(rule("nat", "o", 9, json!([is("saddr", "1.2.3.4"), {"drop": null}])));
        assert_eq!(of(objects).findings, []);
        assert_eq!(found(&json!("x")), Found::default());
    }
}
