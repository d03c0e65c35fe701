//! `rewrite import` and `rewrite init` read what hosts have, and the printed commands switch over without a loss.

use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use testkit::iptables_trick::{Host, rules, set_up};
use testkit::lab::{Addresses, FAMILIES, IPV4, IPV6, PUBLIC_INTERFACE};
use testkit::netns::Namespace;
use testkit::process::run;
use testkit::traffic::ping;

use crate::open_traffic::OpenTraffic;
use crate::scenario::{NOTHING_MORE, Scenario, end};

/// The names of the private addresses, so that both hosts make the same file.
const NAMES: &str = "10.0.0.1 srva\n10.0.0.2 srvb\nfd00::1 srva\nfd00::2 srvb\n";

fn of_a(family: &Addresses) -> Host {
    Host { private: family.a_private, public: family.a_public, gateway: family.router_a }
}

fn of_b(family: &Addresses) -> Host {
    Host { private: family.b_private, public: family.b_public, gateway: family.router_b }
}

/// A lab whose hosts have the trick in both families.
fn with_trick() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    for family in &FAMILIES {
        set_up(&scenario.lab.a, &of_a(family), &of_b(family))?;
        set_up(&scenario.lab.b, &of_b(family), &of_a(family))?;
    }
    scenario.file("hosts", NAMES)?;
    Ok(scenario)
}

/// Imports on `host` into the file `out`, and returns the printed text, unchanged.
fn imported(scenario: &Scenario, host: &Namespace, source: &str, out: &str) -> Result<String> {
    let (hosts, out) = (scenario.path("hosts"), scenario.path(out));
    let words = ["import", "--from", source, "--hosts", &hosts, "--out", &out];
    let ended = end(&mut scenario.rewrite.command(host, &words))?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(ended.stdout)
}

/// The scripts of the printed steps, as a shell takes them: the way to rewrite, or the way back.
fn scripts(said: &str, heading: &str) -> Result<Vec<String>> {
    let (_, steps) = said.split_once(heading).with_context(|| format!("no {heading} in {said}"))?;
    let steps = steps.split("\n\n# ").next().unwrap_or_default();
    Ok(steps.split("\n# ").skip(1).map(|step| format!("# {step}\n")).collect())
}

/// Runs a printed step with a shell that finds the tested `rewrite`.
fn pasted(scenario: &Scenario, script: &str) -> Result<String> {
    // The tested binary may have another name.
    let folder = PathBuf::from(scenario.path("bin"));
    if !folder.exists() {
        fs::create_dir(&folder)?;
        symlink(scenario.rewrite.binary().canonicalize()?, folder.join("rewrite"))?;
    }
    let path = format!("{}:{}", folder.display(), env::var("PATH")?);
    run(Command::new("sh").args(["-e", "-c", script]).env("PATH", path)).context(script.to_owned())
}

fn file(scenario: &Scenario, name: &str) -> Result<String> {
    Ok(fs::read_to_string(scenario.path(name))?)
}

#[test]
fn the_printed_commands_lead_from_the_trick_to_rewrite_and_lose_nothing() -> Result<()> {
    let scenario = with_trick()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    let (on_a, on_b) = (
        imported(&scenario, a, "iptables", "a.toml")?,
        imported(&scenario, b, "iptables", "b.toml")?,
    );
    assert_eq!(file(&scenario, "a.toml")?, file(&scenario, "b.toml")?);
    let traffic = [
        OpenTraffic::start(&scenario)?,
        OpenTraffic::between(&scenario, IPV6.a_private, IPV6.b_private)?,
    ];
    let progress = |step: &str| traffic.iter().try_for_each(|t| t.require_progress(step));
    let ways = [scripts(&on_a, "# To switch over:")?, scripts(&on_b, "# To switch over:")?];
    ensure!(ways[0].len() == 7, "{on_a}");
    for way in &ways {
        for step in &way[..5] {
            pasted(&scenario, step)?;
            progress(step)?;
        }
    }
    for way in &ways {
        let said = pasted(&scenario, &way[5])?;
        ensure!(said.contains(" ok "), "{said}");
    }
    progress("ping")?;
    for traffic in traffic {
        traffic.require_unharmed()?;
    }
    for (host, way) in [(a, &ways[0]), (b, &ways[1])] {
        pasted(&scenario, &way[6])?;
        for save in ["iptables-legacy-save", "ip6tables-legacy-save"] {
            let rules = host.run(&[save])?;
            ensure!(!rules.contains("-A "), "{rules}");
        }
        scenario.require_healthy(host)?;
    }
    scenario.require_traffic()
}

#[test]
fn the_printed_way_back_leads_to_the_trick_and_loses_nothing() -> Result<()> {
    let scenario = with_trick()?;
    let hosts = [&scenario.lab.a, &scenario.lab.b];
    let before = hosts.map(|host| host.run(&["iptables-legacy-save", "-t", "nat"]));
    let traffic = OpenTraffic::start(&scenario)?;
    for (host, out) in hosts.into_iter().zip(["a.toml", "b.toml"]) {
        let said = imported(&scenario, host, "iptables", out)?;
        for step in &scripts(&said, "# To switch over:")?[..5] {
            pasted(&scenario, step)?;
            traffic.require_progress(step)?;
        }
        for step in scripts(&said, "# Back:")? {
            pasted(&scenario, &step)?;
            traffic.require_progress(&step)?;
        }
    }
    traffic.require_unharmed()?;
    let only_rules = |text: &str| {
        let mut rules: Vec<_> =
            text.lines().filter(|line| line.starts_with("-A")).map(str::to_owned).collect();
        rules.sort();
        rules
    };
    for (host, before) in hosts.into_iter().zip(before) {
        let after = host.run(&["iptables-legacy-save", "-t", "nat"])?;
        assert_eq!(only_rules(&after), only_rules(&before?));
    }
    Ok(())
}

/// The addresses of peer `number`, one host of each family.
fn peer(number: u16) -> Result<[Host; 2]> {
    let host = |private: String, public: String, gateway: IpAddr| -> Result<Host> {
        Ok(Host { private: private.parse()?, public: public.parse()?, gateway })
    };
    Ok([
        host(format!("10.0.1.{number}"), format!("203.0.113.{number}"), IPV4.router_b)?,
        host(format!("fd00::1:{number:x}"), format!("2001:db8:b::{number:x}"), IPV6.router_b)?,
    ])
}

fn import_of_many(count: u16) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let mut names = NAMES.to_owned();
    let mut tables = [String::from("*nat\n"), String::from("*nat\n")];
    for number in 1..=count {
        for ((family, peer), table) in FAMILIES.iter().zip(peer(number)?).zip(&mut tables) {
            names.push_str(&format!("{} peer{number}\n", peer.private));
            for rule in rules(&of_a(family), &peer) {
                table.push_str(&format!("-A {rule}\n"));
            }
        }
    }
    scenario.file("hosts", names)?;
    for (program, table) in
        ["iptables-legacy-restore", "ip6tables-legacy-restore"].iter().zip(tables)
    {
        let path = scenario.file("rules", format!("{table}COMMIT\n"))?;
        host.run(&[program, &path.display().to_string()])?;
    }
    let said = imported(&scenario, host, "iptables", "made.toml")?;
    ensure!(said.contains(&format!("{count} peer")), "{said}");
    let proof = scenario
        .json(host, &["explain", "--all", "--json", "--config", &scenario.path("made.toml")])?;
    assert_eq!(proof["members"], u64::from(count) + 1);
    assert_eq!(proof["failures"].as_array().map(Vec::len), Some(0));
    let text = file(&scenario, "made.toml")?;
    let last = peer(count)?;
    let wanted = format!(
        "name    = \"peer{count}\"\nprivate = [\"{}\", \"{}\"]\npublic  = [\"{}\", \"{}\"]\n",
        last[0].private, last[1].private, last[0].public, last[1].public
    );
    ensure!(text.contains(&wanted), "{wanted} is not in {text}");
    let way = scripts(&said, "# To switch over:")?;
    pasted(&scenario, &way[2])?;
    pasted(&scenario, &way[4])?;
    let rules = host.run(&["ip6tables-legacy-save"])?;
    assert_eq!(
        rules.matches("-j NOTRACK").count() + rules.matches("-j CT --notrack").count(),
        2 * usize::from(count),
        "{rules}"
    );
    ensure!(!rules.contains("NAT --to"), "{rules}");
    Ok(())
}

#[test]
fn the_trick_with_one_peer_with_three_and_with_a_hundred() -> Result<()> {
    [1, 3, 100].into_iter().try_for_each(import_of_many)
}

#[test]
fn a_tunnel_gives_way_to_rewrite_by_the_printed_commands_and_loses_nothing() -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.file("hosts", NAMES)?;
    for (host, own, peer) in [(a, of_a(&IPV4), of_b(&IPV4)), (b, of_b(&IPV4), of_a(&IPV4))] {
        let [local, remote] = [own.public, peer.public].map(|address| address.to_string());
        let link = ["ip", "link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789"];
        host.run(
            &[&link[..], &["local", &local, "remote", &remote, "dev", PUBLIC_INTERFACE]].concat(),
        )?;
        host.run(&["ip", "address", "add", &format!("{}/24", own.private), "dev", "vx0"])?;
        host.run(&["ip", "link", "set", "vx0", "up"])?;
    }
    ensure!(ping(a, IPV4.b_private, 3, 56)?.returned > 0, "the tunnel does not work");
    let said =
        [imported(&scenario, a, "vxlan", "a.toml")?, imported(&scenario, b, "vxlan", "b.toml")?];
    assert_eq!(file(&scenario, "a.toml")?, file(&scenario, "b.toml")?);
    ensure!(file(&scenario, "a.toml")?.contains("bypass = [\"udp/4789\"]"), "{}", said[0]);
    let traffic = OpenTraffic::start(&scenario)?;
    let ways = [scripts(&said[0], "# To switch over:")?, scripts(&said[1], "# To switch over:")?];
    ensure!(ways[0].len() == 6, "{}", said[0]);
    for number in 0..6 {
        for way in &ways {
            pasted(&scenario, &way[number])?;
            traffic.require_progress(&way[number])?;
        }
    }
    traffic.require_unharmed()?;
    for host in [a, b] {
        ensure!(!host.run(&["ip", "link"])?.contains("vx0"), "the tunnel stands");
        scenario.require_healthy(host)?;
    }
    scenario.require_traffic()
}

#[test]
fn a_rule_that_is_missing_and_a_rule_of_another_kind_are_named() -> Result<()> {
    let scenario = with_trick()?;
    let host = &scenario.lab.a;
    let input = &rules(&of_a(&IPV4), &of_b(&IPV4))[2];
    let remove = format!("iptables-legacy -t nat -D {input}");
    host.run(&remove.split(' ').collect::<Vec<_>>())?;
    let masquerade = "iptables-legacy -t nat -A POSTROUTING -o eth9 -j MASQUERADE";
    host.run(&masquerade.split(' ').collect::<Vec<_>>())?;
    let ended = scenario.try_run(host, &["import", "--from", "iptables", "--json"])?;
    ensure!(ended.code == Some(1), "{ended:?}");
    let import: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    let findings = import["findings"].as_array().context("no findings")?;
    let kinds: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("incomplete"), Some("not-understood")]);
    assert_eq!(findings[0]["why"], "3 of 4 rules are there, and the rule INPUT is missing");
    assert_eq!(findings[1]["text"], "-A POSTROUTING -o eth9 -j MASQUERADE");
    Ok(())
}

#[test]
fn init_takes_the_trick_and_leaves_a_file_alone() -> Result<()> {
    let scenario = with_trick()?;
    let host = &scenario.lab.a;
    let (out, hosts) = (scenario.path("new/cluster.toml"), scenario.path("hosts"));
    let words = ["init", "--out", &out, "--hosts", &hosts];
    let first = scenario.try_run(host, &words)?;
    ensure!(first.code == Some(0) && first.stdout.contains("iptables: 1 peer\n"), "{first:?}");
    let made = file(&scenario, "new/cluster.toml")?;
    let refused = scenario.try_run(host, &words)?;
    refused.require(4, &["new/cluster.toml exists already", "--force"])?;
    fs::write(&out, "mine")?;
    scenario.try_run(host, &[&words[..], &["--force"]].concat())?.require(0, &[])?;
    assert_eq!(file(&scenario, "new/cluster.toml")?, made);
    Ok(())
}

fn tracked_nft(own: &Host, peer: &Host) -> String {
    let Host { private, public, .. } = own;
    let (peer_private, peer_public) = (peer.private, peer.public);
    format!(
        "table ip trick {{
  chain o {{ type nat hook output priority -100; ip daddr {peer_private} dnat to {peer_public}; }}
  chain p {{ type nat hook prerouting priority -100; ip saddr {peer_public} dnat to {private}; }}
  chain i {{ type nat hook input priority 100; ip saddr {peer_public} snat to {peer_private}; }}
  chain q {{ type nat hook postrouting priority 100;
    ip saddr {private} ip daddr {peer_public} counter snat to {public} comment \"out\"; }}
}}
"
    )
}

fn stateless_nft(own: &Host, peer: &Host) -> String {
    let Host { private, public, .. } = own;
    let (peer_private, peer_public) = (peer.private, peer.public);
    format!(
        "table ip trick {{
  chain leaving {{ type filter hook output priority raw;
    ip saddr {private} ip daddr {peer_private} notrack ip saddr set {public} ip daddr set {peer_public}; }}
  chain arriving {{ type filter hook prerouting priority raw;
    ip saddr {peer_public} ip daddr {public} notrack ip saddr set {peer_private} ip daddr set {private}; }}
}}
"
    )
}

/// Switches both hosts over from rules of nft by the printed commands, except for the last step, which waits for the
/// end of the connections. Then does the last step.
fn from_nft(rules: fn(&Host, &Host) -> String) -> Result<()> {
    let scenario = Scenario::new()?;
    let (a, b) = (&scenario.lab.a, &scenario.lab.b);
    scenario.file("hosts", NAMES)?;
    for (host, own, peer) in [(a, of_a(&IPV4), of_b(&IPV4)), (b, of_b(&IPV4), of_a(&IPV4))] {
        let [private, peer_private, gateway] =
            [own.private, peer.private, own.gateway].map(|address| address.to_string());
        host.run(&["ip", "address", "add", &format!("{private}/32"), "dev", "lo"])?;
        let route = ["ip", "route", "add", &peer_private, "via", &gateway, "src", &private];
        host.run(&route)?;
        let path = scenario.file("rules.nft", rules(&own, &peer).replace("; }", "\n}"))?;
        host.run(&["nft", "-f", &path.display().to_string()])?;
    }
    let said = [imported(&scenario, a, "nft", "a.toml")?, imported(&scenario, b, "nft", "b.toml")?];
    assert_eq!(file(&scenario, "a.toml")?, file(&scenario, "b.toml")?);
    let traffic = OpenTraffic::start(&scenario)?;
    let ways = [scripts(&said[0], "# To switch over:")?, scripts(&said[1], "# To switch over:")?];
    for way in &ways {
        let (_, steps) = way.split_at(1);
        for step in &steps[..steps.len() - 2] {
            pasted(&scenario, step)?;
            traffic.require_progress(step)?;
        }
    }
    for way in &ways {
        pasted(&scenario, &way[way.len() - 2])?;
    }
    traffic.require_unharmed()?;
    for (host, way) in [(a, &ways[0]), (b, &ways[1])] {
        pasted(&scenario, &way[way.len() - 1])?;
        let rules = host.run(&["nft", "list", "ruleset"])?;
        ensure!(!rules.contains("addr"), "{rules}");
    }
    scenario.require_traffic()
}

#[test]
fn the_printed_commands_lead_from_the_trick_in_nft_to_rewrite_and_lose_nothing() -> Result<()> {
    from_nft(tracked_nft)
}

#[test]
fn the_printed_commands_lead_from_stateless_nft_to_rewrite_and_lose_nothing() -> Result<()> {
    from_nft(stateless_nft)
}

#[test]
fn init_without_a_source_writes_an_example_that_check_refuses_with_its_lines() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let (out, hosts) = (scenario.path("example.toml"), scenario.file("hosts", "")?);
    let hosts = hosts.display().to_string();
    let words = ["init", "--out", &out, "--hosts", &hosts, "--self", "srva"];
    let ended = scenario.try_run(host, &words)?;
    ensure!(ended.code == Some(1) && ended.stdout.contains("an example"), "{ended:?}");
    let text = file(&scenario, "example.toml")?;
    ensure!(text.contains("name    = \"srva\"") && text.contains("\"198.51.100.2\""), "{text}");
    let refused = scenario.try_run(host, &["check", "--config", &out])?;
    refused.require(4, &[])?;
    for line in [6, 11, 12] {
        let wanted = format!("example.toml:{line}: the address is empty");
        ensure!(refused.stdout.contains(&wanted), "{wanted} is not in {refused:?}");
    }
    let filled = text.replacen("private = \"\"", "private = \"10.0.0.1\"", 1);
    let filled = filled.replacen("private = \"\"", "private = \"10.0.0.2\"", 1);
    scenario
        .file("example.toml", filled.replacen("public  = \"\"", "public  = \"203.0.113.2\"", 1))?;
    scenario.attach_by(host, "example.toml", NOTHING_MORE)?;
    scenario.require_healthy(host)
}
