//! Tests commands with different privileges, mounts and network namespaces.

use std::process::Command;

use anyhow::Result;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;

use crate::host_state::HostState;
use crate::scenario::{Ended, NOTHING_MORE, Scenario, end};

const UNPRIVILEGED: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
];
/// Runs a command in a separate mount namespace with a tmpfs on /sys/fs/bpf.
const WITHOUT_BPFFS: &[&str] =
    &["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /sys/fs/bpf && exec \"$@\"", "sh"];
/// Runs a command with a BPF file system of mode 0700, as systemd mounts it.
pub const WITH_BPFFS_FOR_ROOT_ALONE: &[&str] = &[
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t bpf -o mode=700 bpf /sys/fs/bpf && exec \"$@\"",
    "sh",
];

/// Runs a command with a BPF file system of the default mode of `mount -t bpf`, to which all users can write.
const WITH_BPFFS_FOR_ALL: &[&str] =
    &["unshare", "--mount", "sh", "-c", "mount -t bpf bpf /sys/fs/bpf && exec \"$@\"", "sh"];

/// Runs `rewrite`, wrapped by other programs, inside the network namespace of a host.
pub fn wrapped(
    scenario: &Scenario,
    host: &Namespace,
    wrapper: &[&str],
    words: &[&str],
) -> Result<Ended> {
    let binary = scenario.rewrite.binary().display().to_string();
    let line = [wrapper, &[&binary], words].concat();
    end(host.command(line[0]).args(&line[1..]))
}

fn attach_words(scenario: &Scenario) -> [String; 4] {
    let path = scenario.path("cluster.toml");
    ["attach", PUBLIC_INTERFACE, "--config", &path].map(str::to_owned)
}

#[test]
fn attach_and_detach_without_privileges_are_refused() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let words = attach_words(&scenario);
    let words = words.each_ref().map(String::as_str);
    for words in [&words[..], &["detach", "--all"]] {
        let ended = wrapped(&scenario, host, UNPRIVILEGED, words)?;
        ended.require(5, &["CAP_NET_ADMIN", "CAP_BPF", "help: ", "root"])?;
        before.assert_unchanged(host, &ended.line);
    }
    Ok(())
}

#[test]
fn entering_a_network_namespace_without_privileges_is_refused_as_such() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let words = attach_words(&scenario);
    let words = words.each_ref().map(String::as_str);
    let words = [&["--netns", host.name()], &words[..]].concat();
    let ended = wrapped(&scenario, host, UNPRIVILEGED, &words)?;
    ended.require(5, &["CAP_", "help: ", "root"])
}

#[test]
fn without_privileges_what_is_attached_is_not_denied() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    scenario.attach(host, NOTHING_MORE)?;
    let ways: [&[&[&str]]; 2] = [&[UNPRIVILEGED], &[WITH_BPFFS_FOR_ROOT_ALONE, UNPRIVILEGED]];
    for wrapper in ways {
        for words in [&["status"][..], &["stats"], &["peer", "list"]] {
            let ended = wrapped(&scenario, host, &wrapper.concat(), words)?;
            ended.require(5, &["help: ", "root"])?;
            assert_eq!(ended.stdout, "", "{}", ended.line);
        }
    }
    Ok(())
}

#[test]
fn check_tells_of_a_bpf_file_system_that_all_users_can_write_to() -> Result<()> {
    let scenario = Scenario::new()?;
    let path = scenario.path("cluster.toml");
    for (wrapper, is_told) in [(WITH_BPFFS_FOR_ALL, true), (WITH_BPFFS_FOR_ROOT_ALONE, false)] {
        let ended = wrapped(&scenario, &scenario.lab.a, wrapper, &["check", "--config", &path])?;
        ended.require(0, &[])?;
        let note = "other users can write to /sys/fs/bpf (mode 1777)";
        assert_eq!(ended.stdout.contains(note), is_told, "{ended:?}");
        assert_eq!(ended.stdout.contains("chmod 0700 /sys/fs/bpf"), is_told, "{ended:?}");
    }
    Ok(())
}

#[test]
fn without_a_bpf_file_system_the_way_to_mount_one_is_told() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let words = attach_words(&scenario);
    let words = words.each_ref().map(String::as_str);
    for words in [&words[..], &["detach", "--all"], &["status"], &["stats"]] {
        let ended = wrapped(&scenario, host, WITHOUT_BPFFS, words)?;
        ended.require(5, &["/sys/fs/bpf", "mount -t bpf -o mode=0700 bpf /sys/fs/bpf"])?;
        before.assert_unchanged(host, &ended.line);
    }
    Ok(())
}

#[test]
fn ip_netns_exec_is_refused_with_the_ways_that_work() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let words = attach_words(&scenario);
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.name()]).arg(scenario.rewrite.binary()).args(&words);
    let ended = end(&mut command)?;
    let netns = format!("--netns {}", host.name());
    let nsenter = format!("nsenter --net=/run/netns/{}", host.name());
    ended.require(5, &["ip netns exec", "help: ", &netns, &nsenter])?;
    before.assert_unchanged(host, &ended.line);
    Ok(())
}

#[test]
fn nsenter_and_the_option_are_the_same() -> Result<()> {
    let scenario = Scenario::new()?;
    let host = &scenario.lab.a;
    let before = HostState::of(host)?;
    let words = attach_words(&scenario);
    let words = words.each_ref().map(String::as_str);
    wrapped(&scenario, host, &[], &words)?.require(0, &[])?;
    scenario.attach(&scenario.lab.b, NOTHING_MORE)?;
    scenario.require_healthy(host)?;
    scenario.require_traffic()?;
    // Mix the two methods: first attach under `nsenter` (above) and detach with `--netns`, then attach with `--netns`
    // and detach under `nsenter`.
    scenario.detach(host)?;
    before.assert_unchanged(host, "after detach with --netns");
    scenario.attach(host, NOTHING_MORE)?;
    wrapped(&scenario, host, &[], &["detach", "eth0"])?.require(0, &[])?;
    before.assert_unchanged(host, "after detach under nsenter");
    Ok(())
}
