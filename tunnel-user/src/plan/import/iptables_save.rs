//! Reads the rules of the trick in the output of iptables-save(8) and ip6tables-save(8).

use std::net::IpAddr;

use super::trick::{Addresses, Location, TrickRule, read};
use super::{Finding, Found};

/// The output of a save command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The beginning of the names of the programs that made it: `iptables-legacy`. `None` for a file: its addresses
    /// decide between `iptables` and `ip6tables`.
    pub program: Option<String>,
    /// The text.
    pub text: String,
}

/// The members that the rules of the table `nat` are about. Names each rule of that table that is no rule of the trick.
#[must_use]
pub fn found(outputs: &[Saved]) -> Found {
    let (mut rules, mut findings) = (Vec::new(), Vec::new());
    for output in outputs {
        let mut is_nat = false;
        for (number, line) in (1..).zip(output.text.lines()) {
            let line = without_counters(line.trim());
            if let Some(table) = line.strip_prefix('*') {
                is_nat = table == "nat";
            }
            let Some(specification) = line.strip_prefix("-A ").filter(|_| is_nat) else { continue };
            let program = output.program.as_deref().unwrap_or("iptables");
            let place = format!("{program}-save line {number}");
            match addresses(specification) {
                Ok(addresses) => {
                    let is_ipv6 = addresses.peer_public().is_ipv6();
                    let program = output.program.clone();
                    let by_family = if is_ipv6 { "ip6tables" } else { "iptables" };
                    let program = program.unwrap_or_else(|| by_family.to_owned());
                    let specification = specification.to_owned();
                    let location = Location::Iptables { program, specification };
                    rules.push(TrickRule { addresses, place, location });
                }
                Err(why) => findings.push(Finding::not_understood(place, line, why)),
            }
        }
    }
    let mut found = read(rules);
    found.findings.extend(findings);
    found
}

/// A line of `iptables-save -c` without its counters of packets and bytes: `[0:0] -A OUTPUT …`.
fn without_counters(line: &str) -> &str {
    let counted = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    counted.map_or(line, |(_, rule)| rule)
}

/// The conditions and the target of a rule.
#[derive(Default)]
struct Parts {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    target: String,
    to_source: Option<IpAddr>,
    to_destination: Option<IpAddr>,
}

/// The addresses of a rule of the trick, or the reason why the rule is none.
fn addresses(specification: &str) -> Result<Addresses, String> {
    let words = shlex::split(specification).ok_or("its quotes do not match")?;
    let (chain, options) = words.split_first().ok_or("it has no chain")?;
    let parts = parts(options)?;
    let Parts { source, destination, target, to_source, to_destination } = parts;
    match (&chain[..], source, destination, to_source, to_destination) {
        ("OUTPUT", None, Some(peer_private), None, Some(peer_public)) => {
            Ok(Addresses::Output { peer_private, peer_public })
        }
        ("PREROUTING", Some(peer_public), None, None, Some(own_private)) => {
            Ok(Addresses::Prerouting { peer_public, own_private })
        }
        ("INPUT", Some(peer_public), None, Some(peer_private), None) => {
            Ok(Addresses::Input { peer_public, peer_private })
        }
        ("POSTROUTING", Some(own_private), Some(peer_public), Some(own_public), None) => {
            Ok(Addresses::Postrouting { own_private, peer_public, own_public })
        }
        _ if target == "DNAT" || target == "SNAT" => {
            Err(format!("{target} with these addresses in {chain} is no rule of the trick"))
        }
        _ => Err(format!("the target {target} is no part of the trick")),
    }
}

fn parts(options: &[String]) -> Result<Parts, String> {
    let mut parts = Parts::default();
    let mut options = options.iter().map(String::as_str);
    while let Some(option) = options.next() {
        let mut value = || options.next().ok_or(format!("{option} has no value"));
        match option {
            "-s" => parts.source = Some(address(value()?)?),
            "-d" => parts.destination = Some(address(value()?)?),
            "-j" => value()?.clone_into(&mut parts.target),
            "--to-source" => parts.to_source = Some(address(value()?)?),
            "--to-destination" => parts.to_destination = Some(address(value()?)?),
            "--comment" => drop(value()?),
            "-m" => match value()? {
                "comment" => {}
                other => return Err(format!("it matches only a part of the packets: -m {other}")),
            },
            // A goto and a NETMAP have no address of a single host.
            "-g" | "--to" => return Err(format!("{option} {} is no part of the trick", value()?)),
            other => return Err(format!("it matches only a part of the packets: {other}")),
        }
    }
    Ok(parts)
}

/// A single address: iptables-save prints `10.0.0.2/32` for a condition, and `10.0.0.2` for a target.
fn address(text: &str) -> Result<IpAddr, String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let parsed: IpAddr = address.parse().map_err(|_| format!("{text} is not an address"))?;
    let is_single = match length {
        None => true,
        Some(length) => length == if parsed.is_ipv4() { "32" } else { "128" },
    };
    is_single.then_some(parsed).ok_or_else(|| format!("{text} is not the address of one host"))
}

#[cfg(test)]
mod tests {
    use super::super::FindingKind;
    use super::*;

    const SAVED: &str = "\
# Generated by iptables-save v1.8.9
*raw
-A PREROUTING -s 10.0.0.9/32 -j NOTRACK
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 203.0.113.2/32 -j DNAT --to-destination 10.0.0.1
-A INPUT -s 203.0.113.2/32 -j SNAT --to-source 10.0.0.2
-A OUTPUT -d 10.0.0.2/32 -m comment --comment \"to \\\"b\\\"\" -j DNAT --to-destination 203.0.113.2
-A POSTROUTING -s 10.0.0.1/32 -d 203.0.113.2/32 -j SNAT --to-source 198.51.100.2
COMMIT
";

    fn saved(text: &str) -> Found {
        found(&[Saved { program: Some("iptables-legacy".into()), text: text.into() }])
    }

    fn pairs(found: &Found) -> Vec<(bool, String, String)> {
        let public = |host: &FoundHost| host.public.map(|a| a.to_string()).unwrap_or_default();
        let pair = |host: &FoundHost| (host.is_self, host.private.to_string(), public(host));
        found.hosts.iter().map(pair).collect()
    }

    use super::super::FoundHost;

    #[test]
    fn four_rules_are_a_peer_and_this_host() {
        let found = saved(SAVED);
        assert_eq!(found.findings, []);
        assert!(pairs(&found).contains(&(false, "10.0.0.2".into(), "203.0.113.2".into())));
        assert!(pairs(&found).contains(&(true, "10.0.0.1".into(), "198.51.100.2".into())));
        assert_eq!(found.rules.len(), 4);
    }

    #[test]
    fn rules_with_counters_are_the_same_rules() {
        let counted = saved(&SAVED.replace("-A ", "[12:3456] -A "));
        assert_eq!(counted, saved(SAVED));
        assert_eq!(counted.rules.len(), 4);
    }

    #[test]
    fn three_of_the_four_rules_are_named_as_such() {
        let text: String = SAVED
            .lines()
            .filter(|l| !l.starts_with("-A INPUT"))
            .map(|l| format!("{l}\n"))
            .collect();
        let [finding] = &saved(&text).findings[..] else { panic!("one finding") };
        assert_eq!(finding.kind, FindingKind::Incomplete);
        assert_eq!(finding.why, "3 of 4 rules are there, and the rule INPUT is missing");
        assert!(finding.text.contains("10.0.0.2 at 203.0.113.2"), "{}", finding.text);
        assert!(finding.text.contains("iptables-legacy-save line 7"), "{}", finding.text);
    }

    #[test]
    fn a_rule_that_is_not_of_the_trick_is_named_with_its_line_and_the_reason() {
        for (rule, why) in [
            ("-A POSTROUTING -o eth0 -j MASQUERADE", "only a part of the packets: -o"),
            ("-A POSTROUTING -s 10.0.0.1/32 -j MASQUERADE", "MASQUERADE is no part of the trick"),
            ("-A OUTPUT -d 10.0.0.2/32 -p tcp -j DNAT --to-destination 1.2.3.4", "packets: -p"),
            ("-A OUTPUT -d 10.0.0.0/24 -j DNAT --to-destination 1.2.3.4", "one host"),
            ("-A OUTPUT -d 10.0.0.3/32 -j DNAT --to-destination 1.2.3.4:80", "not an address"),
            (
                "-A OUTPUT -d 10.0.0.3/32 -m mark --mark 0x1 -j DNAT --to-destination 1.2.3.4",
                "mark",
            ),
            ("-A OUTPUT ! -d 10.0.0.3/32 -j DNAT --to-destination 1.2.3.4", "packets: !"),
            ("-A OUTPUT -s 10.0.0.3/32 -j DNAT --to-destination 1.2.3.4", "no rule of the trick"),
            ("-A OUTPUT -d \"10.0.0.3", "quotes"),
        ] {
            let found = saved(&SAVED.replace("COMMIT\n", &format!("{rule}\nCOMMIT\n")));
            let [finding] = &found.findings[..] else { panic!("{rule}: {:?}", found.findings) };
            assert_eq!(finding.kind, FindingKind::NotUnderstood);
            assert_eq!(
                (&finding.place[..], &finding.text[..]),
                ("iptables-legacy-save line 12", rule)
            );
            assert!(finding.why.contains(why), "{rule}: {}", finding.why);
            assert_eq!(pairs(&found), pairs(&saved(SAVED)), "{rule}");
        }
    }

    #[test]
    fn rules_that_give_a_peer_two_private_addresses_are_a_contradiction() {
        let found = saved(&SAVED.replace("--to-source 10.0.0.2", "--to-source 10.0.0.3"));
        let [finding] = &found.findings[..] else { panic!("{:?}", found.findings) };
        assert_eq!(finding.kind, FindingKind::Contradiction);
        assert!(finding.why.contains("10.0.0.2, 10.0.0.3"), "{}", finding.why);
        assert!(!pairs(&found).iter().any(|(is_self, ..)| !is_self));
    }

    #[test]
    fn a_file_is_of_the_program_of_its_family() {
        let text = SAVED.replace("10.0.0.", "fd00::").replace("203.0.113.", "2001:db8:b::");
        let text = text.replace("198.51.100.", "2001:db8:a::").replace("/32", "/128");
        let found = found(&[Saved { program: None, text }]);
        assert_eq!(found.findings, []);
        let Location::Iptables { program, .. } = &found.rules[0].location else { panic!() };
        assert_eq!(program, "ip6tables");
    }
}
