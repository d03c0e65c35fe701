//! Tests packaging/hooks/attach-again, the script that network managers call after they set an interface up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::lab::PUBLIC_INTERFACE;

use crate::scenario::{Ended, NOTHING_MORE, Scenario, end};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/hooks/attach-again");

/// Runs the script for A's eth0. The script's `rewrite` runs inside A and attaches with the scenario's file.
fn attach_again(scenario: &Scenario) -> Result<Ended> {
    let (binary, host) = (scenario.rewrite.binary().display(), scenario.lab.a.name());
    let config = scenario.path("cluster.toml");
    let wrapper = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = attach ]; then set -- \"$@\" --config {config}; fi\n\
         exec {binary} --netns {host} \"$@\"\n"
    );
    let path = scenario.file("rewrite", wrapper)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755)).context("make it executable")?;
    end(Command::new(SCRIPT).arg(PUBLIC_INTERFACE).env("REWRITE", &path))
}

#[test]
fn the_hook_puts_back_the_routes_of_an_attached_interface() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach_both(NOTHING_MORE)?;
    // Set the interface up again, as a network manager does. When the interface loses its last address, the kernel also
    // removes the interface's routes.
    host.run(&["ip", "address", "flush", "dev", PUBLIC_INTERFACE])?;
    host.run(&["ip", "address", "add", "198.51.100.2/24", "dev", PUBLIC_INTERFACE])?;
    host.run(&["ip", "route", "add", "default", "via", "198.51.100.1"])?;
    let routes = host.run(&["ip", "route", "show", "proto", "114"])?;
    ensure!(routes.is_empty(), "the routes are there still: {routes}");
    let ended = attach_again(&scenario)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    scenario.require_healthy(host)?;
    scenario.require_traffic()
}

#[test]
fn the_hook_leaves_an_interface_alone_that_is_not_attached() -> Result<()> {
    let scenario = Scenario::new()?;
    let ended = attach_again(&scenario)?;
    ensure!(ended.code == Some(0) && ended.stdout.is_empty(), "{ended:?}");
    let status = scenario.rewrite.run(&scenario.lab.a, &["status"])?;
    ensure!(status.contains("no interface is attached"), "{status}");
    Ok(())
}
