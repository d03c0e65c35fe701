//! Tests the ingress program at XDP.

use anyhow::{Result, ensure};
use testkit::lab::LabOptions;

use crate::bpffs::bpftool;
use crate::host_state::HostState;
use crate::scenario::{NOTHING_MORE, Scenario, XDP, XDP_GENERIC};

fn attached_by(more: &[&str], mode: &str) -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let said = scenario.attach(host, more)?;
    ensure!(said.contains(&format!("(tcx, ingress by {}, 1 peer)", more[1])), "{said}");
    scenario.attach(&scenario.lab.b, more)?;
    let link = host.run(&["ip", "link", "show", "eth0"])?;
    // Releases of iproute2 differ in the text after the mode: "xdp" and "xdp/id:7".
    let mut words = link.split_whitespace();
    ensure!(words.any(|word| word.split('/').next() == Some(mode)), "{link}");
    ensure!(!scenario.pin(host, "rewrite_ingress")?.exists(), "not needed");
    scenario.require_traffic()?;
    let stats = scenario.json(host, &["stats", "--json"])?;
    assert_eq!(stats["interfaces"][0]["peers"][0]["ingress"]["packets"], 4);
    scenario.require_healthy(host)?;

    // Without --ingress, attach keeps XDP and replaces the program in place.
    scenario.attach(host, NOTHING_MORE)?;
    let said = scenario.rewrite.run(host, &["status"])?;
    ensure!(said.contains(&format!("by tcx, ingress by {}\n", more[1])), "{said}");
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn a_driver_runs_the_program() -> Result<()> {
    attached_by(XDP, "xdp")
}

#[test]
fn the_generic_path_runs_the_program() -> Result<()> {
    attached_by(XDP_GENERIC, "xdpgeneric")
}

#[test]
fn one_side_by_xdp_and_the_other_by_tc_understand_each_other_without_offloads() -> Result<()> {
    let options = LabOptions {
        checksum_offload: false,
        segmentation_offload: false,
        ..LabOptions::default()
    };
    let scenario = Scenario::with(options)?;
    scenario.attach(&scenario.lab.a, XDP)?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_traffic()
}

#[test]
fn another_place_takes_a_detach_first() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    for (running, wanted) in [(XDP, "tc"), (XDP, "xdp-generic"), (NOTHING_MORE, "xdp")] {
        scenario.attach(host, running)?;
        let before = HostState::of(host)?;
        let ended = scenario.try_attach(host, &["--ingress", wanted])?;
        ended.require(4, &["already", "detach first", &format!("--ingress {wanted}")])?;
        before.assert_unchanged(host, "after a refused attach");
        scenario.detach(host)?;
    }
    Ok(())
}

#[test]
fn another_program_on_the_interface_is_named_and_left_alone() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    // B's eth0 runs A's program, which B treats as a foreign program.
    scenario.attach(host, XDP)?;
    let pin = scenario.pin(host, "rewrite_xdp")?.display().to_string();
    let b = &scenario.lab.b;
    b.run(&["bpftool", "net", "attach", "xdp", "pinned", &pin, "dev", "eth0"])?;
    let shown: serde_json::Value =
        serde_json::from_str(&bpftool(&["-j", "prog", "show", "pinned", &pin])?)?;
    let id = shown["id"].to_string();
    let before = HostState::of(b)?;
    for more in [XDP, XDP_GENERIC] {
        let ended = scenario.try_attach(b, more)?;
        let named = format!("already runs another XDP program: id {id}, rewrite_xdp");
        ended.require(4, &[&named, "ip link set dev eth0 xdp off", "xdp-loader"])?;
        before.assert_unchanged(b, "after a refused attach");
    }
    // With tc, both programs can run.
    scenario.attach(b, NOTHING_MORE)?;
    scenario.require_healthy(b)?;
    scenario.detach(b)?;
    before.assert_unchanged(b, "after detach");
    Ok(())
}

#[test]
fn a_link_that_is_detached_is_found_and_put_right() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(XDP)?;
    let link = scenario.pin(host, "ingress_link")?.display().to_string();
    bpftool(&["link", "detach", "pinned", &link])?;
    let ended = scenario.try_run(host, &["status"])?;
    ended.require(1, &[])?;
    ensure!(ended.stdout.contains("the ingress program is not attached"), "{ended:?}");
    scenario.attach(host, XDP)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}
