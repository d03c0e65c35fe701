//! Tests a host whose uplink is a VLAN. The tests attach the VLAN's interface, or the interface below it, where packets
//! have a tag.

use anyhow::{Context, Result};
use testkit::capture::Capture;
use testkit::frame::private_addresses;
use testkit::lab::{
    A_PRIVATE, A_PUBLIC, B_PRIVATE, LabOptions, PUBLIC_INTERFACE, ROUTER_A, ROUTER_A_ADDRESS,
    ROUTER_B,
};
use testkit::netns::Namespace;

use crate::two_hosts::TwoHosts;

const MEGABYTE: u64 = 1 << 20;
const VLAN: &str = "eth0.100";
const ROUTER_VLAN: &str = "eth-a.100";

/// The place of the VLAN tag when A's egress program sees a frame: the skb's metadata (`vlan_tci`) with offload, or the
/// frame itself without offload.
#[derive(Clone, Copy)]
enum Tag {
    Offloaded,
    InTheFrame,
}

/// A lab in which A reaches the router only through a VLAN.
fn uplink_in_a_vlan(tag: Tag) -> Result<TwoHosts> {
    let hosts = TwoHosts::new(LabOptions::default())?;
    let lab = &hosts.lab;
    for (namespace, below, vlan, address) in [
        (&lab.a, PUBLIC_INTERFACE, VLAN, A_PUBLIC),
        (&lab.router, ROUTER_A, ROUTER_VLAN, ROUTER_A_ADDRESS),
    ] {
        let address = format!("{address}/24");
        let run = |line: String| namespace.run(&line.split(' ').collect::<Vec<_>>());
        let offload = match tag {
            Tag::Offloaded => "on",
            Tag::InTheFrame => "off",
        };
        run(format!("ethtool -K {below} txvlan {offload} rxvlan {offload}"))?;
        run(format!("ip address delete {address} dev {below}"))?;
        run(format!("ip link add link {below} name {vlan} type vlan id 100"))?;
        run(format!("ip link set {vlan} addrgenmode none up"))?;
        run(format!("ip address add {address} dev {vlan}"))?;
    }
    add_route(&lab.a, "default", None)?;
    lab.a.run(&["sysctl", "-w", &format!("net/ipv4/conf/{VLAN}/rp_filter=0")])?;
    Ok(hosts)
}

fn add_route(host: &Namespace, to: &str, src: Option<&str>) -> Result<()> {
    let gateway = ROUTER_A_ADDRESS.to_string();
    let mut words = vec!["ip", "route", "add", to, "via", &gateway, "dev", VLAN];
    words.extend(src.map(|src| ["src", src]).into_iter().flatten());
    host.run(&words)?;
    Ok(())
}

/// Requires that everything arrives, and that the packets between the router and B have only public addresses.
fn all_arrives(hosts: &TwoHosts) -> Result<()> {
    hosts.talk(MEGABYTE)?;
    let capture = Capture::start_headers(&hosts.lab.router, ROUTER_B, "")?;
    hosts.talk(MEGABYTE / 16)?;
    let frames = capture.stop()?;
    assert!(!frames.is_empty());
    assert_eq!(private_addresses(&frames), []);
    Ok(())
}

#[test]
#[ignore = "takes the module 8021q: cargo xtask vm"]
fn the_interface_of_a_vlan_is_attached() -> Result<()> {
    let hosts = uplink_in_a_vlan(Tag::Offloaded)?;
    hosts.attach(&hosts.lab.a, VLAN, &[])?;
    hosts.attach(&hosts.lab.b, PUBLIC_INTERFACE, &[])?;
    all_arrives(&hosts)?;
    hosts.rewrite.run(&hosts.lab.a, &["detach", VLAN])?;
    Ok(())
}

#[test]
#[ignore = "takes the module 8021q: cargo xtask vm"]
fn the_interface_below_a_vlan_is_attached_and_the_tag_is_offloaded() -> Result<()> {
    the_interface_below_is_attached(Tag::Offloaded, "any")
}

#[test]
#[ignore = "takes the module 8021q: cargo xtask vm"]
fn the_interface_below_a_vlan_is_attached_and_the_tag_is_in_the_frame() -> Result<()> {
    the_interface_below_is_attached(Tag::InTheFrame, "100")
}

/// Attaches the interface below the VLAN. That interface has no address and no route: `--self` states the member, and
/// the test, like an operator, adds the private address and the route.
fn the_interface_below_is_attached(tag: Tag, vlan: &str) -> Result<()> {
    let hosts = uplink_in_a_vlan(tag)?;
    let a = &hosts.lab.a;
    let own = A_PRIVATE.to_string();
    a.run(&["ip", "address", "add", &format!("{own}/32"), "dev", "lo"])?;
    add_route(a, &B_PRIVATE.to_string(), Some(&own))?;
    hosts
        .attach(a, PUBLIC_INTERFACE, &["--self", "srva", "--no-routes", "--vlan", vlan])
        .context("attach below the VLAN")?;
    hosts.attach(&hosts.lab.b, PUBLIC_INTERFACE, &[])?;
    all_arrives(&hosts)
}
