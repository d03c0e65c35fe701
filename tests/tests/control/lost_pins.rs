//! After somebody removes pins of an attached interface, detach still undoes the attach's changes, and a new attach
//! takes over these changes. Both commands use the copy of the record in /run and the marks on addresses and routes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use testkit::lab::{A_PRIVATE, PUBLIC_INTERFACE};
use testkit::netns::Namespace;

use crate::bpffs::pins;
use crate::dual_stack;
use crate::host_state::HostState;
use crate::scenario::{CLSACT, NOTHING_MORE, Scenario, XDP};
use crate::trial_state::{require_nothing_left, state};
use crate::two_networks::{SECOND, attach_second, prepared};

const HOOKS: [&[&str]; 3] = [NOTHING_MORE, CLSACT, XDP];

type Loss = fn(&Path) -> Result<()>;

/// Removes the pins whose names `is_lost` selects.
fn remove(folder: &Path, is_lost: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_lost(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

const LOSSES: [(&str, Loss); 5] = [
    ("all", |folder| Ok(fs::remove_dir_all(folder)?)),
    ("all but the folder", |folder| remove(folder, |_| true)),
    ("the records", |folder| {
        remove(folder, |name| ["attachment", "local_members"].contains(&name))
    }),
    ("maps", |folder| remove(folder, |name| name.starts_with("peer"))),
    ("programs, links and a map", |folder| {
        remove(folder, |name| {
            name.starts_with("rewrite_") || name.ends_with("_link") || name == "local_members"
        })
    }),
];

fn lose(host: &Namespace, loss: Loss) -> Result<()> {
    loss(&pins(host)?.join(PUBLIC_INTERFACE))
}

/// The path of the file in /run with a copy of attach's record for eth0.
fn copy(host: &Namespace) -> Result<std::path::PathBuf> {
    Ok(state(host)?.join(format!("{PUBLIC_INTERFACE}.brought.json")))
}

fn on_loopback(host: &Namespace) -> Result<String> {
    host.run(&["ip", "-details", "address", "show", "dev", "lo"])
}

#[test]
fn detach_after_a_loss_of_pins_leaves_the_host_as_it_was() -> Result<()> {
    let scenario = Scenario::new()?;
    dual_stack::prepare(&scenario)?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for hook in HOOKS {
        for (lost, loss) in LOSSES {
            for words in [&["detach", PUBLIC_INTERFACE][..], &["detach", "--all"]] {
                scenario.attach(host, hook)?;
                lose(host, loss)?;
                let said = scenario
                    .rewrite
                    .run(host, words)
                    .with_context(|| format!("{lost}, {hook:?}"))?;
                ensure!(said.contains("eth0: detached"), "{lost}: {said}");
                before.assert_unchanged(host, &format!("{words:?}, lost {lost}, {hook:?}"));
                require_nothing_left(host)?;
            }
        }
    }
    let said = scenario.detach(host)?;
    ensure!(said.contains("eth0: nothing was attached"), "{said}");
    Ok(())
}

#[test]
fn attach_after_a_loss_of_pins_takes_over_what_is_left() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    let before = HostState::of(host)?;
    for hook in HOOKS {
        for (lost, loss) in LOSSES {
            scenario.attach(host, hook)?;
            lose(host, loss)?;
            scenario.attach(host, hook)?;
            scenario.require_healthy(host).context(lost)?;
            scenario.require_traffic().context(lost)?;
            scenario.detach(host)?;
            before.assert_unchanged(host, &format!("lost {lost}, {hook:?}"));
        }
    }
    Ok(())
}

#[test]
fn an_address_that_attach_added_is_known_by_its_mark_without_any_record() -> Result<()> {
    let scenario = Scenario::new()?;
    dual_stack::prepare(&scenario)?;
    let host = &scenario.lab.a;
    let before = on_loopback(host)?;
    for words in [&["detach", PUBLIC_INTERFACE][..], &["detach", "--all"]] {
        scenario.attach(host, NOTHING_MORE)?;
        lose(host, LOSSES[0].1)?;
        fs::remove_file(copy(host)?)?;
        scenario.rewrite.run(host, words)?;
        let (address, routes) =
            (on_loopback(host)?, host.run(&["ip", "route", "show", "proto", "114"])?);
        ensure!(address == before && routes.is_empty(), "{words:?}: {address}{routes}");
    }
    // Without a route, the leftover address does not show which interface was attached.
    scenario.attach(host, NOTHING_MORE)?;
    lose(host, LOSSES[0].1)?;
    fs::remove_file(copy(host)?)?;
    host.run(&["ip", "route", "flush", "proto", "114"])?;
    host.run(&["ip", "-6", "route", "flush", "proto", "114"])?;
    let said = scenario.detach(host)?;
    ensure!(said.contains("on lo: rewrite detach --all"), "{said}");
    let status = scenario.try_run(host, &["status"])?;
    ensure!(status.code == Some(1), "{status:?}");
    ensure!(status.stdout.contains("an earlier attach left 10.0.0.1 on lo"), "{status:?}");
    let said = scenario.rewrite.run(host, &["detach", "--all"])?;
    ensure!(said.contains("removed: address 10.0.0.1/32 on lo"), "{said}");
    ensure!(on_loopback(host)? == before, "an address is left");
    Ok(())
}

#[test]
fn an_address_that_was_there_before_stays_after_a_loss_of_pins() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    host.run(&["ip", "address", "add", &format!("{A_PRIVATE}/32"), "dev", "lo"])?;
    let before = HostState::of(host)?;
    for (lost, loss) in LOSSES {
        scenario.attach(host, NOTHING_MORE)?;
        lose(host, loss)?;
        scenario.attach(host, NOTHING_MORE)?;
        lose(host, loss)?;
        scenario.detach(host)?;
        before.assert_unchanged(host, lost);
    }
    Ok(())
}

#[test]
fn status_tells_of_what_is_left_and_names_the_commands() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    lose(host, LOSSES[0].1)?;
    let status = scenario.try_run(host, &["status"])?;
    ensure!(status.code == Some(1), "{status:?}");
    for words in ["the pins of eth0 are missing", "rewrite attach eth0", "rewrite detach eth0"] {
        ensure!(status.stdout.contains(words), "{status:?}");
    }
    let status = scenario.json(host, &["status", "--json"])?;
    ensure!(status["left_behind"][0]["harms"] == true, "{status}");
    scenario.detach(host)?;
    let status = scenario.try_run(host, &["status"])?;
    ensure!(status.code == Some(0) && !status.stdout.contains("removed"), "{status:?}");
    Ok(())
}

#[test]
fn an_address_that_another_network_needs_stays_until_that_is_detached_too() -> Result<()> {
    let scenario = prepared()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    for (lost, loss) in LOSSES {
        scenario.attach(host, NOTHING_MORE)?;
        attach_second(&scenario, host)?;
        lose(host, loss)?;
        scenario.detach(host).context(lost)?;
        ensure!(on_loopback(host)?.contains("10.0.0.1/32"), "{lost}: taken from {SECOND}");
        scenario.require_healthy(host).context(lost)?;
        scenario.rewrite.run(host, &["detach", SECOND])?;
        before.assert_unchanged(host, lost);
    }
    Ok(())
}
