//! A refused change of peers leaves the host and the maps unchanged.

use anyhow::{Context, Result};

use crate::bpffs::dump_without_notes;
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario};

#[test]
fn conflicts_are_refused_and_nothing_is_touched() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let add = "peer add srvc --private 10.0.0.3 --public 192.0.2.3";
    scenario.rewrite.run(host, &add.split(' ').collect::<Vec<_>>())?;
    host.run(&["ip", "route", "add", "10.0.0.5/32", "dev", "eth0"])?;
    host.run(&["ip", "route", "add", "blackhole", "192.0.2.66"])?;

    let before = HostState::of(host)?;
    let maps = || -> Result<Vec<_>> {
        let names = ["peers_v4", "prefixes_v4", "members", "bypass", "attachment"];
        names.map(|name| dump_without_notes(&scenario.pin(host, name)?)).into_iter().collect()
    };
    let maps_before = maps()?;
    for (line, said) in [
        ("peer add srvb --private 10.0.0.4 --public 192.0.2.4", "srvb"),
        ("peer add srva --private 10.0.0.4 --public 192.0.2.4", "srva"),
        ("peer add srvd --private 10.0.0.1 --public 192.0.2.4", "10.0.0.1"),
        ("peer add srvd --private 10.0.0.2 --public 192.0.2.4", "10.0.0.2"),
        ("peer add srvd --private 10.0.0.4 --public 192.0.2.3", "192.0.2.3"),
        ("peer add srvd --private 10.0.0.4 --public 198.51.100.2", "198.51.100.2"),
        ("peer add srvd --private 192.0.2.3 --public 192.0.2.4", "192.0.2.3"),
        ("peer add srvd --private 10.0.0.4 --public 10.0.0.3", "10.0.0.3"),
        ("peer add srvd --private 10.0.0.5 --public 192.0.2.5", "rewrite did not set it"),
        ("peer add srvd --private 10.0.0.6 --public 192.0.2.66", "no route to 192.0.2.66"),
        ("peer set srvb --public 192.0.2.3", "192.0.2.3"),
        ("peer set srvb --public 10.0.0.1", "10.0.0.1"),
        ("peer set srvb --public 192.0.2.66", "no route to 192.0.2.66"),
        ("peer add srvd --private fd00::4 --public 2001:db8::4", "IPv4 addresses only"),
        ("peer add srvd --private 10.0.0.4 --public 2001:db8::4", "family mismatch"),
        ("peer add srvd --private 10.4.0.0/24 --public 192.0.4.0/25", "24 bits"),
        ("peer add srvd --private 10.0.0.4,10.0.0.6 --public 192.0.2.4", "two IPv4"),
        ("peer add srvd --private 10.4.0.0/25 --public 198.51.100.0/25", "network of eth0"),
        ("peer set srvb --public 2001:db8::9", "no IPv6 address"),
        ("peer set srvx --public 192.0.2.4", "no peer has the name or the private address srvx"),
        ("peer set srva --public 192.0.2.4", "private address srva"),
        ("peer set 10.0.0.9 --direct true", "private address 10.0.0.9"),
        ("peer remove srvx", "rewrite peer list"),
        ("peer remove srva", "private address srva"),
        ("peer remove srvb --interface eth1", "eth1 is not attached"),
    ] {
        let ended = scenario.try_run(host, &line.split(' ').collect::<Vec<_>>())?;
        ended.require(4, &["rewrite: ", "help: ", said]).context(line)?;
        assert_eq!(maps()?, maps_before, "{line}");
        before.assert_unchanged(host, line);
    }
    scenario.require_healthy(host)
}

#[test]
fn words_that_are_no_name_or_address_are_wrong_usage() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    for line in [
        "peer add srvd --private 10.0.0.256 --public 192.0.2.4",
        "peer add srvd --private 127.0.0.1 --public 192.0.2.4",
        "peer add srvd --private 10.0.0.4 --public srvd.example.org",
        "peer add -x --private 10.0.0.4 --public 192.0.2.4",
        "peer add srv/d --private 10.0.0.4 --public 192.0.2.4",
        "peer add srvd --private 10.0.0.4",
        "peer set srvb",
        "peer set srvb --direct maybe",
        "peer set srvb --public 224.0.0.1",
        "peer remove",
        "peer",
        "detach",
        "detach eth0 --all",
        "attach",
        "attach eth0 --hook none",
        "attach eth0 --ingress native",
        "peer add srvd --private 10.0.0.4 --public 192.0.2.4 --bypass icmp/8",
        "peer set srvb --bypass tcp/0",
        "peer set srvb --bypass tcp/22 --no-bypass",
        "unknown",
    ] {
        let ended = scenario.try_run(host, &line.split(' ').collect::<Vec<_>>())?;
        ended.require(2, &[]).context(line)?;
        assert_ne!(ended.stderr, "", "{line}");
    }
    scenario.require_healthy(host)
}

#[test]
fn with_nothing_attached_there_are_no_peers() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let ended = scenario.try_run(host, &["peer", "remove", "srvb"])?;
    ended.require(4, &["no interface is attached", "help: ", "--netns"])?;
    let said = scenario.rewrite.run(host, &["peer", "list"])?;
    assert!(said.contains("no interface is attached"), "{said}");
    Ok(())
}

#[test]
fn with_several_interfaces_attached_one_has_to_be_named() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for words in [
        "ip link add eth1 type veth peer name eth1-far",
        "ip link set eth1 up",
        "ip link set eth1-far up",
        "ip address add 192.0.2.2/24 dev eth1",
    ] {
        host.run(&words.split(' ').collect::<Vec<_>>())?;
    }
    scenario.file(
        "other.toml",
        "[[member]]\nname = \"x\"\nprivate = \"10.9.0.1\"\npublic = \"192.0.2.2\"\n\
         [[member]]\nname = \"y\"\nprivate = \"10.9.0.2\"\npublic = \"192.0.2.9\"\n",
    )?;
    let path = scenario.path("other.toml");
    scenario.attach(host, NOTHING_MORE)?;
    scenario.rewrite.run(host, &["attach", "eth1", "--config", &path])?;
    scenario.require_healthy(host)?;

    let remove = ["peer", "remove", "y"];
    let ended = scenario.try_run(host, &remove)?;
    ended.require(4, &["eth0, eth1", "--interface"])?;
    let on_eth1 = [&remove[..], &["--interface", "eth1"]].concat();
    scenario.rewrite.run(host, &on_eth1)?;
    let listed = scenario.rewrite.run(host, &["peer", "list"])?;
    assert!(listed.contains("eth1: 0 peers"), "{listed}");
    assert!(listed.contains("eth0: 1 peer\n"), "{listed}");
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()?;

    scenario.rewrite.run(host, &["detach", "--all"])?;
    host.run(&["ip", "link", "delete", "eth1"])?;
    before.assert_unchanged(host, "after detach --all");
    Ok(())
}
