//! Tests interfaces whose packets the programs do not see, or see in an unexpected form. attach and check refuse such
//! an interface, and the interface that they name instead works.

use anyhow::{Context, Result, ensure};
use testkit::lab::{A_PUBLIC, LabOptions, PUBLIC_INTERFACE, ROUTER_A_ADDRESS};
use testkit::process::command_line;

use crate::two_hosts::TwoHosts;

const KILOBYTES: u64 = 64 << 10;

/// Runs lines of `ip` on A.
fn ip(hosts: &TwoHosts, lines: &[&str]) -> Result<()> {
    for line in lines {
        let words: Vec<_> = ["ip"].into_iter().chain(line.split(' ')).collect();
        hosts.lab.a.run(&words)?;
    }
    Ok(())
}

/// Requires that `rewrite` on A exits with status 4 and prints `words`, on standard error or in its findings.
fn refused(hosts: &TwoHosts, command: &[&str], words: &str) -> Result<()> {
    let config = hosts.config()?;
    let mut command =
        hosts.rewrite.command(&hosts.lab.a, &[command, &["--config", &config]].concat());
    let line = command_line(&command);
    let output = command.output().with_context(|| format!("run `{line}`"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.code() == Some(4), "`{line}` ended with {}: {said}", output.status);
    ensure!(said.contains(words), "`{line}` does not say {words:?}: {said}");
    Ok(())
}

/// Moves A's address and routes from its NIC to another interface.
fn move_uplink(hosts: &TwoHosts, to: &str) -> Result<()> {
    ip(
        hosts,
        &[
            &format!("address flush dev {PUBLIC_INTERFACE}"),
            &format!("address add {A_PUBLIC}/24 dev {to}"),
            &format!("route replace default via {ROUTER_A_ADDRESS} dev {to}"),
        ],
    )?;
    hosts.lab.a.sysctl(&format!("net.ipv4.conf.{to}.rp_filter"), "0")
}

#[test]
#[ignore = "takes the modules ip_vti, ip6_vti and xfrm_interface: cargo xtask vm"]
fn a_kind_that_keeps_the_link_header_is_refused() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    ip(
        &hosts,
        &[
            "link add four type vti local 198.51.100.2 remote 203.0.113.2 key 5",
            "link add six type vti6 local 2001:db8:a::2 remote 2001:db8:b::2 key 6",
            "link add policy type xfrm dev eth0 if_id 7",
        ],
    )?;
    for (name, kind) in [("four", "vti"), ("six", "vti6"), ("policy", "xfrm")] {
        let found = format!("{name} is an interface of the kind {kind}:");
        refused(&hosts, &["attach", name, "--self", "srva"], &found)?;
    }
    // `check` examines the interface that has the underlay address.
    ip(&hosts, &["link set four up"])?;
    move_uplink(&hosts, "four")?;
    refused(&hosts, &["check"], "four is an interface of the kind vti:")
}

#[test]
#[ignore = "takes the module vrf: cargo xtask vm"]
fn an_interface_in_a_vrf_is_refused_by_the_vrf_s_name() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    ip(&hosts, &["link add red type vrf table 10", "link set red up", "link set eth0 master red"])?;
    refused(&hosts, &["attach", "eth0"], "eth0 is in the VRF red")?;
    refused(&hosts, &["check"], "eth0 is in the VRF red")?;
    refused(&hosts, &["attach", "red"], "red is a VRF")
}

#[test]
#[ignore = "takes the module bonding: cargo xtask vm"]
fn a_slave_is_refused_and_its_bond_is_attached() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    ip(
        &hosts,
        &[
            "link add bond0 type bond mode active-backup miimon 100",
            "link set eth0 down",
            "link set eth0 master bond0",
            "link set bond0 up",
        ],
    )?;
    let said = "eth0 is a slave of the bond bond0";
    refused(&hosts, &["attach", "eth0", "--self", "srva"], said)?;
    refused(&hosts, &["attach", "eth0", "--self", "srva"], "attach bond0 instead")?;
    move_uplink(&hosts, "bond0")?;
    hosts.attach(&hosts.lab.a, "bond0", &[])?;
    hosts.attach(&hosts.lab.b, PUBLIC_INTERFACE, &[])?;
    hosts.talk(KILOBYTES)
}

#[test]
#[ignore = "takes the module ipvlan: cargo xtask vm"]
fn ipvlan_works_until_it_gets_the_mode_l3s() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    let a = &hosts.lab.a;
    ip(&hosts, &["link add link eth0 name part0 type ipvlan mode l2", "link set part0 up"])?;
    move_uplink(&hosts, "part0")?;
    hosts.attach(a, "part0", &[])?;
    hosts.attach(&hosts.lab.b, PUBLIC_INTERFACE, &[])?;
    hosts.talk(KILOBYTES)?;
    ip(&hosts, &["link set dev part0 type ipvlan mode l3s"])?;
    let said = "part0 is an ipvlan interface in mode l3s";
    let status = hosts.rewrite.command(a, &["status"]).output().context("run status")?;
    let status = String::from_utf8_lossy(&status.stdout);
    ensure!(status.contains(said), "{status}");
    hosts.rewrite.run(a, &["detach", "part0"])?;
    refused(&hosts, &["attach", "part0"], said)?;
    refused(&hosts, &["check"], said)
}

#[test]
#[ignore = "takes the module geneve: cargo xtask vm"]
fn generic_xdp_on_geneve_and_gretap_is_refused() -> Result<()> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    ip(
        &hosts,
        &[
            "link add one type geneve id 7 remote 203.0.113.2",
            "link add two type gretap local 198.51.100.2 remote 203.0.113.2 csum",
            "link set two up",
            "link add link two name three type vlan id 5",
        ],
    )?;
    for (name, found) in [
        ("one", "one is a geneve interface"),
        ("two", "two is a gretap interface"),
        ("three", "three carries packets of two, a gretap interface"),
    ] {
        let words = ["attach", name, "--self", "srva", "--no-routes", "--ingress", "xdp-generic"];
        refused(&hosts, &words, found)?;
    }
    Ok(())
}
