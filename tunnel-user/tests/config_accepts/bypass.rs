//! Tests the bypass rules of valid files.

use std::collections::BTreeSet;

use tunnel_user::model::{BypassProtocol, BypassRule};

use super::{EXAMPLE, right};

fn texts(rules: &BTreeSet<BypassRule>) -> Vec<String> {
    rules.iter().map(BypassRule::to_string).collect()
}

#[test]
fn rules_of_the_cluster_and_of_a_member() {
    let cluster = right(&format!(
        "bypass = [\"tcp/22\", \"udp/51820\"]\n{EXAMPLE}bypass = [\"sctp/65535\"]\n"
    ));
    assert_eq!(texts(cluster.bypass()), ["tcp/22", "udp/51820"]);
    let of_members: Vec<_> = cluster.members().iter().map(|m| texts(&m.bypass)).collect();
    assert_eq!(of_members, [vec![], vec!["sctp/65535".to_owned()]]);
}

#[test]
fn every_protocol_with_ports() {
    let list = r#"["udplite/1", "dccp/5001", "sctp/2905", "udp/53", "tcp/65535",]"#;
    let cluster = right(&format!("bypass = {list}\n{EXAMPLE}"));
    let found: Vec<(u8, u16)> =
        cluster.bypass().iter().map(|rule| (rule.protocol.number(), rule.port.get())).collect();
    assert_eq!(found, [(6, 65535), (17, 53), (136, 1), (33, 5001), (132, 2905)]);
    let protocols: Vec<_> = cluster.bypass().iter().map(|rule| rule.protocol).collect();
    assert_eq!(protocols, BypassProtocol::ALL);
}

#[test]
fn one_port_of_two_protocols_and_one_rule_in_two_places() {
    let cluster =
        right(&format!("bypass = [\"tcp/53\", \"udp/53\"]\n{EXAMPLE}bypass = [\"tcp/53\"]\n"));
    assert_eq!(texts(cluster.bypass()), ["tcp/53", "udp/53"]);
    assert_eq!(texts(&cluster.members()[1].bypass), ["tcp/53"]);
}

#[test]
fn a_list_without_rules() {
    let cluster = right(&format!("bypass = []\n{EXAMPLE}bypass = []\n"));
    assert!(cluster.bypass().is_empty());
    assert!(cluster.into_iter().all(|member| member.bypass.is_empty()));
}
