//! Tests `rewrite explain --all`: the proof of a file, without a kernel.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::rewrite_command::Rewrite;

use crate::scenario::{Ended, end};

const GOOD: &str = "\
[[member]]
name    = \"srva\"
private = [\"10.0.0.1\", \"fd00::1\"]
public  = [\"198.51.100.2\", \"2001:db8:a::2\"]
underlay = \"172.31.0.5\"

[[member]]
name    = \"srvb\"
private = [\"10.0.0.2\", \"fd00::2\"]
public  = [\"203.0.113.2\", \"2001:db8:b::2\"]

[[member]]
name    = \"net\"
private = \"10.1.0.0/24\"
public  = \"192.0.2.0/24\"
";

/// The public address of srvd lies within the public network of net.
const SHADOWED: &str = "
[[member]]
name    = \"srvd\"
private = \"10.2.0.9\"
public  = \"192.0.2.9\"
";

fn explain_all(text: &str, more: &[&str]) -> Result<Ended> {
    let rewrite = Rewrite::locate()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("cluster.toml");
    std::fs::write(&path, text)?;
    // No interface is attached here: the command runs in the host's own namespace, and needs only a file.
    let mut command = Command::new(rewrite.binary());
    end(command.args(["explain", "--all", "--config"]).arg(&path).args(more))
}

#[test]
fn a_file_whose_pairs_are_all_right() -> Result<()> {
    let ended = explain_all(GOOD, &[])?;
    ended.require(0, &[])?;
    // Six ordered pairs over IPv4, and two over IPv6.
    let wanted = "all 8 pairs of 3 members: every packet arrives as it was sent\n";
    assert_eq!(ended.stdout, wanted);
    let said: Value = serde_json::from_str(&explain_all(GOOD, &["--json"])?.stdout)?;
    assert_eq!(said, json!({ "members": 3, "pairs": 8, "failed_pairs": 0, "failures": [] }));
    Ok(())
}

#[test]
fn a_pair_that_fails_is_named() -> Result<()> {
    let ended = explain_all(&format!("{GOOD}{SHADOWED}"), &[])?;
    ended.require(1, &[])?;
    let line = "FAILS  srva to net: 10.1.0.9 is at 192.0.2.9, and another member has that public \
                address: its packets are left alone (shadowed)\n";
    ensure!(ended.stdout.contains(line), "{ended:?}");
    ensure!(ended.stdout.ends_with("6 of 14 pairs of 4 members fail\n"), "{ended:?}");
    Ok(())
}

#[test]
fn each_network_of_a_file_is_checked() -> Result<()> {
    let member = |name: &str, n: u8| {
        format!(
            "[[member]]\nname = \"{name}\"\nprivate = \"10.0.0.{n}\"\n\
             public = {{ internet = \"198.51.100.{n}\", cable = \"192.0.2.{n}\" }}\n"
        )
    };
    let networks = "[[network]]\nname = \"internet\"\ninterface = \"eth0\"\n\
                    [[network]]\nname = \"cable\"\ninterface = \"ib0\"\n";
    let text = format!("{networks}{}{}", member("srva", 1), member("srvb", 2));
    let ended = explain_all(&text, &[])?;
    ended.require(0, &[])?;
    ensure!(ended.stdout.starts_with("all 4 pairs of 2 members"), "{ended:?}");
    Ok(())
}

#[test]
fn members_without_a_common_family_and_wrong_files_are_told_apart() -> Result<()> {
    let v6 = "[[member]]\nname = \"six\"\nprivate = \"fd00::9\"\npublic = \"2001:db8::9\"\n";
    let ended = explain_all(&format!("{GOOD}{v6}"), &["--json"])?;
    ended.require(1, &[])?;
    let said: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!((&said["failed_pairs"], &said["failures"][0]["from"]), (&json!(2), &json!("net")));
    explain_all("nonsense", &[])?.require(3, &["cluster.toml"])?;
    let rewrite = Rewrite::locate()?;
    let both = ["explain", "--all", "10.0.0.1", "10.0.0.2"];
    end(Command::new(rewrite.binary()).args(both))?.require(2, &["cannot be used with"])
}
