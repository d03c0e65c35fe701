//! Reads and writes maps with more entries than one system call takes: in batches, and entry by entry as on kernels
//! without batch operations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, MapData, MapError};
use nix::libc::E2BIG;
use serde_json::Value;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use tunnel_user::dataplane::table::{BatchSupport, Table};

use crate::scenario::Scenario;

/// The number of entries: enough for several batches, of which the last is not full.
const MANY: u32 = 20_001;

fn entries(numbers: impl Iterator<Item = u32>) -> Vec<(u32, u64)> {
    numbers.map(|number| (number, u64::from(number) << 20)).collect()
}

fn filled_read_and_emptied(way: BatchSupport) -> Result<()> {
    let map = HashMap::<MapData, u32, u64>::create(MANY, 0).context("make a map")?;
    let mut table = Table::of(map, way);
    let sorted = |table: &Table<u32, u64>| -> Result<Vec<(u32, u64)>> {
        let mut entries = table.entries()?;
        entries.sort_unstable();
        Ok(entries)
    };
    ensure!(table.entries()?.is_empty(), "a new map holds entries");
    table.set(&entries(0..MANY))?;
    ensure!(sorted(&table)? == entries(0..MANY), "not what was set");
    table.set(&[(5, 1), (6, 2)])?;
    ensure!((table.get(&5)?, table.get(&6)?) == (1, 2), "they were not replaced");
    table.set(&entries(0..MANY))?;
    // `remove` skips a missing key and removes the keys after it.
    let odd: Vec<u32> = (0..MANY + 10).filter(|number| number % 2 == 1).rev().collect();
    table.remove(&odd)?;
    ensure!(sorted(&table)? == entries((0..MANY).filter(|n| n % 2 == 0)), "not what was left");
    let full = table.set(&entries(0..2 * MANY));
    let Err(MapError::SyscallError(error)) = full else { anyhow::bail!("{full:?}") };
    ensure!(error.io_error.raw_os_error() == Some(E2BIG), "{error}");
    // The table falls back to `OneByOne` if the kernel lacks batches. Require that it did not.
    ensure!(table.batch_support() == way, "{:?} it became", table.batch_support());
    Ok(())
}

#[test]
fn a_map_is_filled_read_and_emptied_by_batches() -> Result<()> {
    filled_read_and_emptied(BatchSupport::Batches)
}

#[test]
fn a_map_is_filled_read_and_emptied_one_by_one() -> Result<()> {
    filled_read_and_emptied(BatchSupport::OneByOne)
}

/// The text `cluster` with one more member for each number. `net` is the first two bytes of the members' public
/// addresses.
pub fn members(cluster: &str, numbers: impl Iterator<Item = u32>, net: &str) -> String {
    let mut text = cluster.to_owned();
    for number in numbers {
        let (high, low) = (number / 250, number % 250);
        let _ = write!(
            text,
            "\n[[member]]\nname = \"m{number}\"\nprivate = \"10.7.{high}.{low}\"\npublic = \
             \"{net}.{high}.{low}\"\n"
        );
    }
    text
}

fn publics(scenario: &Scenario, host: &Namespace) -> Result<BTreeMap<String, String>> {
    let status = scenario.json(host, &["status", "--json"])?;
    let peers = status["interfaces"][0]["peers"].as_array().context("no peers")?;
    peers
        .iter()
        .filter(|peer| peer["name"] != "srvb")
        .map(|peer| match (&peer["name"], &peer["public"][0]) {
            (Value::String(name), Value::String(public)) => Ok((name.clone(), public.clone())),
            _ => anyhow::bail!("{peer}"),
        })
        .collect()
}

fn wanted(numbers: impl Iterator<Item = u32>, net: &str) -> BTreeMap<String, String> {
    numbers.map(|n| (format!("m{n}"), format!("{net}.{}.{}", n / 250, n % 250))).collect()
}

#[test]
fn tens_of_thousands_of_members_come_and_move_and_go() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let cluster = scenario.lab.cluster_toml();
    scenario.file("all.toml", members(&cluster, 0..MANY, "172.20"))?;
    scenario.file("fewer.toml", members(&cluster, 9_000..MANY, "172.21"))?;
    let attach = |file: &str| {
        let path = scenario.path(file);
        let words = ["attach", PUBLIC_INTERFACE, "--config", &path, "--no-routes"];
        scenario.rewrite.run(host, &words)
    };
    attach("all.toml")?;
    ensure!(publics(&scenario, host)? == wanted(0..MANY, "172.20"), "not those of the file");
    attach("fewer.toml")?;
    ensure!(publics(&scenario, host)? == wanted(9_000..MANY, "172.21"), "not where they moved");
    // New members take the slots of the members that left.
    attach("all.toml")?;
    ensure!(publics(&scenario, host)? == wanted(0..MANY, "172.20"), "not where they came back");
    scenario.detach(host)?;
    Ok(())
}
