//! Tests the search for harmful rules with the output of nft 1.0.6 and iptables 1.8.9.

use serde_json::{Value, json};

use super::{MemberAddresses, Problem, iptables, nft, problems};
use crate::plan::fault::Fault;

fn member(name: &str, private: &str, public: &str) -> MemberAddresses {
    let [private, public] = [private, public].map(|text| text.parse().unwrap());
    MemberAddresses { name: name.into(), private, public }
}

fn own() -> MemberAddresses {
    member("srva", "10.0.0.1", "198.51.100.2")
}

fn srvb() -> MemberAddresses {
    member("srvb", "10.0.0.2", "203.0.113.2")
}

/// The ruleset of a table `inet firewall` with a base chain at `hook`.
fn ruleset(hook: &str, policy: &str, rules: &[Value]) -> Value {
    let chain = json!({"chain": {"family": "inet", "table": "firewall", "name": hook, "handle": 2,
        "type": "filter", "hook": hook, "prio": 0, "policy": policy}});
    let rules = (7..).zip(rules).map(|(handle, expressions)| {
        json!({"rule": {"family": "inet", "table": "firewall", "chain": hook, "handle": handle,
            "expr": expressions}})
    });
    let metainfo = json!({"metainfo": {"version": "1.0.6", "json_schema_version": 1}});
    let objects: Vec<_> = [metainfo, chain].into_iter().chain(rules).collect();
    json!({ "nftables": objects })
}

fn from(address: &Value) -> Value {
    let field = json!({"payload": {"protocol": "ip", "field": "saddr"}});
    json!({"match": {"op": "==", "left": field, "right": address}})
}

fn found(ruleset: &Value, peers: &[MemberAddresses]) -> Vec<(Fault, String)> {
    let problems = problems(&nft::chains(ruleset), "eth0", &[own()], peers);
    problems.into_iter().map(|problem| (problem.fault, problem.remedy)).collect()
}

#[test]
fn a_policy_that_drops_is_found_until_a_rule_accepts_each_peer() {
    let srvc = member("srvc", "10.0.0.3", "203.0.113.3");
    let peers = [srvb(), srvc];
    let established = json!([
        {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
        {"accept": null}
    ]);
    let remedy = |peer: &str| {
        let what = format!("nft insert rule inet firewall input ip saddr {peer} accept");
        vec![(Fault::FirewallPolicy, format!("{what}, and so on for each peer"))]
    };
    let open = ruleset("input", "drop", std::slice::from_ref(&established));
    assert_eq!(found(&open, &peers), remedy("10.0.0.2"));
    for both in [
        json!({"set": ["10.0.0.2", "10.0.0.3"]}),
        json!({"prefix": {"addr": "10.0.0.0", "len": 24}}),
        json!({"range": ["10.0.0.2", "10.0.0.6"]}),
    ] {
        let rules = [established.clone(), json!([from(&both), {"accept": null}])];
        assert_eq!(found(&ruleset("input", "drop", &rules), &peers), [], "{both}");
    }
    let one = json!([from(&json!("10.0.0.2")), {"accept": null}]);
    assert_eq!(found(&ruleset("input", "drop", &[one]), &peers), remedy("10.0.0.3"));
    assert_eq!(found(&ruleset("input", "accept", &[established]), &peers), []);
}

#[test]
fn a_table_of_one_family_drops_its_packets_alone() {
    let of_table = |family: &str| {
        let text =
            ruleset("input", "drop", &[]).to_string().replace("\"inet\"", &format!("\"{family}\""));
        let six = member("srvb", "fd00::2", "2001:db8:b::2");
        let found = found(&serde_json::from_str(&text).unwrap(), &[srvb(), six]);
        found.into_iter().map(|(_, remedy)| remedy).collect::<String>()
    };
    assert!(of_table("ip").starts_with("nft insert rule ip firewall input ip saddr 10.0.0.2"));
    assert!(of_table("ip6").starts_with("nft insert rule ip6 firewall input ip6 saddr fd00::2"));
    assert_eq!(of_table("bridge"), "");
}

#[test]
fn packets_that_leave_are_accepted_by_their_destination() {
    let (_, remedy) = found(&ruleset("output", "drop", &[]), &[srvb()]).remove(0);
    assert!(remedy.starts_with("nft insert rule inet firewall output ip daddr 10.0.0.2 accept"));
    assert_eq!(found(&ruleset("forward", "drop", &[]), &[srvb()]), []);
}

#[test]
fn the_elements_of_sets_and_the_rules_of_other_chains_count() {
    let mut ruleset = ruleset(
        "input",
        "drop",
        &[
            json!([from(&json!("@members")), {"accept": null}]),
            json!([{"jump": {"target": "more"}}]),
        ],
    );
    let objects = ruleset["nftables"].as_array_mut().unwrap();
    objects.push(json!({"set": {"family": "inet", "name": "members", "table": "firewall",
        "type": "ipv4_addr", "elem": ["10.0.0.2", {"prefix": {"addr": "10.0.1.0", "len": 24}}]}}));
    objects.push(
        json!({"chain": {"family": "inet", "table": "firewall", "name": "more", "handle": 1}}),
    );
    objects.push(json!({"rule": {"family": "inet", "table": "firewall", "chain": "more", "handle": 9,
        "expr": [from(&json!("10.0.0.9")), {"reject": {"type": "icmp", "expr": "port-unreachable"}}]}}));
    let srvd = member("srvd", "10.0.1.4", "203.0.113.4");
    assert_eq!(found(&ruleset, &[srvb(), srvd]), []);
    let unknown = member("srve", "10.0.2.5", "203.0.113.5");
    assert_eq!(found(&ruleset, &[unknown])[0].0, Fault::FirewallPolicy);
    let dropped = member("srvx", "10.0.0.9", "203.0.113.9");
    let rule = (Fault::FirewallRule, "nft delete rule inet firewall more handle 9".to_owned());
    assert_eq!(found(&ruleset, &[dropped])[0], rule);
}

#[test]
fn each_element_of_a_verdict_map_is_a_rule() {
    let map = json!([{"vmap": {"key": {"payload": {"protocol": "ip", "field": "saddr"}},
        "data": {"set": [["10.0.0.8", {"accept": null}], ["10.0.0.2", {"drop": null}]]}}}]);
    let rule = (Fault::FirewallRule, "nft delete rule inet firewall input handle 7".to_owned());
    assert_eq!(found(&ruleset("input", "accept", &[map]), &[srvb()]), [rule]);
}

#[test]
fn a_rule_with_the_public_address_matches_nothing() {
    let public = json!([from(&json!("203.0.113.2")), {"accept": null}]);
    let ruleset = ruleset("input", "drop", std::slice::from_ref(&public));
    let problems = problems(&nft::chains(&ruleset), "eth0", &[own()], &[srvb()]);
    let [Problem { fault: Fault::FirewallPublic, what, remedy }] = &problems[..] else {
        panic!("{problems:?}")
    };
    assert_eq!(
        what,
        "the chain input of nft's table inet firewall accepts 203.0.113.2 (srvb), and drops 10.0.0.2, \
         which its packets have"
    );
    assert!(remedy.starts_with("nft insert rule inet firewall input ip saddr 10.0.0.2 accept"));
    // A rule may name this host's own public address, like a rule for ssh from anywhere. No peer has that address.
    let own = json!([from(&json!("198.51.100.2")), {"accept": null}]);
    assert_eq!(found(&self::ruleset("input", "accept", &[own, public]), &[srvb()]), []);
}

fn on(interface: &Value, op: &str) -> Value {
    json!({"match": {"op": op, "left": {"meta": {"key": "iifname"}}, "right": interface}})
}

#[test]
fn rules_for_other_interfaces_do_not_count() {
    let drop = |interface: Value, op| json!([on(&interface, op), from(&json!("10.0.0.2")), {"drop": null}]);
    let found = |rule| found(&ruleset("prerouting", "accept", &[rule]), &[srvb()]).len();
    assert_eq!(found(drop(json!("eth1"), "==")), 0);
    assert_eq!(found(drop(json!({"set": ["lo", "eth0"]}), "!=")), 0);
    assert_eq!(found(drop(json!("eth*"), "==")), 1);
    assert_eq!(found(drop(json!("eth1"), "!=")), 1);
}

#[test]
fn a_rule_behind_one_that_takes_all_packets_of_the_interface_does_not_count() {
    // As in packaging/nftables/rewrite.nft.
    let rules = [
        json!([on(&json!({"set": ["lo", "eth0"]}), "=="), {"accept": null}]),
        json!([from(&json!({"prefix": {"addr": "10.0.0.0", "len": 24}})), {"counter": null}, {"drop": null}]),
    ];
    assert_eq!(found(&ruleset("prerouting", "accept", &rules), &[srvb()]), []);
    assert_eq!(found(&ruleset("input", "drop", &rules), &[srvb()]), []);
}

#[test]
fn a_last_rule_that_drops_everything_is_a_policy() {
    let rules = [json!([{"counter": null}, {"drop": null}])];
    let faults = found(&ruleset("input", "accept", &rules), &[srvb()]);
    assert_eq!(faults[0].0, Fault::FirewallPolicy);
    let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n";
    let chains = iptables::chains("iptables-legacy", text);
    let problems = problems(&chains, "eth0", &[own()], &[srvb()]);
    assert_eq!(problems[0].fault, Fault::FirewallPolicy);
}

#[test]
fn a_log_a_counter_and_a_jump_decide_nothing() {
    let rules = [
        json!([{"counter": {"packets": 0, "bytes": 0}}, {"log": {"prefix": "in "}}]),
        json!([{"jump": {"target": "nowhere"}}]),
    ];
    assert_eq!(found(&ruleset("input", "drop", &rules), &[srvb()])[0].0, Fault::FirewallPolicy);
}

#[test]
fn a_match_of_iptables_nft_and_a_limit_are_conditions() {
    let established = json!([{"xt": {"type": "match", "name": "conntrack"}}, {"accept": null}]);
    let limited = json!([{"limit": {"rate": 5, "per": "second"}}, {"accept": null}]);
    for rule in [established, limited] {
        assert_eq!(
            found(&ruleset("input", "drop", &[rule]), &[srvb()])[0].0,
            Fault::FirewallPolicy
        );
    }
    let comment = json!([{"xt": {"type": "match", "name": "comment"}}, {"accept": null}]);
    assert_eq!(found(&ruleset("input", "drop", &[comment]), &[srvb()]), []);
}

#[test]
fn a_last_rule_that_rejects_is_a_policy() {
    let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n\
                -A INPUT -m comment --comment end -j REJECT --reject-with icmp-port-unreachable\n";
    let chains = iptables::chains("iptables-legacy", text);
    assert_eq!(problems(&chains, "eth0", &[own()], &[srvb()])[0].fault, Fault::FirewallPolicy);
    let rule = json!([{"counter": null}, {"xt": {"type": "target", "name": "REJECT"}}]);
    assert_eq!(found(&ruleset("input", "accept", &[rule]), &[srvb()])[0].0, Fault::FirewallPolicy);
}

#[test]
fn a_chain_that_only_some_packets_jump_to_does_not_decide() {
    let port = json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}});
    let of = |condition: &[Value]| {
        let jump = [condition, &[json!({"jump": {"target": "more"}})]].concat();
        let mut ruleset = ruleset("input", "drop", &[json!(jump)]);
        let objects = ruleset["nftables"].as_array_mut().unwrap();
        objects.push(
            json!({"chain": {"family": "inet", "table": "firewall", "name": "more", "handle": 1}}),
        );
        objects.push(
            json!({"rule": {"family": "inet", "table": "firewall", "chain": "more", "handle": 9,
            "expr": [{"accept": null}]}}),
        );
        found(&ruleset, &[srvb()]).len()
    };
    assert_eq!((of(&[port]), of(&[])), (1, 0));
}

#[test]
fn a_port_forward_of_this_hosts_own_public_address_is_another_services() {
    let to_own = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
        "right": "198.51.100.2"}});
    let rule = json!([to_own, {"dnat": {"addr": "172.17.0.2"}}]);
    assert_eq!(found(&ruleset("prerouting", "accept", &[rule]), &[srvb()]), []);
}

#[test]
fn a_container_may_take_the_private_address() {
    let to = |target: &str| {
        let named = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
            "right": "10.0.0.2"}});
        found(
            &ruleset("postrouting", "accept", &[json!([named, {"snat": {"addr": target}}])]),
            &[srvb()],
        )
    };
    assert_eq!(to("10.0.0.1"), []);
    assert_eq!(to("198.51.100.2")[0].0, Fault::AddressTranslation);
}

#[test]
fn a_rule_for_all_other_addresses_names_none() {
    let field = json!({"payload": {"protocol": "ip", "field": "saddr"}});
    let others =
        json!([{"match": {"op": "!=", "left": field, "right": "10.0.0.2"}}, {"drop": null}]);
    assert_eq!(found(&ruleset("input", "accept", &[others]), &[srvb()]), []);
}

/// The output of `iptables-legacy-save` with the four rules of the usual alternative to `rewrite`.
const TRICK: &str = "\
# Generated by iptables-save v1.8.9 on Mon Nov 30 05:41:15 2026
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT ! -s 10.0.0.2/32 -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A OUTPUT -d 10.0.0.2/32 -j DNAT --to-destination 203.0.113.2
-A PREROUTING -s 203.0.113.2/32 -j DNAT --to-destination 10.0.0.1
-A POSTROUTING -s 192.168.0.0/16 -j MASQUERADE
COMMIT
";

#[test]
fn the_rules_of_iptables_are_found_with_the_commands_that_remove_them() {
    let chains = iptables::chains("iptables-legacy", TRICK);
    let problems = problems(&chains, "eth0", &[own()], &[srvb()]);
    let said: Vec<_> =
        problems.iter().map(|Problem { fault, remedy, .. }| (*fault, &remedy[..])).collect();
    let policy =
        "iptables-legacy -t filter -I INPUT -s 10.0.0.2 -j ACCEPT, and so on for each peer";
    assert_eq!(
        said,
        [
            (Fault::FirewallPolicy, policy),
            (
                Fault::AddressTranslation,
                "iptables-legacy -t nat -D PREROUTING -s 203.0.113.2/32 -j DNAT --to-destination 10.0.0.1"
            ),
            (
                Fault::AddressTranslation,
                "iptables-legacy -t nat -D OUTPUT -d 10.0.0.2/32 -j DNAT --to-destination 203.0.113.2"
            ),
        ]
    );
}

#[test]
fn iptables_nft_is_read_through_nft() {
    let translated = json!([from(&json!("10.0.0.2")), {"counter": {"packets": 0, "bytes": 0}},
        {"xt": {"type": "target", "name": "DNAT"}}]);
    let faults = found(&ruleset("output", "accept", &[translated]), &[srvb()]);
    assert_eq!(faults[0].0, Fault::AddressTranslation);
}

#[test]
fn an_output_that_is_not_nfts_has_no_chains() {
    assert_eq!(nft::chains(&json!({"nftables": {"chain": 7}})), []);
    assert_eq!(nft::chains(&Value::Null), []);
    let chains = iptables::chains("iptables-legacy", "-A INPUT -j\n*\n: DROP\n");
    assert_eq!(problems(&chains, "eth0", &[own()], &[srvb()]), []);
}
